//! The sizes of a product of a matrix and a vector, checked once for every host.

use super::{Error, Kernels, Result};

/// Rows of stored blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Rows.
    pub rows: u32,
    /// Weights of a row.
    pub k: usize,
    /// Blocks of a row.
    pub blocks: u32,
    /// Segments of a row.
    pub segments: u32,
}

impl Shape {
    /// The shape of `rows` rows of `k` weights in `stored` bytes.
    ///
    /// # Errors
    /// [`Error::Size`] if a row is not whole blocks, `stored` is not `rows` rows, or indices would not fit 32 bits.
    pub fn new(kernels: &Kernels<'_>, rows: usize, k: usize, stored: usize) -> Result<Self> {
        let block = kernels.block;
        if !k.is_multiple_of(block.weights) {
            return Err(size("the length of a row", k, format!("a multiple of {} needed", block.weights)));
        }
        let blocks = k / block.weights;
        let bytes = rows.checked_mul(blocks).and_then(|blocks| blocks.checked_mul(block.bytes));
        if bytes != Some(stored) {
            return Err(size("the bytes of the weights", stored, format!("{rows} rows of {k} weights needed")));
        }
        let most = stored.max(rows.saturating_mul(k));
        if u32::try_from(most).is_err() {
            return Err(size("the weights", most, format!("at most {} bytes and weights possible", u32::MAX)));
        }
        let segments = k.div_ceil(kernels.segment);
        // None of them is larger than `most`, except that a row may be empty.
        Ok(Self { rows: rows as u32, k, blocks: blocks as u32, segments: segments as u32 })
    }

    /// Checks that `x` is one vector of activations.
    ///
    /// # Errors
    /// [`Error::Size`] if it is not.
    pub fn check_vector(&self, x: &[f32]) -> Result<()> {
        if x.len() == self.k { Ok(()) } else { Err(size("the activations", x.len(), format!("{} needed", self.k))) }
    }

    /// Checks how many groups share a row.
    ///
    /// # Errors
    /// [`Error::Size`] if it is none, or more than `most`.
    pub fn check_split(&self, splitk: usize, most: u32) -> Result<u32> {
        let splits = u32::try_from(splitk).ok().filter(|splits| (1..=most).contains(splits));
        splits.ok_or_else(|| size("the split of K", splitk, format!("1 to {most} possible")))
    }

    /// Weights of all rows.
    #[must_use]
    pub const fn weights(&self) -> usize {
        self.rows as usize * self.k
    }

    /// Partial sums of a product.
    #[must_use]
    pub const fn partials(&self) -> usize {
        self.rows as usize * self.segments as usize
    }
}

fn size(what: &'static str, found: usize, wanted: String) -> Error {
    Error::Size { what, found, wanted }
}
