//! Measuring multiplications: weights to measure with, times, and how far they are from the machine's ceilings.

mod fraction;
pub mod mix;
mod synthetic;

use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::limits;
use crate::machine::{Ceilings, Facts, Gauge};
use crate::matmul::{Context, Request, Used, matmul};
use crate::pool::Pool;
use crate::registry::{self, Isa, Numerics};
use crate::stored::Stored;
use crate::weights::Weights;
pub use fraction::Fraction;
use synthetic::Random;
pub use synthetic::synthetic;

/// From this batch on, weights are used often enough that it does not matter where they come from.
const REUSED: usize = 32;
/// Memory that copies of weights may take, and how many there may be: small ones leave the caches of a core with fewer.
const MOST_BYTES: usize = 1 << 30;
const MOST_COPIES: usize = 256;

/// `batch` rows of `k` activations between -1 and 1, the same on every call.
///
/// # Errors
/// [`crate::Error::OutOfMemory`].
pub fn activations(batch: usize, k: usize) -> Result<Vec<f32>> {
    let mut random = Random(2);
    let count = limits::product(batch, k)?;
    let mut values = limits::room(count)?;
    values.extend((0..count).map(|_| f32::from(random.byte()) / 127.5 - 1.0));
    Ok(values)
}

/// The times of repeated calls.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Times {
    /// The median.
    pub median: Duration,
    /// The shortest.
    pub min: Duration,
}

impl Times {
    /// Calls `work` with 0, 1, ... until `budget` is spent, at least three times after one call that does not count.
    ///
    /// # Errors
    /// What `work` reports.
    pub fn of(budget: Duration, mut work: impl FnMut(usize) -> Result<()>) -> Result<Self> {
        const LEAST: usize = 3;
        work(0)?;
        let start = Instant::now();
        let mut times = Vec::new();
        while times.len() < LEAST || start.elapsed() < budget {
            let call = Instant::now();
            work(times.len() + 1)?;
            times.push(call.elapsed());
        }
        Ok(Self::sorted(times))
    }

    /// As [`Times::of`], in turns between which `gauge` measures, and the ceilings for the instruction set `isa` in these rounds.
    ///
    /// # Errors
    /// What `work` reports.
    pub fn beside(
        gauge: &mut Gauge,
        isa: &str,
        budget: Duration,
        mut work: impl FnMut(usize) -> Result<()>,
    ) -> Result<(Self, Ceilings)> {
        const LEAST: usize = 3;
        /// About how long a turn takes, at least one call.
        const TURN: Duration = Duration::from_millis(20);
        /// The first call of a turn wakes threads and finds caches that others have used. It is left out, unless it takes so long that
        /// this does not matter.
        const LONG: Duration = Duration::from_millis(5);
        work(0)?;
        let (start, first) = (Instant::now(), gauge.rounds());
        let (mut times, mut calls) = (Vec::new(), 0);
        while gauge.rounds() < first + LEAST || start.elapsed() < budget {
            gauge.round(isa);
            let (turn, before) = (Instant::now(), times.len());
            let mut is_first = true;
            while times.len() == before || turn.elapsed() < TURN {
                let call = Instant::now();
                calls += 1;
                work(calls)?;
                let time = call.elapsed();
                if !is_first || time >= LONG {
                    times.push(time);
                }
                is_first = false;
            }
        }
        Ok((Self::sorted(times), gauge.ceilings_since(first, isa)))
    }

    /// Of some times, one at least.
    fn sorted(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self { median: times[times.len() / 2], min: times[0] }
    }
}

/// Copies of `bytes` of weights that each of several contenders uses in turn for batches of `batch`, so that none is found in a cache,
/// as long as the others take turns in between: one, if they are reused anyway.
#[must_use]
pub fn copies(bytes: usize, batch: usize) -> usize {
    copies_beyond(Facts::detect().caches.last_level() * 3 / 2, bytes, batch)
}

/// Copies of `bytes` of weights that fill so much memory.
fn copies_beyond(memory: usize, bytes: usize, batch: usize) -> usize {
    if batch >= REUSED {
        return 1;
    }
    memory.min(MOST_BYTES).div_ceil(bytes.max(1)).clamp(1, MOST_COPIES)
}

/// Weights to measure with, in as many copies as it takes to find none of them in a cache.
#[derive(Debug)]
pub struct Cold {
    copies: Vec<Weights>,
}

impl Cold {
    /// Copies of `weights` for batches of `batch`: one, if they are reused anyway.
    ///
    /// # Errors
    /// [`crate::Error::OutOfMemory`].
    pub fn new(weights: Weights, batch: usize) -> Result<Self> {
        // Of one and a half times its size, a large cache keeps a part until it is read again.
        let wanted = copies_beyond(Facts::detect().caches.last_level() * 4, weights.held_bytes(), batch);
        let mut copies = vec![weights];
        while copies.len() < wanted {
            copies.push(copies[0].duplicate()?);
        }
        Ok(Self { copies })
    }

    /// The weights of call `index`.
    #[must_use]
    pub fn weights(&self, index: usize) -> &Weights {
        &self.copies[index % self.copies.len()]
    }

    /// Times a multiplication, in turn with the ceilings of the instruction set that it runs on.
    ///
    /// # Errors
    /// What [`matmul`] reports, [`Error::OutOfMemory`].
    pub fn time<'c>(
        &self,
        batch: usize,
        request: &Request,
        context: impl Into<Context<'c>>,
        gauge: &mut Gauge,
        budget: Duration,
    ) -> Result<(Used, Times, Ceilings)> {
        let (weights, context) = (self.weights(0), context.into());
        let x = activations(batch, weights.k())?;
        let mut y = limits::zeros(batch, weights.n())?;
        let used = matmul(weights, &x, batch, &mut y, request, context)?;
        let work = |index| matmul(self.weights(index), &x, batch, &mut y, request, context).map(drop);
        let (times, ceilings) = Times::beside(gauge, used.launch.kernel.isa().name, budget, work)?;
        Ok((used, times, ceilings))
    }
}

