//! Reads GGUF files, versions 2 and 3, little-endian, over a memory map, and writes version 3.
//!
//! Opening a file reads what it lists, not its data. Nothing in a file is trusted: every count, length and offset is checked
//! before it is used, and what is wrong comes back as an [`Error`] that names the byte and the key or tensor.
//!
//! ```no_run
//! use quantloom::gguf::{BlockShape, Gguf};
//!
//! let file = Gguf::open("model.gguf")?;
//! let norm = file.tensor("output_norm.weight")?;
//! println!("{} rows of {} in {} bytes", norm.rows(), norm.k(), file.bytes(norm, BlockShape::F32)?.len());
//! # Ok::<(), quantloom::Error>(())
//! ```

mod checksums;
mod cursor;
mod parse;
mod places;
mod split;
mod tensor;
mod types;
mod value;
mod write;
mod write_value;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use checksums::Checksums;
pub use tensor::{BlockShape, TensorInfo};
pub use types::{GivenUp, Items, PLAIN};
pub use value::{Array, Value};
pub use write::{GgufWriter, NewTensor};
use xxhash_rust::xxh3::Xxh3Default;

use crate::error::{Error, Result, quoted, suggest};
use crate::storage::Storage;
use crate::weights::Shared;

/// An open model: its metadata, its tensors, and their bytes. It is one file, or all the files that it was split into.
#[derive(Debug)]
pub struct Gguf {
    /// The file that was named.
    path: PathBuf,
    /// The files, in their order.
    parts: Vec<Part>,
    version: u32,
    alignment: u64,
    metadata: Vec<(String, Value)>,
    tensors: Vec<TensorInfo>,
    /// Places in the list of tensors, in the order of their names.
    by_name: Vec<usize>,
}

/// A file of a model.
#[derive(Debug)]
struct Part {
    path: PathBuf,
    storage: Arc<Storage>,
    /// Where its data starts.
    data: u64,
    /// What it and each tensor in it start at a multiple of.
    alignment: u64,
}

