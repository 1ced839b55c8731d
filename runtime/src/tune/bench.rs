//! Problems that differ in their batch size only, measured one after the other on the same weights.

use super::admission::admit;
use super::deadline::Deadline;
use super::field::field;
use super::race::Race;
use super::stock::Stock;
use super::stopwatch::Stopwatch;
use super::turn::Turn;
use super::{Choices, Digest, Effort, Entry, Keep, Key, Origin, Outcome, Status, Time, Timing, place};
use crate::error::Result;
use crate::machine::Facts;
use crate::matmul;
use crate::pool::Pool;
use crate::registry::Kernel;
use crate::weights::Weights;

/// Beyond this spread of the default's times the machine is too restless for an answer that lasts. The choice itself rests on
/// comparisons in pairs, which restlessness hits alike: 1.2 kept back two sound answers in three on a busy two-core machine.
/// Involuntary context switches say no more: a race has 0 to 4 on that machine when it is quiet, 20 to 290 when it is busy, but among
/// the busy ones those with 60 to 90 have spreads from 1.05 to 7.
const RESTLESS: f64 = 2.5;

/// Kernels that passed the gate, and weights to measure them on.
#[derive(Debug)]
pub struct Bench<'a> {
    runners: Vec<&'static Kernel>,
    stock: Stock,
    pool: &'a Pool,
}

impl<'a> Bench<'a> {
    /// Lets candidates, in card order, through the gate. The matrices, at least one, have one format and shape.
    ///
    /// # Errors
    /// As [`admit`].
    pub fn new(candidates: &[&'static Kernel], matrices: &[&Weights], pool: &'a Pool, turn: &Turn<'_>) -> Result<Self> {
        Ok(Self { runners: admit(candidates, matrices[0], pool, turn)?, stock: Stock::new(matrices), pool })
    }

    /// Lets the kernels race on a batch size and records the choice; `None` if there was no time for it, or no kernel.
    ///
    /// # Errors
    /// [`crate::Error::OutOfMemory`].
    pub fn measure(
        &mut self,
        key: &Key,
        batch: usize,
        effort: Effort,
        choices: &Choices,
        deadline: Deadline,
    ) -> Result<Option<Outcome>> {
        let caches = Facts::detect().caches;
        if self.runners.is_empty() || !self.stock.chill(batch, &caches, key.threads, deadline)? {
            return Ok(None);
        }
        let default = matmul::default(&self.runners, batch);
        let runners = field(&self.runners, default, key, batch, effort, &caches);
        let position = runners.iter().position(|kernel| std::ptr::eq(*kernel, default)).unwrap_or_default();
        let mut watch = Stopwatch::new(&self.stock, key.n, batch, default, key.threads, self.pool)?;
        let race = Race::run(runners.len(), position, effort.rounds(), deadline, |runner| watch.time(runners[runner]))?;
        Ok(race.map(|race| {
            let keep = if race.spread() > RESTLESS { Keep::InMemory } else { Keep::InFile };
            let finish = Finish { key, batch, effort, runners: &runners, race: &race, default: position };
            choices.record(finish.entry(), keep);
            finish.outcome(keep)
        }))
    }
}

/// A race that was run.
struct Finish<'a> {
    key: &'a Key,
    batch: usize,
    effort: Effort,
    runners: &'a [&'static Kernel],
    race: &'a Race,
    /// Position of the default.
    default: usize,
}

impl Finish<'_> {
    fn entry(&self) -> Entry {
        let Self { key, batch, effort, runners, race, default } = *self;
        let winner = runners[race.winner()];
        let time = |(runner, kernel): (usize, &&'static Kernel)| Time {
            kernel: kernel.name.to_owned(),
            ns: race.median(runner) as u64,
            ratio: thousandths(race.ratio(runner)),
            rounds: race.rounds(runner),
        };
        Entry {
            key: key.clone(),
            kernel: winner.name.to_owned(),
            kernel_hash: Digest(winner.hash),
            default: runners[default].name.to_owned(),
            measured: batch,
            spread: thousandths(race.spread()),
            effort,
            origin: Origin::Local,
            system: place::system().to_owned(),
            times: runners.iter().enumerate().map(time).collect(),
        }
    }

    fn outcome(&self, keep: Keep) -> Outcome {
        let Self { key, runners, race, default, .. } = *self;
        let timing = |(runner, &kernel): (usize, &&'static Kernel)| Timing {
            kernel,
            median_ns: race.median(runner),
            ratio: race.ratio(runner),
            rounds: race.rounds(runner),
        };
        Outcome {
            key: key.clone(),
            kernel: runners[race.winner()],
            default: runners[default],
            status: if keep == Keep::InFile { Status::Tuned } else { Status::Unsteady },
            timings: runners.iter().enumerate().map(timing).collect(),
            quarantined: Vec::new(),
            warnings: Vec::new(),
        }
    }
}

/// A number to three decimals, as it is written.
fn thousandths(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::tune::fake;

    const FOREVER: Duration = Duration::MAX;

    /// Measures kernels on some weights.
    fn measure(weights: &Weights, kernels: &[&'static Kernel], choices: &Choices) -> Option<Outcome> {
        let turn = choices.turn().unwrap();
        let mut bench = Bench::new(kernels, &[weights], Pool::global(), &turn).unwrap();
        let key = Key::new(weights, 3, kernels[0].numerics, kernels[0].isa, 1);
        bench.measure(&key, 3, Effort::Full, choices, Deadline::after(FOREVER)).unwrap()
    }

    #[test]
    fn a_wrong_kernel_is_not_measured_even_if_it_is_the_default() {
        let weights = fake::weights(64, 2);
        let (right, wrong) = (fake::kernels(&weights), fake::wrong_kernel(&weights));
        let kernels = [&[wrong][..], &right].concat();
        let choices = Choices::new(None);
        let outcome = measure(&weights, &kernels, &choices).unwrap();
        assert!(!std::ptr::eq(outcome.kernel, wrong) && !std::ptr::eq(outcome.default, wrong));
        assert_eq!(outcome.timings.len(), right.len());
        let (found, _) = choices.find(&outcome.key).unwrap();
        assert_eq!(found.name, outcome.kernel.name);
    }

    #[test]
    fn nothing_is_measured_if_all_kernels_are_wrong() {
        let weights = fake::weights(64, 2);
        let choices = Choices::new(None);
        assert!(measure(&weights, &[fake::wrong_kernel(&weights)], &choices).is_none());
    }
}
