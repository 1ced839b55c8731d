//! The gate before the clock: a kernel whose bits differ is out, however fast it is.

use quantloom_kernels::abi::TILE_ROWS;

use crate::error::Result;
use crate::limits;
use crate::matmul::{ByCards, Context, Request, matmul};
use crate::pool::Pool;
use crate::registry::Kernel;
use crate::weights::Weights;

/// A product that kernels of one class are compared on: hard activations by the first rows of some weights, all of K.
#[derive(Debug)]
pub struct Gate<'a> {
    rows: Weights,
    x: Vec<f32>,
    batch: usize,
    pool: &'a Pool,
}

impl<'a> Gate<'a> {
    /// A gate for kernels of at most `cols` columns.
    ///
    /// # Errors
    /// [`crate::Error::OutOfMemory`].
    pub fn new(weights: &Weights, cols: usize, pool: &'a Pool) -> Result<Self> {
        // A tile and some rows by a column group and one: the smallest product in which every tile has a neighbour and a tail.
        let rows = weights.rows(0, weights.n().min(TILE_ROWS + 5));
        let batch = cols + 1;
        Ok(Self { x: hard_activations(batch, weights.k())?, rows, batch, pool })
    }

    /// The bits that a kernel gives. Those of what is not a number are no part of any class, and come as the same ones.
    ///
    /// # Errors
    /// What [`matmul`] reports.
    pub fn bits(&self, kernel: &'static Kernel) -> Result<Vec<u32>> {
        let request = Request::default().launch(kernel);
        let mut y = limits::zeros(self.batch, self.rows.n())?;
        // What a kernel leaves out is found.
        y.fill(f32::NAN);
        matmul(&self.rows, &self.x, self.batch, &mut y, &request, Context::new(self.pool, &ByCards))?;
        Ok(y.into_iter().map(|value| if value.is_nan() { f32::NAN } else { value }.to_bits()).collect())
    }
}

/// `batch` rows of `k` activations that are zero, tiny, of both signs, of very different sizes, at the limit of the quantised
/// range, or ordinary. All are finite.
fn hard_activations(batch: usize, k: usize) -> Result<Vec<f32>> {
    let patterns: [fn(usize) -> f32; 7] = [
        ordinary,
        |_| 0.0,
        |_| 1e-42,
        |index| if index % 2 == 0 { 1.0 } else { -1.0 },
        |index| if index % 256 == 3 { 1e30 } else { 1e-30 },
        |index| if index % 32 < 16 { -0.0 } else { -3.0 },
        |index| ordinary(index) * 1e-3,
    ];
    // The rows of a second turn of the patterns begin elsewhere in them.
    let rows = (0..batch).map(|row| (patterns[row % patterns.len()], row));
    let mut values = limits::room(limits::product(batch, k)?)?;
    values.extend(rows.flat_map(|(pattern, row)| (row..row + k).map(pattern)));
    Ok(values)
}

/// A value between -1 and 1 that looks random.
fn ordinary(index: usize) -> f32 {
    ((index as u32).wrapping_mul(0x9e37_79b9) >> 8) as f32 / (1 << 23) as f32 - 1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hard_activations_are_finite_and_differ() {
        let x = hard_activations(15, 64).unwrap();
        assert!(x.iter().all(|value| value.is_finite()));
        let rows = x.chunks(64).map(|row| row.iter().map(|value| value.to_bits()).collect::<Vec<_>>());
        let distinct = rows.collect::<std::collections::HashSet<_>>();
        assert!(distinct.len() >= 10, "{}", distinct.len());
    }
}
