//! What tokens become: rows that are read where they lie, never all of them.

use std::sync::Arc;

use quantloom::gguf::{BlockShape, TensorInfo};
use quantloom::matmul::decode_rows;
use quantloom::model::Model;
use quantloom::pool::Pool;
use quantloom::registry::Format;
use quantloom::stored::Stored;
use quantloom::weights::Weights;

use crate::error::Result;
use crate::tensors::{Held, Tensors, stored_as};

/// The rows of an embedding.
#[derive(Debug)]
pub struct Embedding<W = Arc<Weights>> {
    tensor: TensorInfo,
    rows: Rows<W>,
    /// What rows are multiplied by.
    scale: Option<f32>,
}

/// Where they lie.
#[derive(Debug)]
enum Rows<W> {
    /// In the file, as they were stored.
    Stored(&'static Format, BlockShape),
    /// In panels; of a packed copy, those of the file.
    Packed(W),
}

impl<W: Held> Embedding<W> {
    /// # Errors
    /// As [`Model::weights`].
    pub fn new(tensors: &Tensors<'_, W>, tensor: &TensorInfo, scale: Option<f32>) -> Result<Self> {
        let rows = match stored_as(tensors.model, tensor)? {
            Some((format, shape)) => Rows::Stored(format, shape),
            None => Rows::Packed(tensors.hold(tensor)?),
        };
        Ok(Self { tensor: tensor.clone(), rows, scale })
    }

    /// How many tokens there are.
    pub fn vocabulary(&self) -> usize {
        self.tensor.rows()
    }

    /// The name of its tensor.
    pub fn name(&self) -> &str {
        &self.tensor.name
    }

    /// Bytes that are held for a row, and what holds them.
    pub fn stored(&self) -> (&'static Format, usize) {
        match &self.rows {
            Rows::Stored(format, _) => (format, format.stored_bytes(1, self.tensor.k()).unwrap_or_default()),
            Rows::Packed(weights) => {
                let shape = weights.shape();
                (shape.format, shape.bytes().unwrap_or_default() / shape.n.max(1))
            }
        }
    }

    /// The weights of a head that is tied to it: the same matrix.
    ///
    /// # Errors
    /// As [`Model::weights`].
    pub fn head(&self, tensors: &Tensors<'_, W>) -> Result<W> {
        match &self.rows {
            Rows::Stored(..) => tensors.hold(&self.tensor),
            Rows::Packed(weights) => Ok(weights.clone()),
        }
    }
}

impl Embedding {
    /// The rows of some tokens, which there must be.
    ///
    /// # Errors
    /// As [`decode_rows`], or if the file ends.
    pub fn rows(&self, model: &Model, tokens: &[u32], pool: &Pool) -> Result<Vec<f32>> {
        let (n, k) = (self.tensor.rows(), self.tensor.k());
        let mut out = vec![0.0; tokens.len() * k];
        match &self.rows {
            Rows::Stored(format, shape) => {
                let stored = Stored::new(format, n, k, model.file().bytes(&self.tensor, *shape)?)?;
                for (token, out) in tokens.iter().zip(out.chunks_exact_mut(k)) {
                    let row = *token as usize;
                    stored.decode(row..row + 1, out)?;
                }
            }
            Rows::Packed(weights) => {
                let rows = tokens.iter().map(|token| *token as usize).collect::<Vec<_>>();
                decode_rows(weights, &rows, &mut out, pool)?;
            }
        }
        if let Some(scale) = self.scale {
            out.iter_mut().for_each(|value| *value *= scale);
        }
        Ok(out)
    }
}
