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

mod cursor;
mod parse;
mod tensor;
mod value;
mod write;
mod write_value;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use tensor::{BlockShape, TensorInfo};
pub use value::{Array, Value};
pub use write::{GgufWriter, NewTensor};

use crate::error::{Error, Result, quoted, suggest};
use crate::storage::Storage;
use crate::weights::Shared;

/// An open file: its metadata, its tensors, and their bytes.
#[derive(Debug)]
pub struct Gguf {
    path: PathBuf,
    storage: Arc<Storage>,
    contents: parse::Contents,
    /// Places in the list of tensors, in the order of their names.
    by_name: Vec<usize>,
}

impl Gguf {
    /// Opens and maps the file at `path`, which must not be overwritten while it is open.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read, [`Error::Gguf`] if it is not a GGUF file of version 2 or 3, or damaged.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let storage = Storage::map(path).map_err(Error::io(path))?;
        Self::new(path.to_owned(), storage)
    }

    /// Reads a file that is already in memory; errors call it `path`.
    ///
    /// # Errors
    /// [`Error::Gguf`] as for [`Gguf::open`].
    pub fn from_bytes(path: impl Into<PathBuf>, bytes: Vec<u8>) -> Result<Self> {
        Self::new(path.into(), Storage::Memory(bytes))
    }

    fn new(path: PathBuf, storage: Storage) -> Result<Self> {
        let contents = match parse::contents(&storage) {
            Ok(contents) => contents,
            Err(fault) => {
                return Err(Error::Gguf { path, detail: fault.to_string() });
            }
        };
        let name = |&place: &usize| contents.tensors[place].name.as_str();
        let mut by_name: Vec<usize> = (0..contents.tensors.len()).collect();
        by_name.sort_unstable_by(|a, b| name(a).cmp(name(b)));
        Ok(Self { path, storage: Arc::new(storage), contents, by_name })
    }

    /// The path it was opened with.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The version of the file's layout: 2 or 3.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.contents.version
    }

    /// Bytes that tensors start at a multiple of.
    #[must_use]
    pub fn alignment(&self) -> u64 {
        self.contents.alignment
    }

    /// Bytes of the whole file.
    #[must_use]
    pub fn file_len(&self) -> usize {
        self.storage.len()
    }

    /// Keys and values in file order. No key is there twice.
    #[must_use]
    pub fn metadata(&self) -> &[(String, Value)] {
        &self.contents.metadata
    }

    /// The value of a key.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&Value> {
        self.metadata().iter().find(|(k, _)| k == key).map(|(_, value)| value)
    }

    /// The tensors in file order. No name is there twice.
    #[must_use]
    pub fn tensors(&self) -> &[TensorInfo] {
        &self.contents.tensors
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
                hint: suggest(
                    name,
                    tensors.iter().map(|tensor| tensor.name.as_str()),
                    "`quantloom inspect` lists those that the file has",
                ),
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
        self.range(tensor, length).map(|range| &self.storage[range])
    }

    /// The first `length` bytes of one of this file's tensors, which keep the file open.
    ///
    /// # Errors
    /// [`Error::Gguf`] if the file ends before they do.
    pub(crate) fn shared(&self, tensor: &TensorInfo, length: usize) -> Result<Shared> {
        let range = self.range(tensor, length)?;
        Shared::of_file(&self.storage, range).ok_or_else(|| self.wrong(tensor, "it lies beyond the end of the file"))
    }

    /// Where the first `length` bytes of a tensor lie.
    fn range(&self, tensor: &TensorInfo, length: usize) -> Result<Range<usize>> {
        let start = usize::try_from(self.contents.data.saturating_add(tensor.offset)).unwrap_or(usize::MAX);
        let end = start.checked_add(length).filter(|&end| end <= self.storage.len());
        end.map(|end| start..end).ok_or_else(|| {
            let end = self.storage.len();
            let detail = format!("{length} bytes from byte {start} on, but the file ends at {end}; fetch it again");
            self.wrong(tensor, &detail)
        })
    }

    /// Says that `consumed`, a part of what [`Gguf::bytes`] gave, will not be read again soon, so that the operating system may
    /// use its memory for something else. Reading it again is correct and slow. Does nothing for bytes of another origin.
    pub fn release(&self, consumed: &[u8]) {
        self.storage.release(consumed);
    }

    /// An error about a tensor; `detail` ends with a remedy.
    pub(crate) fn wrong(&self, tensor: &TensorInfo, detail: &str) -> Error {
        let detail = format!("tensor {}: {detail}", quoted(&tensor.name));
        Error::Gguf { path: self.path.clone(), detail }
    }
}
