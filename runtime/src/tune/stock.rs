//! The weights that are measured on: the model's own, and copies of them where those alone would stay in a cache.

use std::time::Duration;

use super::deadline::Deadline;
use crate::error::Result;
use crate::machine::Caches;
use crate::weights::Weights;

/// From this batch on, weights are used often enough that it does not matter where they come from.
const REUSED: usize = 32;
/// Memory that copies may fill. Where the last cache is larger, they come from there, but not from a core's own.
const MOST: usize = 64 << 20;

/// Matrices of one format and shape, in memory of their own each.
#[derive(Debug)]
pub struct Stock {
    matrices: Vec<Weights>,
}

impl Stock {
    /// A stock of some matrices, at least one, in the memory where they are.
    pub fn new(matrices: &[&Weights]) -> Self {
        Self { matrices: matrices.iter().map(|matrix| matrix.rows(0, matrix.n())).collect() }
    }

    /// Any of the matrices.
    pub fn sample(&self) -> &Weights {
        &self.matrices[0]
    }

    /// Adds copies until a walk over all weights finds none of them in the caches of `threads` cores, if that matters for batches
    /// of `batch`. Whether there was time for it.
    ///
    /// # Errors
    /// [`crate::Error::OutOfMemory`].
    pub fn chill(&mut self, batch: usize, caches: &Caches, threads: usize, deadline: Deadline) -> Result<bool> {
        let each = self.sample().held_bytes();
        let wanted = if batch < REUSED { cold_bytes(caches, threads).div_ceil(each) } else { 1 };
        while self.matrices.len() < wanted {
            if !deadline.allows(Duration::ZERO) {
                return Ok(false);
            }
            self.matrices.push(self.sample().duplicate()?);
        }
        Ok(true)
    }

    /// The matrices in pieces of `rows` rows: a multiple of [`Weights::tile_rows`], or all rows.
    pub fn pieces(&self, rows: usize) -> Vec<Weights> {
        let firsts = (0..=self.sample().n() - rows).step_by(rows);
        self.matrices.iter().flat_map(|matrix| firsts.clone().map(|first| matrix.rows(first, rows))).collect()
    }
}

/// Memory that is not in a cache after a walk over it: twice the last cache, at least twice those of the cores.
fn cold_bytes(caches: &Caches, threads: usize) -> usize {
    let own = caches.l2.max(caches.l1d) * threads;
    (2 * caches.last_level()).min(MOST).max(2 * own)
}

#[cfg(test)]
mod tests {
    use quantloom_kernels::abi::TILE_ROWS;

    use super::*;
    use crate::matmul::{Request, matmul};
    use crate::pool::Pool;
    use crate::tune::fake;

    const CACHES: Caches = Caches { l1d: 32 << 10, l2: 64 << 10, l3: 0, l3_sharers: 1 };

    #[test]
    fn pieces_are_rows_of_the_matrices() {
        let whole = fake::weights(150, 2);
        let (n, k, rows) = (whole.n(), whole.k(), TILE_ROWS);
        let request = Request::default().numerics(fake::kernels(&whole)[0].numerics);
        let x = crate::measure::activations(2, k).unwrap();
        let product = |weights: &Weights| {
            let mut y = vec![0.0; 2 * weights.n()];
            matmul(weights, &x, 2, &mut y, &request, Pool::global()).unwrap();
            y
        };
        let wanted = product(&whole);
        let pieces = Stock::new(&[&whole, &whole]).pieces(rows);
        assert_eq!(pieces.len(), 2 * (n / rows));
        for (index, piece) in pieces.iter().enumerate() {
            let first = index % (n / rows) * rows;
            let part = wanted.chunks(n).flat_map(|column| column[first..first + rows].to_vec()).collect::<Vec<_>>();
            assert_eq!(product(piece), part);
            assert_eq!(product(&piece.duplicate().unwrap()), part);
        }
    }

    #[test]
    fn small_batches_get_cold_weights_while_there_is_time() {
        let weights = fake::weights(32, 1);
        let copies = |batch, budget| {
            let mut stock = Stock::new(&[&weights]);
            let done = stock.chill(batch, &CACHES, 2, Deadline::after(budget)).unwrap();
            (done, stock.pieces(32).len())
        };
        assert_eq!(copies(1, Duration::MAX), (true, (256_usize << 10).div_ceil(weights.held_bytes())));
        assert_eq!(copies(REUSED, Duration::MAX), (true, 1));
        assert_eq!(copies(1, Duration::ZERO), (false, 1));
    }

    #[test]
    fn cold_memory_is_larger_than_the_caches_of_the_cores() {
        let caches = |l3| Caches { l1d: 32 << 10, l2: 1 << 20, l3, l3_sharers: 4 };
        assert_eq!(cold_bytes(&caches(0), 4), 8 << 20);
        assert_eq!(cold_bytes(&caches(16 << 20), 4), 32 << 20);
        assert_eq!(cold_bytes(&caches(256 << 20), 4), 64 << 20);
        assert_eq!(cold_bytes(&caches(256 << 20), 64), 128 << 20);
    }
}
