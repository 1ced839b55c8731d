//! Writes packed copies.

use std::path::PathBuf;

use super::{Kind, Model, mark};
use crate::error::{Error, Result, quoted};
use crate::files::Output;
use crate::gguf::{GgufWriter, NewTensor, TensorInfo, Value};
use crate::pool::Pool;
use crate::registry::Format;
use crate::weights::{Layout, Weights};

/// The entry that says what tensors start at a multiple of.
const ALIGNMENT_KEY: &str = "general.alignment";
/// A page: what can be mapped, prefetched and dropped by itself.
const PAGE: u32 = 4096;

/// What packing a model came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Packing {
    /// Tensors that were packed.
    pub packed: usize,
    /// Their bytes before and after.
    pub stored_bytes: usize,
    /// See `stored_bytes`.
    pub packed_bytes: usize,
    /// Tensors that were copied as they are: those that kernels do not exist for.
    pub copied: usize,
    /// Their bytes.
    pub copied_bytes: usize,
}

impl Model {
    /// Writes a packed copy of the model to `path`: every matrix in its packed form, everything else as it is, tensors of
    /// unknown types included, and checksums of all that. The file appears when it is complete. `done` hears of the bytes of each tensor of this model as it is done.
    ///
    /// # Errors
    /// [`Error::Gguf`] if the model is a packed copy itself, or has a tensor that would be taken for a packed one; as [`Model::weights`] and
    /// [`Output::create`].
    pub fn pack(&self, path: impl Into<PathBuf>, pool: &Pool, done: &mut dyn FnMut(usize)) -> Result<Packing> {
        self.pack_to(Output::create(path, self.file.paths())?, pool, done)
    }

    /// As [`Model::pack`], to an output.
    ///
    /// # Errors
    /// [`Error::Gguf`] if the model is a packed copy itself, [`Error::Output`]; as [`Model::weights`].
    pub fn pack_to(&self, output: Output, pool: &Pool, done: &mut dyn FnMut(usize)) -> Result<Packing> {
        if self.is_packed() {
            let detail = "it is packed already; use it as it is, or pack the model that it was made from";
            return Err(Error::Gguf { path: self.file.path().to_owned(), detail: detail.to_owned() });
        }
        let sizes = self.sizes()?;
        let (formats, tensors) = self.plan(&sizes)?;
        let mut metadata = self.file.metadata().to_vec();
        // A model that says so of itself without being a packed copy is none all the same.
        metadata.retain(|(key, _)| key != ALIGNMENT_KEY && !mark::is_own(key));
        metadata.extend(mark::entries(&formats)?);
        metadata.push((ALIGNMENT_KEY.to_owned(), Value::U32(PAGE)));
        let mut out = GgufWriter::with_checksums(output, &metadata, &tensors)?;
        let mut packing = Packing::default();
        for (place, tensor) in self.file.tensors().iter().enumerate() {
            let stored = sizes[place];
            if self.is_matrix(tensor) {
                let weights = self.weights(tensor, Layout::Packed, pool)?;
                let panels = weights.panels().unwrap_or_default();
                out.write(panels)?;
                packing.packed += 1;
                packing.stored_bytes += stored;
                packing.packed_bytes += panels.len();
            } else {
                let bytes = self.file.shared(tensor, stored)?;
                out.write(&bytes)?;
                self.file.release(&bytes);
                packing.copied += 1;
                packing.copied_bytes += stored;
            }
            done(stored);
        }
        out.finish()?;
        Ok(packing)
    }

    /// Bytes of each tensor. Where nobody knows what its type is, they are all those up to the next tensor.
    fn sizes(&self) -> Result<Vec<usize>> {
        let size = |(tensor, extent)| match self.bytes(tensor) {
            Err(Error::UnknownTensorType { .. }) => Ok(extent),
            bytes => bytes,
        };
        self.file.tensors().iter().zip(self.file.extents()).map(size).collect()
    }

    /// The formats that are packed, and the tensors that the copy will have.
    fn plan(&self, sizes: &[usize]) -> Result<(Vec<&'static Format>, Vec<NewTensor>)> {
        let mut formats = Vec::<&'static Format>::new();
        let mut tensors = Vec::with_capacity(self.file.tensors().len());
        for (tensor, &stored) in self.file.tensors().iter().zip(sizes) {
            let TensorInfo { name, dims, kind, .. } = tensor.clone();
            let (kind, bytes) = match self.kind(tensor) {
                Ok(Kind::Blocks(format, _)) if self.is_matrix(tensor) => {
                    let known = formats.iter().position(|known| std::ptr::eq(*known, format));
                    let index = known.unwrap_or_else(|| {
                        formats.push(format);
                        formats.len() - 1
                    });
                    (mark::FIRST + index as u32, Weights::bytes_packed(format, tensor.rows(), tensor.k())?)
                }
                // In a copy it would be taken for a packed one.
                _ if mark::is_own_kind(kind) => {
                    let name = quoted(&name);
                    let detail =
                        format!("tensor {name} has the type number {kind}, as packed tensors have; use the model as it is");
                    return Err(Error::Gguf { path: self.file.path().to_owned(), detail });
                }
                _ => (kind, stored),
            };
            tensors.push(NewTensor { name, dims, kind, bytes });
        }
        Ok((formats, tensors))
    }
}
