//! Problems without a model: shapes, and weights to measure them on.

use super::stopwatch::least_rows;
use super::{Choices, Effort, Key};
use crate::error::{Error, Result};
use crate::matmul::Request;
use crate::measure::synthetic;
use crate::pool::Pool;
use crate::registry::Format;
use crate::stored::Stored;
use crate::weights::{Layout, Weights};

/// Bytes of a sample, about: what a few threads read while one kernel is timed once.
const SAMPLE_BYTES: usize = 16 << 20;

/// Multiplications by matrices of one shape.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Problem {
    /// Format of the weights.
    pub format: &'static Format,
    /// Rows of the weights.
    pub n: usize,
    /// Weights of a row.
    pub k: usize,
    /// How the weights are held.
    pub layout: Layout,
    /// The batch sizes.
    pub batches: Vec<usize>,
    /// Class, instruction set and threads. The kernel is ignored.
    pub request: Request,
}

impl Problem {
    /// Multiplications by packed matrices.
    #[must_use]
    pub fn new(format: &'static Format, (n, k): (usize, usize), batches: Vec<usize>, request: Request) -> Self {
        Self { format, n, k, layout: Layout::Packed, batches, request }
    }

    /// The same, by matrices that are held like that.
    #[must_use]
    pub fn layout(self, layout: Layout) -> Self {
        Self { layout, ..self }
    }

    /// What a choice for one of the batch sizes is kept under, on a pool.
    #[must_use]
    pub fn key(&self, batch: usize, pool: &Pool) -> Key {
        let Self { format, n, k, layout, request, .. } = self;
        Key::of(format, (*n, *k), *layout, batch, request.numerics_of(format), request.isa_of(format), request.threads_of(pool))
    }

    /// The first batch size of each bucket.
    pub(super) fn distinct(&self, pool: &Pool) -> Vec<usize> {
        let mut keys = Vec::new();
        let mut is_new = |key: Key| {
            let new = !keys.contains(&key);
            keys.push(key);
            new
        };
        self.batches.iter().copied().filter(|&batch| is_new(self.key(batch, pool))).collect()
    }

    /// Those of them that nothing was measured for, or less thoroughly.
    pub(super) fn unknown(&self, choices: &Choices, effort: Effort, pool: &Pool) -> Vec<usize> {
        let batches = self.distinct(pool).into_iter();
        batches.filter(|&batch| choices.measured(&self.key(batch, pool), effort).is_none()).collect()
    }

    /// Weights to measure on, a part of the rows where there are many: the same on every call.
    ///
    /// # Errors
    /// What a format has to say against such a shape, [`Error::NoKernel`], [`Error::OutOfMemory`].
    pub(super) fn sample(&self, pool: &Pool) -> Result<Weights> {
        let (format, k) = (self.format, self.k);
        if !self.n.is_multiple_of(format.row_multiple()) {
            return Err(Error::BadN { format: format.name.to_owned(), n: self.n, multiple: format.row_multiple() });
        }
        let row_bytes = Weights::bytes_packed(format, least_rows(1), k)?.div_ceil(least_rows(1)).max(1);
        let rows = (SAMPLE_BYTES / row_bytes).max(least_rows(self.request.threads_of(pool)));
        // A larger sample would be cut into pieces of this many rows: a smaller rest is of no use.
        let rows = rows.next_multiple_of(least_rows(1)).next_multiple_of(format.row_multiple()).min(self.n);
        let stored = synthetic(format, rows, k)?;
        Weights::with_layout(&Stored::new(format, rows, k, &stored)?, self.layout, pool)
    }
}
