//! Reads safetensors files over a memory map: one, or all files of a model by their index.
//!
//! The header of a file is parsed and checked by the crate `safetensors`: every tensor's bytes are as many as its type and shape ask for,
//! and together they are the rest of the file.

mod fits;
mod index;
mod matrix;
mod nested;
mod part;
mod settings;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use safetensors::tensor::Dtype;

use crate::error::{Error, Result, suggest};
use crate::storage::Storage;
use index::Whole;
use part::Part;
use settings::Settings;

/// An open model: its tensors, and their bytes. It is one file, or all the files that it was saved in.
#[derive(Debug)]
pub struct SafeTensors {
    /// What was named.
    path: PathBuf,
    /// What says which tensor is in which file, if something does.
    index: Option<PathBuf>,
    /// The files, in the order of their names.
    parts: Vec<Part>,
    /// The files that tensors are in; empty if there is one file.
    places: BTreeMap<String, usize>,
    /// What is said of its matrices, once it was asked for.
    settings: OnceLock<Vec<Settings>>,
}

/// A tensor of a file.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Tensor<'f> {
    /// The type of its items.
    pub kind: Kind,
    /// Lengths of its axes, slowest first.
    pub shape: &'f [usize],
    /// Its items, little-endian, in row-major order.
    pub bytes: &'f [u8],
}

/// The type of a tensor's items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind(Dtype);

impl Kind {
    /// Whether an item of this type has the bits of what cards call `element`. Integers count by their width: frameworks without
    /// unsigned types store codes in signed ones.
    #[must_use]
    pub fn holds(self, element: &str) -> bool {
        let names: &[&str] = match self.0 {
            Dtype::U8 | Dtype::I8 => &["u8", "i8"],
            Dtype::U16 | Dtype::I16 => &["u16", "i16"],
            Dtype::U32 | Dtype::I32 => &["u32", "i32"],
            Dtype::F16 => &["f16"],
            Dtype::BF16 => &["bf16"],
            Dtype::F32 => &["f32"],
            Dtype::F8_E4M3 => &["e4m3"],
            Dtype::F8_E8M0 => &["e8m0"],
            _ => &[],
        };
        names.contains(&element)
    }

    /// Whether its items are integers of 64 bits.
    pub fn is_wide(self) -> bool {
        matches!(self.0, Dtype::U64 | Dtype::I64)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.to_string())
    }
}

impl SafeTensors {
    /// Opens and maps the file at `path`, which must not be overwritten while it is open. If it is one of the files that a model was saved
    /// in, the others are opened with it, and all together are the model; so are those that an index (`model.safetensors.index.json`) at
    /// `path` lists, and those of the one model in a folder at `path`.
    ///
    /// # Errors
    /// [`Error::Io`] if a file cannot be read, [`Error::SafeTensors`] if it is not a safetensors file, or damaged, or if the files of a model are
    /// not all there, or do not have the tensors that its index lists.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let Whole { index, files } = Whole::find(path)?;
        let parts = files.iter().map(|file| Part::open(file)).collect::<Result<Vec<_>>>()?;
        let places = index::places(index.as_ref(), &parts)?;
        Ok(Self { path: path.to_owned(), index: index.map(|index| index.path), parts, places, settings: OnceLock::new() })
    }

    /// Reads a file that is already in memory; errors call it `path`.
    ///
    /// # Errors
    /// [`Error::SafeTensors`] as for [`SafeTensors::open`].
    pub fn from_bytes(path: impl Into<PathBuf>, bytes: Vec<u8>) -> Result<Self> {
        let path = path.into();
        let part = Part::new(path.clone(), Storage::Memory(bytes))?;
        Ok(Self { path, index: None, parts: vec![part], places: BTreeMap::new(), settings: OnceLock::new() })
    }

    /// The path it was opened with.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The paths of the files that hold tensors, in the order of their names.
    pub fn paths(&self) -> impl ExactSizeIterator<Item = &Path> {
        self.parts.iter().map(|part| part.path.as_path())
    }

    /// The path of the index that says which tensor is in which file, if there is one.
    #[must_use]
    pub fn index(&self) -> Option<&Path> {
        self.index.as_deref()
    }

    /// Bytes of all its files.
    #[must_use]
    pub fn file_len(&self) -> usize {
        self.parts.iter().map(|part| part.storage.len()).sum()
    }

    /// Texts that the files' writer left, sorted by key; of those that differ, that of the first file.
    #[must_use]
    pub fn notes(&self) -> Vec<(&str, &str)> {
        let mut notes = BTreeMap::new();
        for (key, value) in self.parts.iter().flat_map(|part| part.metadata.metadata().iter().flatten()) {
            notes.entry(key.as_str()).or_insert(value.as_str());
        }
        notes.into_iter().collect()
    }

    /// The tensors' names: file after file, in the order of their bytes.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.parts.iter().flat_map(|part| part.metadata.offset_keys()).collect()
    }

    /// The tensor of that name, if there is one.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Tensor<'_>> {
        match &self.parts[..] {
            [part] => part.get(name),
            parts => parts[*self.places.get(name)?].get(name),
        }
    }

    /// The tensor of that name.
    ///
    /// # Errors
    /// [`Error::UnknownTensor`], with the nearest names, if there is none.
    pub fn tensor(&self, name: &str) -> Result<Tensor<'_>> {
        self.get(name).ok_or_else(|| Error::UnknownTensor {
            path: self.path.clone(),
            name: name.to_owned(),
            hint: suggest(name, self.names().iter().map(String::as_str), "name one that the file has"),
        })
    }

    fn settings(&self) -> &[Settings] {
        self.settings.get_or_init(|| Settings::of(self))
    }

    /// An error about this model; `detail` says what is wrong, and the remedy.
    pub(crate) fn wrong(&self, detail: impl Into<String>) -> Error {
        wrong(&self.path, detail.into())
    }
}

/// An error about a file; `detail` says what is wrong, and the remedy.
fn wrong(path: &Path, detail: String) -> Error {
    Error::SafeTensors { path: path.to_owned(), detail }
}
