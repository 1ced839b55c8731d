//! Whether a choice from before still holds.

use std::time::Duration;

use super::deadline::Deadline;
use super::gate::Gate;
use super::race::Race;
use super::stock::Stock;
use super::stopwatch::Stopwatch;
use super::turn::Turn;
use super::{Choices, Effort, Entry, Key, Problem, Record, State};
use crate::error::{Error, Result};
use crate::machine::Facts;
use crate::matmul::{self, Launch, Request, candidates};
use crate::pool::Pool;
use crate::registry::{self, Format, Kernel};
use crate::weights::Weights;

/// Ratios of times up to this are no difference.
const EQUAL: f64 = 1.03;

/// What a second look at a choice comes to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// The kernel is right, and faster than the default, or is the default: its time over that of the default.
    Holds(f64),
    /// The kernel is right, but the default is now as fast or faster: the kernel's time over that of the default.
    NoFaster(f64),
    /// The kernel's bits differ from the reference's.
    Wrong,
    /// There was no time, or another process was measuring.
    NoTime,
    /// Memory does not hold what the problem is measured on.
    NoMemory,
    /// It is not of this build and machine, needs more threads than the pool has, or is of a problem that there is not.
    NotHere,
}

/// Lets the kernel of an entry through the gate again, where one that fails is quarantined, and lets it race against the default of this build, on synthetic weights.
///
/// # Errors
/// What multiplications report.
pub fn verify(entry: &Entry, choices: &Choices, pool: &Pool, budget: Duration) -> Result<Verdict> {
    match measured(entry, choices, pool, budget) {
        Err(Error::OutOfMemory { .. }) => Ok(Verdict::NoMemory),
        verdict => verdict,
    }
}

fn measured(entry: &Entry, choices: &Choices, pool: &Pool, budget: Duration) -> Result<Verdict> {
    let deadline = Deadline::after(budget);
    let (Some(launch), Ok(format)) = (entry.launch(), registry::format_by_name(&entry.key.format)) else {
        return Ok(Verdict::NotHere);
    };
    let kernel = launch.kernel;
    let Key { n, k, threads, .. } = entry.key;
    let is_shape = n.is_multiple_of(format.row_multiple()) && k.is_multiple_of(format.block_weights);
    if threads > pool.threads() || !is_shape || !entry.is_sound() {
        return Ok(Verdict::NotHere);
    }
    let Some(turn) = choices.turn().filter(|_| deadline.allows(Duration::ZERO)) else { return Ok(Verdict::NoTime) };
    let weights = problem(entry, format, kernel).sample(pool)?;
    if !is_right(&weights, kernel, pool, &turn)? {
        choices.variants().record(kernel, State::Wrong, "");
        choices.publish()?;
        return Ok(Verdict::Wrong);
    }
    let all = candidates(&weights, kernel.numerics, kernel.isa)?;
    let default = matmul::default(&all, entry.measured);
    compare(entry, &weights, launch, default, pool, deadline)
}

/// Whether a kernel gives the bits of the scalar reference.
fn is_right(weights: &Weights, kernel: &'static Kernel, pool: &Pool, turn: &Turn<'_>) -> Result<bool> {
    let gate = Gate::new(weights, kernel.cols, pool)?;
    let reference = candidates(weights, kernel.numerics, registry::isas()[0])?[0];
    Ok(turn.watch(kernel, || gate.bits(kernel))? == gate.bits(reference)?)
}

fn problem(entry: &Entry, format: &'static Format, kernel: &'static Kernel) -> Problem {
    let key = &entry.key;
    let request = Request { numerics: key.numerics, isa: Some(kernel.isa), launch: None, threads: key.threads };
    Problem { format, n: key.n, k: key.k, layout: key.layout, batches: vec![entry.measured], request }
}

fn compare(
    entry: &Entry,
    weights: &Weights,
    launch: Launch,
    default: Launch,
    pool: &Pool,
    deadline: Deadline,
) -> Result<Verdict> {
    if launch == default {
        return Ok(Verdict::Holds(1.0));
    }
    let (n, threads, batch) = (entry.key.n, entry.key.threads, entry.measured);
    let mut stock = Stock::new(&[weights]);
    if !stock.chill(batch, &Facts::detect().caches, threads, deadline)? {
        return Ok(Verdict::NoTime);
    }
    let runners = [default, launch];
    let mut watch = Stopwatch::new(&stock, n, batch, default, threads, pool)?;
    let race = Race::run(runners.len(), 0, Effort::Full.rounds(), deadline, |runner| watch.time(runners[runner]))?;
    Ok(race.map_or(Verdict::NoTime, |race| of_ratio(race.ratio(1))))
}

fn of_ratio(ratio: f64) -> Verdict {
    if ratio * EQUAL < 1.0 { Verdict::Holds(ratio) } else { Verdict::NoFaster(ratio) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tune::{Digest, fake};

    const FOREVER: Duration = Duration::MAX;

    #[test]
    fn a_default_that_is_right_holds() {
        let weights = fake::weights(64, 1);
        let pool = Pool::new(1);
        let entry = fake::entry(&weights, 1);
        assert_eq!(verify(&entry, &Choices::new(None), &pool, FOREVER).unwrap(), Verdict::Holds(1.0));
        assert_eq!(verify(&entry, &Choices::new(None), &pool, Duration::ZERO).unwrap(), Verdict::NoTime);
    }

    #[test]
    fn a_challenger_is_right_whatever_its_speed() {
        let weights = fake::weights(64, 1);
        let kernels = fake::kernels(&weights);
        let entry = fake::entry(&weights, 1);
        let [first, .., last] = kernels[..] else { panic!("kernels to choose from") };
        let verdict = compare(&entry, &weights, last.into(), first.into(), &Pool::new(1), Deadline::after(FOREVER)).unwrap();
        assert!(matches!(verdict, Verdict::Holds(_) | Verdict::NoFaster(_)), "{verdict:?}");
    }

    #[test]
    fn a_wrong_kernel_is_found() {
        let weights = fake::weights(64, 1);
        let (wrong, right) = (fake::wrong_kernel(&weights), fake::kernels(&weights)[0]);
        let choices = Choices::new(None);
        let turn = choices.turn().unwrap();
        let is_right = |kernel| is_right(&weights, kernel, &Pool::new(1), &turn).unwrap();
        assert!(is_right(right) && !is_right(wrong));
    }

    #[test]
    fn what_is_not_of_this_build_or_machine_is_left_alone() {
        let weights = fake::weights(64, 1);
        let pool = Pool::new(1);
        let other = Entry { kernel_hash: Digest(1), ..fake::entry(&weights, 1) };
        let never = Entry { measured: 0, ..fake::entry(&weights, 1) };
        assert_eq!(verify(&never, &Choices::new(None), &pool, FOREVER).unwrap(), Verdict::NotHere);
        assert_eq!(verify(&other, &Choices::new(None), &pool, FOREVER).unwrap(), Verdict::NotHere);
        assert_eq!(verify(&fake::entry(&weights, 2), &Choices::new(None), &pool, FOREVER).unwrap(), Verdict::NotHere);
    }

    #[test]
    fn small_differences_are_none() {
        assert_eq!(of_ratio(0.5), Verdict::Holds(0.5));
        assert_eq!(of_ratio(0.98), Verdict::NoFaster(0.98));
        assert_eq!(of_ratio(1.5), Verdict::NoFaster(1.5));
    }
}
