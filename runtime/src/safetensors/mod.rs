//! Reads safetensors files over a memory map.
//!
//! The header is parsed and checked by the crate `safetensors`: every tensor's bytes are as many as its type and shape ask for, and
//! together they are the rest of the file.

mod fits;
mod matrix;
mod nested;
mod settings;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use safetensors::SafeTensors as Reader;
use safetensors::tensor::{Dtype, Metadata, SafeTensorError};

use crate::error::{Error, Result, quoted, suggest};
use crate::storage::Storage;
use settings::Settings;

/// Bytes before the header: its length.
const PREFIX: usize = 8;

/// An open file: its tensors, and their bytes.
#[derive(Debug)]
pub struct SafeTensors {
    path: PathBuf,
    storage: Storage,
    /// Where the tensors' bytes start.
    data: usize,
    metadata: Metadata,
    /// What is said of its matrices, once it was asked for.
    settings: OnceLock<Vec<Settings>>,
}

/// A tensor of a file.
#[derive(Clone, Copy, Debug)]
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
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.to_string())
    }
}

impl SafeTensors {
    /// Opens and maps the file at `path`, which must not be overwritten while it is open.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read, [`Error::SafeTensors`] if it is not a safetensors file, or damaged.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let storage = Storage::map(path).map_err(Error::io(path))?;
        Self::new(path.to_owned(), storage)
    }

    /// Reads a file that is already in memory; errors call it `path`.
    ///
    /// # Errors
    /// [`Error::SafeTensors`] as for [`SafeTensors::open`].
    pub fn from_bytes(path: impl Into<PathBuf>, bytes: Vec<u8>) -> Result<Self> {
        Self::new(path.into(), Storage::Memory(bytes))
    }

    fn new(path: PathBuf, storage: Storage) -> Result<Self> {
        match Reader::read_metadata(&storage) {
            Ok((header, metadata)) => Ok(Self { path, storage, data: PREFIX + header, metadata, settings: OnceLock::new() }),
            Err(SafeTensorError::InvalidOffset(name)) => {
                let detail =
                    misplaced(&storage, &name).unwrap_or_else(|| format!("tensor {}: its bytes are misplaced", quoted(&name)));
                Err(Error::SafeTensors { path, detail: format!("{detail}; {AGAIN}") })
            }
            Err(fault) => Err(Error::SafeTensors { path, detail: explain(&fault) }),
        }
    }

    /// The path it was opened with.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of the whole file.
    #[must_use]
    pub fn file_len(&self) -> usize {
        self.storage.len()
    }

    /// Texts that the file's writer left, sorted by key.
    #[must_use]
    pub fn notes(&self) -> Vec<(&str, &str)> {
        let notes = self.metadata.metadata().iter().flatten().map(|(key, value)| (key.as_str(), value.as_str()));
        let mut notes = notes.collect::<Vec<_>>();
        notes.sort_unstable();
        notes
    }

    /// The tensors' names, in the order of their bytes.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.metadata.offset_keys()
    }

    /// The tensor of that name, if there is one.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Tensor<'_>> {
        let info = self.metadata.info(name)?;
        let (start, end) = info.data_offsets;
        let bytes = self.storage.get(self.data..)?.get(start..end)?;
        Some(Tensor { kind: Kind(info.dtype), shape: &info.shape, bytes })
    }

    /// The tensor of that name.
    ///
    /// # Errors
    /// [`Error::UnknownTensor`], with the nearest names, if there is none.
    pub fn tensor(&self, name: &str) -> Result<Tensor<'_>> {
        self.get(name).ok_or_else(|| Error::UnknownTensor {
            path: self.path.clone(),
            name: name.to_owned(),
            hint: suggest(name, self.names().iter().map(String::as_str), "`quantloom inspect` lists those that the file has"),
        })
    }

    fn settings(&self) -> &[Settings] {
        self.settings.get_or_init(|| Settings::of(self))
    }

    /// An error about this file; `detail` says what is wrong, and the remedy.
    pub(crate) fn wrong(&self, detail: impl Into<String>) -> Error {
        Error::SafeTensors { path: self.path.clone(), detail: detail.into() }
    }
}

/// The remedy for what no writer produces.
const AGAIN: &str = "fetch or convert it again";

/// What is wrong with the place of the tensor `name`, whose bytes do not follow those of the one before.
fn misplaced(file: &[u8], name: &str) -> Option<String> {
    let (length, rest) = file.split_first_chunk()?;
    let header = rest.get(..usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
    let header: BTreeMap<String, serde_json::Value> = serde_json::from_slice(header).ok()?;
    let place = |info: &serde_json::Value| {
        let offset = |at| info.get("data_offsets")?.get(at)?.as_u64();
        Some((offset(0)?, offset(1)?))
    };
    let (start, end) = place(header.get(name)?)?;
    let before = header.iter().filter_map(|(other, info)| Some((place(info)?, other)));
    let before = before.filter(|&(place, other)| other != name && place <= (start, end)).max();
    let own = format!("tensor {}: its bytes {start} to {end} of the data", quoted(name));
    Some(match before {
        Some(((first, last), other)) if last > start => {
            format!("{own} begin within tensor {}, which has {first} to {last}", quoted(other))
        }
        Some(((_, last), other)) => format!("{own} do not follow those of tensor {}, which end at {last}", quoted(other)),
        None => format!("{own} are not the first"),
    })
}

/// What is wrong with a header, on one line, and the remedy.
fn explain(fault: &SafeTensorError) -> String {
    let again = AGAIN;
    match fault {
        SafeTensorError::HeaderTooSmall | SafeTensorError::HeaderTooLarge => {
            format!("it does not begin with the length of a header, so it is not a safetensors file; {again}")
        }
        SafeTensorError::InvalidHeaderLength => format!("the file ends before its header does; {again}"),
        SafeTensorError::MetadataIncompleteBuffer => {
            format!("the tensors that its header lists are not as many bytes as it has: it was cut short or changed; {again}")
        }
        SafeTensorError::TensorInvalidInfo | SafeTensorError::ValidationOverflow | SafeTensorError::MisalignedSlice => {
            format!("a tensor's bytes are not as many as its type and shape ask for; {again}")
        }
        other => format!("its header is wrong ({}); {again}", other.to_string().replace('\n', " ")),
    }
}