impl Gguf {
    /// Opens and maps the file at `path`, which must not be overwritten while it is open. If it is one of the files that a model was
    /// split into, the others are opened with it, and all together are the model.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read, [`Error::Gguf`] if it is not a GGUF file of version 2 or 3, is damaged, or one of several
    /// of which not all are there. A name that counts files (`NAME-00001-of-00003.gguf`) must be that of one of several.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let (part, contents) = Part::open(path)?;
        match split::Split::of(&contents).map_err(|detail| wrong(path, detail))? {
            None => match split::Split::unsaid(path, &contents) {
                None => Self::new(path.to_owned(), vec![part], contents),
                Some(detail) => Err(wrong(path, detail)),
            },
            Some(split) => {
                let (parts, contents) = split.gather(part, contents)?;
                Self::new(path.to_owned(), parts, contents)
            }
        }
    }

    /// Whether bytes begin as a GGUF file does.
    pub(crate) fn is(bytes: &[u8]) -> bool {
        bytes.starts_with(&parse::MAGIC)
    }

    /// Reads a file that is already in memory; errors call it `path`.
    ///
    /// # Errors
    /// [`Error::Gguf`] as for [`Gguf::open`], and for one of several files.
    pub fn from_bytes(path: impl Into<PathBuf>, bytes: Vec<u8>) -> Result<Self> {
        let path = path.into();
        let (part, contents) = Part::new(path.clone(), Storage::Memory(bytes))?;
        match split::Split::of(&contents).map_err(|detail| wrong(&path, detail))? {
            None => Self::new(path, vec![part], contents),
            Some(split) => Err(wrong(&path, split.alone())),
        }
    }

    fn new(path: PathBuf, parts: Vec<Part>, contents: parse::Contents) -> Result<Self> {
        let parse::Contents { version, mut metadata, tensors, alignment, .. } = contents;
        split::forget(&mut metadata);
        let name = |&place: &usize| tensors[place].name.as_str();
        let mut by_name: Vec<usize> = (0..tensors.len()).collect();
        by_name.sort_unstable_by(|a, b| name(a).cmp(name(b)));
        if let Some(pair) = by_name.windows(2).find(|pair| name(&pair[0]) == name(&pair[1])) {
            let detail = format!("tensor {} is in two of the model's files; {}", quoted(name(&pair[0])), cursor::DAMAGED);
            return Err(wrong(&path, detail));
        }
        let file = Self { path, parts, version, alignment, metadata, tensors, by_name };
        file.check_places(TensorInfo::known_len, |misplaced| {
            if misplaced.cut_short {
                return "it was cut short: fetch it again".to_owned();
            }
            "the file is damaged, or to the program that wrote it the type number means another format; fetch it again, or make it anew \
             from the original model"
                .to_owned()
        })?;
        Ok(file)
    }

    /// Checks that the bytes of each tensor lie in its file, one tensor after the other; `size` says how many they are, if that is known.
    ///
    /// # Errors
    /// [`Error::Gguf`] with the remedy that `remedy` gives.
    pub(crate) fn check_places(
        &self,
        size: impl Fn(&TensorInfo) -> Option<usize>,
        remedy: impl Fn(&places::Misplaced<'_>) -> String,
    ) -> Result<()> {
        for (place, part) in self.parts.iter().enumerate() {
            let checked = places::check(self.of_part(place), &part.places(), |tensor| size(tensor).map(|size| size as u64));
            checked
                .map_err(|misplaced| self.wrong(misplaced.tensor, &format!("{}; {}", misplaced.detail, remedy(&misplaced))))?;
        }
        Ok(())
    }

    /// Why the values of a tensor are in doubt, if they are: a file goes on behind its last tensor, by more than it is padded by. What
    /// it ends with may be nobody's concern, or the tensor's type number meant more bytes to the program that wrote it.
    #[must_use]
    pub fn doubt(&self) -> Option<String> {
        let sums = self.checksums().map(|(_, sums)| sums.start as u64);
        self.parts.iter().enumerate().find_map(|(place, part)| {
            let places = part.places();
            let data = places::Data { end: sums.unwrap_or(places.end), ..places };
            let (tensor, start) = places::last(self.of_part(place), &data, |tensor| tensor.known_len().map(|size| size as u64))?;
            Some(format!(
                "{}: {} bytes from byte {start} on, behind the last tensor, {}, belong to none; something was added to the file, or to the \
                 program that wrote it type number {} means another format: compare it with its source",
                part.path.display(),
                data.end - start,
                quoted(&tensor.name),
                tensor.kind
            ))
        })
    }

    /// For each tensor, the bytes that its file has from its start to the next tensor.
    pub(crate) fn extents(&self) -> Vec<usize> {
        let mut extents = Vec::with_capacity(self.tensors.len());
        for (place, part) in self.parts.iter().enumerate() {
            let bytes = (part.storage.len() as u64).saturating_sub(part.data);
            extents.extend(places::extents(self.of_part(place), bytes).into_iter().map(|bytes| bytes as usize));
        }
        extents
    }

    /// The tensors of a file of the model: they are together, in the order of the files.
    fn of_part(&self, place: usize) -> &[TensorInfo] {
        let start = self.tensors.partition_point(|tensor| tensor.part < place);
        let end = self.tensors.partition_point(|tensor| tensor.part <= place);
        &self.tensors[start..end]
    }

    /// The path it was opened with.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The paths of the model's files, in their order: one, unless the model was split.
    pub fn paths(&self) -> impl ExactSizeIterator<Item = &Path> {
        self.parts.iter().map(|part| part.path.as_path())
    }

    /// The version of the file's layout: 2 or 3.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Bytes that tensors start at a multiple of.
    #[must_use]
    pub fn alignment(&self) -> u64 {
        self.alignment
    }

    /// Bytes of all its files.
    #[must_use]
    pub fn file_len(&self) -> usize {
        self.parts.iter().map(|part| part.storage.len()).sum()
    }

    /// Keys and values in file order. No key is there twice, and none says how the model was split.
    #[must_use]
    pub fn metadata(&self) -> &[(String, Value)] {
        &self.metadata
    }

    /// The value of a key.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&Value> {
        self.metadata().iter().find(|(k, _)| k == key).map(|(_, value)| value)
    }

    /// The tensors in file order. No name is there twice.
    #[must_use]
    pub fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    /// The tensor of that name.
    ///
    /// # Errors
    /// [`Error::UnknownTensor`], with the nearest names, if there is none.
    pub fn tensor(&self, name: &str) -> Result<&TensorInfo> {
        let tensors = self.tensors();
        match self.by_name.binary_search_by(|&place| tensors[place].name.as_str().cmp(name)) {
            Ok(found) => Ok(&tensors[self.by_name[found]]),
            Err(_) => Err(Error::UnknownTensor {
                path: self.path.clone(),
                name: name.to_owned(),
                hint: suggest(name, tensors.iter().map(|tensor| tensor.name.as_str()), "name one that the file has"),
            }),
        }
    }

    /// The stored bytes of one of this file's tensors, row after row, when its type has blocks of `shape`.
    ///
    /// # Errors
    /// [`Error::Gguf`] if the rows are not whole blocks, or the file ends before the tensor does.
    pub fn bytes(&self, tensor: &TensorInfo, shape: BlockShape) -> Result<&[u8]> {
        let length = tensor.byte_len(shape).ok_or_else(|| {
            let (k, block) = (tensor.k(), shape.weights);
            let detail = format!("rows of {k} weights are not whole blocks of {block}; convert the model again");
            self.wrong(tensor, &detail)
        })?;
        self.range(tensor, length).map(|(part, range)| &part.storage[range])
    }

    /// The first `length` bytes of one of this file's tensors, which keep the file open.
    ///
    /// # Errors
    /// [`Error::Gguf`] if the file ends before they do.
    pub(crate) fn shared(&self, tensor: &TensorInfo, length: usize) -> Result<Shared> {
        let (part, range) = self.range(tensor, length)?;
        Shared::of_file(&part.storage, range).ok_or_else(|| self.wrong(tensor, "it lies beyond the end of the file"))
    }

    /// The file that a tensor is in, and where its first `length` bytes lie there.
    fn range(&self, tensor: &TensorInfo, length: usize) -> Result<(&Part, Range<usize>)> {
        let part = self.parts.get(tensor.part);
        let part = part.ok_or_else(|| self.wrong(tensor, "it is of another model; ask for the tensor of this one"))?;
        let start = usize::try_from(part.data.saturating_add(tensor.offset)).unwrap_or(usize::MAX);
        let end = start.checked_add(length).filter(|&end| end <= part.storage.len());
        end.map(|end| (part, start..end)).ok_or_else(|| {
            let end = part.storage.len();
            let detail = format!("{length} bytes from byte {start} on, but the file ends at {end}; fetch it again");
            self.wrong(tensor, &detail)
        })
    }

    /// Whether checksums follow the data of the file: see [`Gguf::verify`].
    #[must_use]
    pub fn has_checksums(&self) -> bool {
        self.checksums().is_some()
    }

    /// The file and its checksums. A model in several files has none.
    fn checksums(&self) -> Option<(&Part, Checksums<'_>)> {
        let [part] = &self.parts[..] else { return None };
        Some((part, Checksums::of(&part.storage)?))
    }

    /// Compares every byte of the file with the checksums behind its data. `done` hears of bytes as they are done.
    ///
    /// # Errors
    /// [`Error::Gguf`] if some bytes are not those that were written, or if there are no checksums.
    pub fn verify(&self, done: &mut dyn FnMut(usize)) -> Result<()> {
        const OTHERS: &str = "are not those that were written; the file is damaged: fetch it again, or make it anew";
        let Some((part, sums)) = self.checksums() else {
            let detail = "it has no checksums, or they are damaged; fetch it again, or make it anew";
            return Err(wrong(&self.path, detail.to_owned()));
        };
        let (data, end) = (part.data as usize, sums.start);
        let head = part.storage.get(..data).filter(|_| sums.count() == 1 + self.tensors.len());
        if !head.is_some_and(|head| sums.holds(0, head)) {
            return Err(wrong(&self.path, format!("the bytes of its lists, up to byte {data}, {OTHERS}")));
        }
        done(data);
        // They were written in this order, one behind the other.
        let starts = self.tensors.iter().map(|tensor| data.saturating_add(tensor.offset as usize)).collect::<Vec<_>>();
        let ends = starts.iter().copied().skip(1).chain([end]);
        for (place, (tensor, (start, end))) in self.tensors.iter().zip(starts.iter().copied().zip(ends)).enumerate() {
            let bytes = part.storage.get(start..end).filter(|bytes| sums.holds(1 + place, bytes));
            let bytes = bytes.ok_or_else(|| self.wrong(tensor, &format!("its bytes, from {start} to {end}, {OTHERS}")))?;
            done(bytes.len());
            self.release(bytes);
        }
        Ok(())
    }

    /// 128 bits of XXH3 of all its files: what tells a model from every other by content. It reads them once.
    #[must_use]
    pub fn digest(&self) -> u128 {
        /// Bytes that are read, and then released.
        const STEP: usize = 1 << 24;
        let mut digest = Xxh3Default::new();
        for bytes in self.parts.iter().flat_map(|part| part.storage.chunks(STEP)) {
            digest.update(bytes);
            self.release(bytes);
        }
        digest.digest128()
    }

    /// Says that `consumed`, a part of what [`Gguf::bytes`] gave, will not be read again soon, so that the operating system may
    /// use its memory for something else. Reading it again is correct and slow. Does nothing for bytes of another origin.
    pub fn release(&self, consumed: &[u8]) {
        self.parts.iter().for_each(|part| part.storage.release(consumed));
    }

    /// An error about a tensor; `detail` ends with a remedy.
    pub(crate) fn wrong(&self, tensor: &TensorInfo, detail: &str) -> Error {
        let path = self.parts.get(tensor.part).map_or(&self.path, |part| &part.path);
        wrong(path, format!("tensor {}: {detail}", quoted(&tensor.name)))
    }
}

impl Part {
    /// Where its tensors may lie.
    fn places(&self) -> places::Data {
        places::Data { start: self.data, end: self.storage.len() as u64, alignment: self.alignment }
    }

    /// Maps a file, and reads what it lists.
    fn open(path: &Path) -> Result<(Self, parse::Contents)> {
        let storage = Storage::map(path).map_err(Error::io(path))?;
        Self::new(path.to_owned(), storage)
    }

    fn new(path: PathBuf, storage: Storage) -> Result<(Self, parse::Contents)> {
        match parse::contents(&storage) {
            Ok(contents) => {
                Ok((Self { path, storage: Arc::new(storage), data: contents.data, alignment: contents.alignment }, contents))
            }
            Err(fault) => Err(wrong(&path, fault.to_string())),
        }
    }
}

/// An error about a file; `detail` ends with a remedy.
fn wrong(path: &Path, detail: String) -> Error {
    Error::Gguf { path: path.to_owned(), detail }
}
