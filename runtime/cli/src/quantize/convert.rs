//! Tensors from one way of storing them to another, some rows at a time.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use quantloom::encode::Encoder;
use quantloom::gguf::{Gguf, GgufWriter};
use quantloom::imatrix::Imatrix;
use quantloom::pool::Pool;
use quantloom::{Error, Result};

use super::super::stored::{Stored, not_weights};
use super::plan::Step;

/// Weights that are converted at a time, about.
const AT_ONCE: usize = 1 << 20;

/// Sums over a tensor: squared errors, and squares of the weights.
#[derive(Clone, Copy, Debug, Default)]
pub struct Squares {
    errors: f64,
    weights: f64,
}

impl Squares {
    /// The error relative to the weights, `sum (x - y)^2 / sum x^2`; 0 for weights that are all 0.
    pub fn nmse(self) -> f64 {
        if self.weights > 0.0 { self.errors / self.weights } else { 0.0 }
    }

    fn add(&mut self, x: &[f32], y: &[f32]) {
        for (x, y) in x.iter().zip(y) {
            self.errors += (f64::from(*x) - f64::from(*y)).powi(2);
            self.weights += f64::from(*x).powi(2);
        }
    }
}

/// Converts tensors of a file.
pub struct Converter<'c> {
    file: &'c Gguf,
    imatrix: Option<&'c Imatrix>,
    pool: Pool,
    /// Encoders by format.
    encoders: BTreeMap<&'static str, Encoder>,
}

impl<'c> Converter<'c> {
    /// A converter that encodes on the threads of `pool`.
    pub fn new(file: &'c Gguf, imatrix: Option<&'c Imatrix>, pool: Pool) -> Self {
        Self { file, imatrix, pool, encoders: BTreeMap::new() }
    }

    /// Does a step: the tensor's new bytes go to `out`. `done` hears of weights as they are done. Returns the error, unless the
    /// bytes stay the same.
    pub fn convert(&mut self, step: &Step<'_>, out: &mut GgufWriter, done: &mut dyn FnMut(u64)) -> Result<Option<Squares>> {
        let (tensor, from) = (step.tensor, step.from.shape());
        let bytes = self.file.bytes(tensor, from)?;
        if step.copies() {
            out.write(bytes)?;
            self.file.release(bytes);
            done(step.weights() as u64);
            return Ok(None);
        }
        let k = tensor.k();
        // Each of the matrices that are stacked in a tensor has importances of its own.
        let rows = tensor.dims.get(1).map_or(1, |rows| *rows as usize);
        let importance = match self.imatrix {
            Some(imatrix) => imatrix.importance(&tensor.name, k, step.stacked())?,
            None => None,
        };
        let row_bytes = from.header + k / from.weights * from.bytes;
        let at_once = (AT_ONCE / k.max(1)).max(1);
        let mut squares = Squares::default();
        for (matrix, bytes) in bytes.chunks(rows.saturating_mul(row_bytes).max(1)).enumerate() {
            let importance = importance.as_ref().map(|all| &all[matrix * k..][..k]);
            for (part, bytes) in bytes.chunks(at_once * row_bytes).enumerate() {
                let mut x = vec![0.0; bytes.len() / row_bytes * k];
                step.from.decode(k, bytes, &mut x)?;
                let first = (matrix * rows + part * at_once) * k;
                let encoded = self.encode(step.to, &x, k, importance).map_err(|error| named(error, &tensor.name, first))?;
                out.write(&encoded)?;
                let mut y = vec![0.0; x.len()];
                step.to.decode(k, &encoded, &mut y)?;
                squares.add(&x, &y);
                self.file.release(bytes);
                done(x.len() as u64);
            }
        }
        Ok(Some(squares))
    }

    fn encode(&mut self, to: Stored, x: &[f32], k: usize, importance: Option<&[f32]>) -> Result<Vec<u8>> {
        match to {
            Stored::Plain => Ok(x.iter().flat_map(|x| x.to_le_bytes()).collect()),
            Stored::Items(items) => Err(not_weights(items)),
            Stored::Blocks(format, _) => {
                let encoder = match self.encoders.entry(format.name) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(free) => free.insert(Encoder::new(format)?),
                };
                encoder.encode(x, k, importance, &self.pool)
            }
        }
    }
}

/// An error of some rows as one of the tensor that they are from; `first` is the place of the first of their weights.
fn named(error: Error, tensor: &str, first: usize) -> Error {
    match error {
        Error::BadValue { index, wanted, .. } => {
            Error::BadValue { what: format!("tensor {tensor:?}"), index: first + index, wanted }
        }
        other => other,
    }
}
