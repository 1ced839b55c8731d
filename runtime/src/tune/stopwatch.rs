//! Times of kernels with their arguments, taken on a part of the work.

use std::time::{Duration, Instant};

use super::stock::Stock;
use quantloom_kernels::abi::TILE_ROWS;

use crate::error::Result;
use crate::limits;
use crate::matmul::Launch;
use crate::matmul::activations::{Input, Prepared, Reader};
use crate::matmul::epilogue::Epilogue;
use crate::matmul::tiles::{self, Product, Task};
use crate::measure;
use crate::pool::Pool;
use crate::weights::Weights;

/// Takes of a sample, of which the median counts: one that another program disturbs does not matter.
const TAKES: usize = 3;
/// About how long a take lasts at most: of more work than that, a part is measured.
const LONG: Duration = Duration::from_micros(500);
/// About how long it lasts at least: of less work, several repetitions are measured.
const SHORT: Duration = Duration::from_micros(150);
/// A take that lasts so long averages over what disturbs it: one counts.
const ENOUGH: Duration = Duration::from_millis(2);
/// Tiles for each thread in a part: enough to share them fairly.
const TILES: usize = 4;

/// Times multiplications of one batch size, each on other weights than the one before.
#[derive(Debug)]
pub struct Stopwatch<'a> {
    pool: &'a Pool,
    threads: usize,
    /// Rows of the whole product.
    n: usize,
    pieces: Vec<Weights>,
    next: usize,
    /// Multiplications of a take.
    calls: usize,
    x: Vec<f32>,
    y: Vec<f32>,
}

impl<'a> Stopwatch<'a> {
    /// A stopwatch for products of a batch and `n` rows, of which the matrices of a stock are samples. `launch` tells how large a
    /// part is measured.
    ///
    /// # Errors
    /// As [`Stopwatch::time`].
    pub fn new(stock: &Stock, n: usize, batch: usize, launch: Launch, threads: usize, pool: &'a Pool) -> Result<Self> {
        let (rows_at_hand, k, unit) = (stock.sample().n(), stock.sample().k(), TILE_ROWS * threads);
        let least = least_rows(threads).min(rows_at_hand);
        let x = measure::activations(batch, k)?;
        let mut watch = Self { pool, threads, n, pieces: stock.pieces(least), next: 0, calls: 1, x, y: Vec::new() };
        // The first call finds nothing ready, not even the threads.
        watch.take(launch)?;
        let whole = watch.time(launch)?;
        let fitting = (n as f64 * nanoseconds(LONG) / whole) as usize / unit * unit;
        let rows = if fitting < rows_at_hand { fitting.max(least) } else { rows_at_hand };
        watch.pieces = stock.pieces(rows);
        watch.calls = (nanoseconds(SHORT) / (whole * rows as f64 / n as f64)).ceil().max(1.0) as usize;
        Ok(watch)
    }

    /// The nanoseconds that `launch` takes for all rows, preparing the activations included.
    ///
    /// # Errors
    /// [`crate::Error::OutOfMemory`].
    pub fn time(&mut self, launch: Launch) -> Result<f64> {
        let start = Instant::now();
        let mut takes = [self.take(launch)?; TAKES];
        if start.elapsed() >= ENOUGH {
            return Ok(takes[0]);
        }
        for take in &mut takes[1..] {
            *take = self.take(launch)?;
        }
        takes.sort_unstable_by(f64::total_cmp);
        Ok(takes[TAKES / 2])
    }

    fn take(&mut self, launch: Launch) -> Result<f64> {
        let (mut prepare, mut multiply) = (Duration::ZERO, Duration::ZERO);
        for _ in 0..self.calls {
            let (prepared, multiplied) = self.call(launch)?;
            prepare += prepared;
            multiply += multiplied;
        }
        // Activations are prepared once, however many rows use them.
        let share = self.n as f64 / self.pieces[0].n() as f64;
        let total = nanoseconds(prepare) + nanoseconds(multiply) * share;
        Ok((total / self.calls as f64).max(1.0))
    }

    /// One multiplication by the piece whose turn it is: how long its two halves take.
    fn call(&mut self, launch: Launch) -> Result<(Duration, Duration)> {
        let piece = &self.pieces[self.next % self.pieces.len()];
        self.next += 1;
        let batch = self.x.len() / piece.k();
        let values = limits::product(batch, piece.n())?;
        if self.y.len() < values {
            self.y = limits::zeros(batch, piece.n())?;
        }
        let start = Instant::now();
        let reader = Reader { kernel: launch.kernel, class: piece.class() };
        let input = Input { x: &self.x, k: piece.k(), norm: None };
        let activations = Prepared::new(&[reader], &input, self.threads, self.pool)?;
        let prepared = start.elapsed();
        let products = [Product { weights: piece, launch, groups: activations.groups(0) }];
        let task = Task { products: &products, epilogue: Epilogue::default(), y: &mut self.y[..values] };
        tiles::run([task], self.threads, self.pool);
        Ok((prepared, start.elapsed() - prepared))
    }
}

/// Rows that are measured at least, where there are so many.
pub fn least_rows(threads: usize) -> usize {
    TILES * TILE_ROWS * threads
}

fn nanoseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e9
}
