//! The kernels against the definitions of their numerics classes.

use super::definition::Row;
use super::samples::{activations, moderate};
use super::{Definition, Failure, card, same};
use crate::matmul::{Request, matmul};
use crate::pool::Pool;
use crate::registry::{self, Format, Kernel, Numerics, kernels};
use crate::weights::Weights;

/// Batch sizes: around every width of a tile, and some of many column groups.
const BATCHES: [usize; 13] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 31, 32, 33, 256];

/// Rows of activations that differ; larger batches repeat them. No tile is as wide, so that a row meets every column of a tile.
const DISTINCT: usize = 33;

/// Multiplies by every kernel that this processor runs: batches of 1 to 9, 31 to 33 and 256, on one thread and on two; N and K that
/// are whole tiles, units and segments, and such that are not. Every result must have the bits of the plain evaluation of its numerics
/// class, but for those of a NaN. Returns how many products were compared; 0 if the format has no kernels.
///
/// # Errors
/// The first kernel that gives other bits.
pub fn products(format: &'static Format) -> Result<usize, Failure> {
    let shapes = [(37_usize, 1), (16, 3), (34, (1280 / format.block_weights).max(4))];
    shapes.into_iter().map(|(n, blocks)| products_of(format, n.next_multiple_of(format.row_multiple()), blocks, &BATCHES)).sum()
}

/// As [`products`], with N rows of so many blocks and with batches of the caller's.
///
/// # Errors
/// The first kernel that gives other bits; rows that the format does not divide into, and sizes beyond memory.
pub fn products_of(format: &'static Format, n: usize, blocks: usize, batches: &[usize]) -> Result<usize, Failure> {
    if kernels(format).is_empty() {
        return Ok(0);
    }
    let card = card(format)?;
    let definition = Definition::new(card);
    let pool = Pool::new(2);
    let k = blocks * format.block_weights;
    let stored = moderate(format, card, n, k)?;
    let weights = Weights::pack(format, n, k, &stored, &pool).map_err(|error| Failure::new(format, error))?;
    let problem = Problem::new(&definition, weights, &stored, batches, &pool);
    registry::numerics(format).into_iter().map(|numerics| problem.check(numerics)).sum()
}

/// Weights and activations.
struct Problem<'a> {
    rows: Vec<Row<'a>>,
    weights: Weights,
    x: Vec<f32>,
    batches: &'a [usize],
    pool: &'a Pool,
}

impl<'a> Problem<'a> {
    fn new(definition: &'a Definition<'a>, weights: Weights, stored: &[u8], batches: &'a [usize], pool: &'a Pool) -> Self {
        let (n, k) = (weights.n(), weights.k());
        let distinct = activations(DISTINCT, k);
        let most = batches.iter().copied().max().unwrap_or_default();
        let x = distinct.iter().copied().cycle().take(most * k).collect();
        Self { rows: definition.rows(weights.format(), n, k, stored), weights, x, batches, pool }
    }

    /// Compares all kernels of a class.
    fn check(&self, numerics: Numerics) -> Result<usize, Failure> {
        let kernels = kernels(self.weights.format()).iter();
        let kernels = kernels.filter(|kernel| kernel.numerics == numerics && kernel.isa().is_available()).collect::<Vec<_>>();
        if kernels.is_empty() {
            return Ok(0);
        }
        let distinct = self.x.chunks(self.weights.k()).take(DISTINCT);
        let wanted = distinct.flat_map(|x| self.rows.iter().map(|row| row.product(numerics, x))).collect::<Vec<_>>();
        for kernel in &kernels {
            for (batch, threads) in self.batches.iter().flat_map(|&batch| [(batch, 1), (batch, 2)]) {
                self.compare(kernel, batch, threads, &wanted)?;
            }
        }
        Ok(kernels.len() * self.batches.len() * 2)
    }

    /// Compares one product with the results that are right for the distinct rows of activations.
    fn compare(&self, kernel: &'static Kernel, batch: usize, threads: usize, wanted: &[f32]) -> Result<(), Failure> {
        let (n, k) = (self.weights.n(), self.weights.k());
        let request = Request::default().launch(kernel).threads(threads);
        let mut y = vec![f32::NAN; batch * n];
        let fail = |what: String| Failure::new(self.weights.format(), what);
        matmul(&self.weights, &self.x[..batch * k], batch, &mut y, &request, self.pool)
            .map_err(|error| fail(error.to_string()))?;
        let differs = y.iter().zip(wanted.iter().cycle()).position(|(found, wanted)| !same(*found, *wanted));
        differs.map_or(Ok(()), |index| {
            let (found, right) = (y[index], wanted[index % wanted.len()]);
            let place = format!("N {n}, K {k}, batch {batch}, {threads} threads: row {} of column {}", index % n, index / n);
            Err(fail(format!("{} with {place} gives {found:e}; by definition it is {right:e}", kernel.name)))
        })
    }
}
