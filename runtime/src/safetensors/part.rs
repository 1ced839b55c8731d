//! One file: its tensors, and their bytes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use safetensors::SafeTensors as Reader;
use safetensors::tensor::{Metadata, SafeTensorError};

use super::{Kind, Tensor, wrong};
use crate::error::{Error, Result, quoted};
use crate::storage::Storage;

/// Bytes before the header: its length.
const PREFIX: usize = 8;

/// A file of a model.
#[derive(Debug)]
pub(super) struct Part {
    pub path: PathBuf,
    pub storage: Storage,
    /// Where the tensors' bytes start.
    data: usize,
    pub metadata: Metadata,
}

impl Part {
    /// Maps a file, and reads what it lists.
    pub fn open(path: &Path) -> Result<Self> {
        let storage = Storage::map(path).map_err(Error::io(path))?;
        Self::new(path.to_owned(), storage)
    }

    pub fn new(path: PathBuf, storage: Storage) -> Result<Self> {
        match Reader::read_metadata(&storage) {
            Ok((header, metadata)) => Ok(Self { path, storage, data: PREFIX + header, metadata }),
            Err(SafeTensorError::InvalidOffset(name)) => {
                let detail =
                    misplaced(&storage, &name).unwrap_or_else(|| format!("tensor {}: its bytes are misplaced", quoted(&name)));
                Err(wrong(&path, format!("{detail}; {AGAIN}")))
            }
            Err(fault) => Err(wrong(&path, explain(&fault))),
        }
    }

    /// The tensor of that name, if there is one.
    pub fn get(&self, name: &str) -> Option<Tensor<'_>> {
        let info = self.metadata.info(name)?;
        let (start, end) = info.data_offsets;
        let bytes = self.storage.get(self.data..)?.get(start..end)?;
        Some(Tensor { kind: Kind(info.dtype), shape: &info.shape, bytes })
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
