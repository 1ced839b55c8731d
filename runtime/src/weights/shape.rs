//! What weights are, without their bytes.

use super::{Layout, Weights};
use crate::error::Result;
use crate::registry::Format;

/// What kernels are chosen by: weights of that shape need not exist.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// The format.
    pub format: &'static Format,
    /// Rows.
    pub n: usize,
    /// Weights of a row.
    pub k: usize,
    /// The form that is held.
    pub layout: Layout,
}

impl Shape {
    /// Bytes of the form that is held: what a multiplication reads.
    ///
    /// # Errors
    /// As [`Weights::bytes_packed`], also where that is not the form.
    pub fn bytes(&self) -> Result<usize> {
        let packed = Weights::bytes_packed(self.format, self.n, self.k)?;
        Ok(match self.layout {
            Layout::Packed => packed,
            Layout::Stored => self.format.stored_bytes(self.n, self.k).unwrap_or(usize::MAX),
        })
    }
}

impl From<&Weights> for Shape {
    fn from(weights: &Weights) -> Self {
        Self { format: weights.format, n: weights.n, k: weights.k, layout: weights.layout() }
    }
}
