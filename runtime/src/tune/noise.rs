//! How far two measurements of one thing lie apart on this machine.

use std::time::Duration;

use super::Problem;
use super::deadline::Deadline;
use super::race::quantiles;
use super::stock::Stock;
use super::stopwatch::Stopwatch;
use crate::error::Result;
use crate::matmul::{self, Request, candidates, candidates_of};
use crate::pool::Pool;
use crate::registry;
use crate::weights::Layout;

/// Rows and weights of a row that are measured, about.
const SHAPE: (usize, usize) = (1024, 4096);

/// The batch size: small, so that memory takes part.
const BATCH: usize = 4;

/// Pairs of measurements, at least and at most.
const PAIRS: (usize, usize) = (5, 200);

/// The noise of measurements: of a kernel that races against itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Noise {
    /// How far the ratio of two times that were taken one after the other is from 1: the median,
    pub median: f64,
    /// and the ninth decile.
    pub p90: f64,
    /// Of all times, the ninth decile over the first.
    pub spread: f64,
    /// Pairs of times.
    pub pairs: usize,
}

impl Noise {
    /// The noise of pairs of times, at least one.
    fn of(pairs: &[(f64, f64)]) -> Self {
        let [median, p90] = quantiles(pairs.iter().map(|(a, b)| (b / a - 1.0).abs()), [0.5, 0.9]);
        let [low, high] = quantiles(pairs.iter().flat_map(|&(a, b)| [a, b]), [0.1, 0.9]);
        Self { median, p90, spread: high / low, pairs: pairs.len() }
    }
}

/// Lets a kernel race against itself for about `budget`; `None` if this build has no kernel that runs here.
///
/// # Errors
/// What multiplications report.
pub fn noise(pool: &Pool, budget: Duration) -> Result<Option<Noise>> {
    let Some(problem) = problem() else { return Ok(None) };
    let weights = problem.sample(pool)?;
    let deadline = Deadline::after(budget);
    let launch = matmul::default(
        &candidates(&weights, problem.request.numerics_of(problem.format), problem.request.isa_of(problem.format))?,
        BATCH,
    );
    let mut watch = Stopwatch::new(&Stock::new(&[&weights]), problem.n, BATCH, launch, pool.threads(), pool)?;
    let mut pairs = Vec::new();
    let (least, most) = PAIRS;
    while pairs.len() < least || pairs.len() < most && deadline.allows(Duration::ZERO) {
        pairs.push((watch.time(launch)?, watch.time(launch)?));
    }
    Ok(Some(Noise::of(&pairs)))
}

/// A problem of the first format that has kernels here.
fn problem() -> Option<Problem> {
    let (n, k) = SHAPE;
    registry::formats().find_map(|format| {
        let request = Request::default();
        let runs = candidates_of(format, request.numerics_of(format), request.isa_of(format)).is_ok();
        let (n, k) = (n.next_multiple_of(format.row_multiple()), k.next_multiple_of(format.block_weights));
        runs.then(|| Problem { format, n, k, layout: Layout::Packed, batches: vec![BATCH], request })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_what_pairs_differ_by() {
        let steady = Noise::of(&[(2.0, 2.0), (2.0, 2.0)]);
        assert_eq!(steady, Noise { median: 0.0, p90: 0.0, spread: 1.0, pairs: 2 });
        let restless = Noise::of(&[(1.0, 1.1), (2.0, 2.0), (1.0, 0.8)]);
        assert!((restless.median - 0.1).abs() < 1e-9 && restless.p90 > 0.17 && restless.spread > 2.0, "{restless:?}");
    }

    #[test]
    fn a_kernel_races_against_itself() {
        let noise = noise(&Pool::new(1), Duration::ZERO).unwrap().unwrap();
        assert!(noise.pairs == 5 && noise.spread >= 1.0);
    }
}
