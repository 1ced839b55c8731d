//! Stored weights: bytes that are known to be as many as a format needs.

use std::borrow::Cow;
use std::ops::Range;

pub use quantloom_kernels::stored::{Axis, Holds, Index, Map, Nested, Setting, Spec, Storage, Tensor, Word};

use crate::error::{Error, Result};
use crate::machine::StandardFloats;
use crate::registry::Format;

/// N rows of K weights as they are stored: rows of blocks, or separate tensors.
#[derive(Clone, Debug)]
pub struct Stored<'a> {
    format: &'static Format,
    n: usize,
    k: usize,
    tensors: Vec<Part<'a>>,
}

/// A tensor, and who has its bytes: a file, or itself where the file has it in another form.
#[derive(Clone, Debug)]
struct Part<'a> {
    shape: Vec<usize>,
    item: usize,
    bytes: Cow<'a, [u8]>,
}

impl<'a> Stored<'a> {
    /// `n` rows of `k` weights in `bytes`: row after row, or one separate tensor after the other in the order of the card.
    ///
    /// # Errors
    /// [`Error::BadK`] or [`Error::BadN`] if the format cannot store such a matrix, [`Error::Shape`] if `bytes` are not as many as it
    /// takes.
    pub fn new(format: &'static Format, n: usize, k: usize, bytes: &'a [u8]) -> Result<Self> {
        check(format, n, k)?;
        let tensors = format.split(n, k, bytes).ok_or_else(|| wrong_bytes(format.stored_bytes(n, k), bytes.len()))?;
        Self::from_tensors(format, n, k, &tensors.iter().map(Tensor::bytes).collect::<Vec<_>>())
    }

    /// `n` rows of `k` weights in separate tensors, in the order of the card.
    ///
    /// # Errors
    /// As [`Stored::new`].
    pub fn from_tensors(format: &'static Format, n: usize, k: usize, tensors: &[&'a [u8]]) -> Result<Self> {
        Self::from_parts(format, n, k, tensors.iter().map(|&bytes| bytes.into()).collect())
    }

    /// The same of tensors some of which are in memory of their own.
    pub(crate) fn from_parts(format: &'static Format, n: usize, k: usize, tensors: Vec<Cow<'a, [u8]>>) -> Result<Self> {
        check(format, n, k)?;
        let shapes = format.shapes(n, k).ok_or_else(|| wrong_bytes(None, 0))?;
        if tensors.len() != shapes.len() {
            return Err(Error::Shape { what: "stored weights", unit: "tensors", found: tensors.len(), wanted: shapes.len() });
        }
        let of = |((shape, item), bytes): ((Vec<usize>, usize), Cow<'a, [u8]>)| {
            let wanted = || shape.iter().try_fold(item, |all, length| all.checked_mul(*length));
            if Tensor::new(&shape, item, &bytes).is_none() {
                return Err(wrong_bytes(wanted(), bytes.len()));
            }
            Ok(Part { shape, item, bytes })
        };
        let tensors = shapes.into_iter().zip(tensors).map(of).collect::<Result<_>>()?;
        Ok(Self { format, n, k, tensors })
    }

    /// The format.
    #[must_use]
    pub fn format(&self) -> &'static Format {
        self.format
    }

    /// Rows.
    #[must_use]
    pub fn n(&self) -> usize {
        self.n
    }

    /// Weights of a row.
    #[must_use]
    pub fn k(&self) -> usize {
        self.k
    }

    /// The tensors that packers and decoders read.
    pub(crate) fn tensors(&self) -> Vec<Tensor<'_>> {
        // None is left out: each was made once before.
        self.tensors.iter().filter_map(|Part { shape, item, bytes }| Tensor::new(shape, *item, bytes)).collect()
    }

    /// Decodes rows to f32, one after the other.
    ///
    /// # Errors
    /// [`Error::Shape`] if there are no such rows, or `out` does not have one place per weight.
    pub fn decode(&self, rows: Range<usize>, out: &mut [f32]) -> Result<()> {
        if rows.start > rows.end || rows.end > self.n {
            return Err(Error::Shape {
                what: "the stored matrix",
                unit: "rows",
                found: self.n,
                wanted: rows.end.max(rows.start),
            });
        }
        let wanted = rows.len() * self.k;
        if out.len() != wanted {
            return Err(Error::Shape { what: "the decoded weights", unit: "values", found: out.len(), wanted });
        }
        let _floats = StandardFloats::set();
        let tensors = self.tensors();
        if self.k > 0 {
            for (row, out) in rows.zip(out.chunks_exact_mut(self.k)) {
                (self.format.decode)(&tensors, row, out);
            }
        }
        Ok(())
    }
}

/// Whether a format can store `n` rows of `k` weights.
fn check(format: &Format, n: usize, k: usize) -> Result<()> {
    if !k.is_multiple_of(format.block_weights) {
        return Err(Error::BadK { format: format.name.to_owned(), k, multiple: format.block_weights });
    }
    let multiple = format.row_multiple();
    if !n.is_multiple_of(multiple) {
        return Err(Error::BadN { format: format.name.to_owned(), n, multiple });
    }
    Ok(())
}

fn wrong_bytes(wanted: Option<usize>, found: usize) -> Error {
    match wanted {
        Some(wanted) => Error::Shape { what: "stored weights", unit: "bytes", found, wanted },
        None => Error::OutOfMemory { bytes: usize::MAX },
    }
}