/// What a multiplication moves and computes.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// Bytes of the weights in their file.
    pub stored_bytes: usize,
    /// Bytes of the weights in memory.
    pub packed_bytes: usize,
    /// Operations; a multiplication and an addition are two.
    pub operations: f64,
}

impl Work {
    /// Of a batch.
    #[must_use]
    pub fn of(weights: &Weights, batch: usize) -> Self {
        Self {
            stored_bytes: weights.stored_bytes(),
            packed_bytes: weights.held_bytes(),
            operations: 2.0 * weights.n() as f64 * weights.k() as f64 * batch as f64,
        }
    }

    /// The time, in seconds, that the machine's ceilings allow, and which of them it is.
    #[must_use]
    pub fn ideal(&self, numerics: Numerics, ceilings: &Ceilings) -> (f64, Limit) {
        self.ideal_of(numerics, ceilings, 1.0)
    }

    /// As [`Work::ideal`], for a kernel that reaches no more than this part of the ceiling of arithmetic: see [`mix::share`].
    #[must_use]
    pub fn ideal_of(&self, numerics: Numerics, ceilings: &Ceilings, share: f64) -> (f64, Limit) {
        let peak = match numerics {
            Numerics::Exact => ceilings.f32_gflops,
            Numerics::Int8 => ceilings.int8_gops,
        };
        let memory = self.packed_bytes as f64 / (ceilings.read_gbps * 1e9);
        let arithmetic = self.operations / (peak * share * 1e9);
        if memory >= arithmetic { (memory, Limit::Memory) } else { (arithmetic, Limit::Arithmetic) }
    }
}

/// The ceiling that bounds a multiplication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Reading the weights.
    Memory,
    /// Multiplying and adding.
    Arithmetic,
}

/// Seconds that it takes to decode weights to f32, row by row, and multiply each row in f32: what fused kernels save. Rows beyond
/// `most` are not measured but taken to cost the same.
///
/// # Errors
/// [`Error::MissingIsa`] if this processor lacks the instruction set; [`Error::OutOfMemory`]; what decoding reports.
pub fn unfused(stored: &Stored<'_>, batch: usize, isa: &Isa, most: usize, pool: &Pool) -> Result<f64> {
    if !isa.is_available() {
        return Err(Error::MissingIsa { name: isa.name.to_owned(), best: registry::best_isa().name.to_owned() });
    }
    let (n, k) = (stored.n(), stored.k());
    let measured = n.min(most);
    let x = activations(batch, k)?;
    let work = |row: usize| {
        let mut weights = vec![0.0; k];
        let decoded = stored.decode(row..row + 1, &mut weights);
        // SAFETY: the instruction set is available, as was looked up above.
        let sum = x.chunks_exact(k).map(|x| unsafe { (isa.rows().dot)(&weights, x) }).sum::<f32>();
        std::hint::black_box((decoded.is_ok(), sum));
    };
    let times = Times::of(Duration::from_millis(20), |_| {
        pool.run(measured, work);
        Ok(())
    })?;
    Ok(times.median.as_secs_f64() * n as f64 / measured as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slower_ceiling_is_the_limit() {
        let ceilings = Ceilings { isa: "any", threads: 1, read_gbps: 10.0, int8_gops: 1000.0, f32_gflops: 100.0 };
        let work = Work { stored_bytes: 1, packed_bytes: 10_000_000_000, operations: 1e12 };
        assert_eq!(work.ideal(Numerics::Int8, &ceilings), (1.0, Limit::Memory));
        assert_eq!(work.ideal(Numerics::Exact, &ceilings), (10.0, Limit::Arithmetic));
        assert_eq!(work.ideal_of(Numerics::Exact, &ceilings, 0.5), (20.0, Limit::Arithmetic));
        assert_eq!(work.ideal_of(Numerics::Int8, &ceilings, 0.25), (4.0, Limit::Arithmetic));
    }

    #[test]
    fn copies_outgrow_the_caches_until_weights_are_reused() {
        let beyond = Facts::detect().caches.last_level();
        let bytes = beyond / 4 + 1;
        assert!(copies(bytes, REUSED - 1) * bytes > beyond.min(MOST_BYTES - bytes));
        assert_eq!([copies(bytes, REUSED), copies(usize::MAX, 1), copies(0, 1)], [1, 1, MOST_COPIES]);
    }

    #[test]
    #[cfg_attr(miri, ignore = "measures")]
    fn what_is_compared_with_ceilings_runs_in_turn_with_them() {
        let mut gauge = Gauge::new(1);
        gauge.round("scalar");
        let mut calls = Vec::new();
        let slow = |call| {
            calls.push(call);
            std::thread::sleep(Duration::from_millis(6));
            Ok(())
        };
        let (times, ceilings) = Times::beside(&mut gauge, "scalar", Duration::ZERO, slow).unwrap();
        assert_eq!(gauge.rounds(), 4, "three of them beside the calls");
        assert_eq!(ceilings, gauge.ceilings_since(1, "scalar"));
        assert!(times.min >= Duration::from_millis(6) && times.min <= times.median);
        assert_eq!(calls, (0..calls.len()).collect::<Vec<_>>());
    }

    #[test]
    fn times_are_ordered() {
        let mut calls = 0;
        let times = Times::of(Duration::ZERO, |_| {
            calls += 1;
            Ok(())
        });
        let times = times.unwrap();
        assert!(times.min <= times.median);
        assert_eq!(calls, 4);
    }
}
