//! Problems that differ in their batch size only, measured one after the other on the same weights.

use super::admission::admit;
use super::arguments::alternatives;
use super::deadline::Deadline;
use super::field::field;
use super::race::Race;
use super::stock::Stock;
use super::stopwatch::Stopwatch;
use super::turn::Turn;
use super::{Choices, Digest, Effort, Entry, Keep, Key, Origin, Outcome, Status, Time, Timing, place};
use crate::error::Result;
use crate::machine::Facts;
use crate::matmul::{self, Launch};
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
        let kernels = field(&self.runners, default.kernel, key, batch, effort, &caches);
        let begun =
            |kernel: &'static Kernel| if std::ptr::eq(kernel, default.kernel) { default } else { matmul::begun(kernel) };
        let launches = kernels.into_iter().map(begun);
        let launches = launches.collect::<Vec<_>>();
        let mut watch = Stopwatch::new(&self.stock, key.n, batch, default, key.threads, self.pool)?;
        let mut run = |launches: &[Launch], first| {
            Race::run(launches.len(), first, effort.rounds(), deadline, |runner| watch.time(launches[runner]))
        };
        let position = launches.iter().position(|launch| *launch == default).unwrap_or_default();
        let Some(race) = run(&launches, position)? else { return Ok(None) };
        let keep = if race.spread() > RESTLESS { Keep::InMemory } else { Keep::InFile };
        let mut finish = Finish::of(key, batch, effort, &launches, &race, position);
        // The kernel is found, now the arguments that it is given. Without the time for it, they are those of its card.
        let winner = finish.launch;
        let others = [vec![winner], alternatives(winner, batch, effort)].concat();
        if others.len() > 1
            && let Some(race) = run(&others, 0)?
        {
            finish.refine(&others, &race);
        }
        choices.record(finish.entry(), keep);
        Ok(Some(finish.outcome(keep)))
    }
}

/// What the races of a problem came to.
struct Finish<'a> {
    key: &'a Key,
    batch: usize,
    effort: Effort,
    default: Launch,
    /// What won.
    launch: Launch,
    /// All that was measured; ratios are to the default.
    timings: Vec<Timing>,
    spread: f64,
}

impl<'a> Finish<'a> {
    /// Of the race of the kernels, the one at `position` being the default.
    fn of(key: &'a Key, batch: usize, effort: Effort, launches: &[Launch], race: &Race, position: usize) -> Self {
        let (launch, default, spread) = (launches[race.winner()], launches[position], race.spread());
        let timings = launches.iter().enumerate().map(|(runner, &launch)| timing(launch, race, runner)).collect();
        Self { key, batch, effort, default, launch, timings, spread }
    }

    /// Takes in the race of the winner, which comes first, against itself with other arguments.
    fn refine(&mut self, launches: &[Launch], race: &Race) {
        let ratio = self.timings.iter().find(|timing| timing.launch == self.launch).map_or(1.0, |timing| timing.ratio);
        let others = (1..launches.len()).map(|runner| timing(launches[runner], race, runner));
        self.timings.extend(others.map(|timing| Timing { ratio: timing.ratio * ratio, ..timing }));
        self.launch = launches[race.winner()];
    }

    fn entry(&self) -> Entry {
        let Self { key, batch, effort, default, launch, timings, spread } = self;
        let time = |timing: &Timing| Time {
            kernel: timing.launch.to_string(),
            ns: timing.median_ns as u64,
            ratio: thousandths(timing.ratio),
            rounds: timing.rounds,
        };
        Entry {
            key: (*key).clone(),
            kernel: launch.to_string(),
            kernel_hash: Digest(launch.kernel.hash),
            default: default.to_string(),
            measured: *batch,
            spread: thousandths(*spread),
            effort: *effort,
            origin: Origin::Local,
            system: place::system().to_owned(),
            times: timings.iter().map(time).collect(),
        }
    }

    fn outcome(self, keep: Keep) -> Outcome {
        let Self { key, default, launch, timings, .. } = self;
        Outcome {
            key: key.clone(),
            launch,
            default,
            status: if keep == Keep::InFile { Status::Tuned } else { Status::Unsteady },
            timings,
            quarantined: Vec::new(),
            warnings: Vec::new(),
        }
    }
}

/// What a race says of a runner.
fn timing(launch: Launch, race: &Race, runner: usize) -> Timing {
    Timing { launch, median_ns: race.median(runner), ratio: race.ratio(runner), rounds: race.rounds(runner) }
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
        let key = Key::new(weights, 3, kernels[0].numerics, kernels[0].isa(), 1);
        bench.measure(&key, 3, Effort::Full, choices, Deadline::after(FOREVER)).unwrap()
    }

    #[test]
    fn a_wrong_kernel_is_not_measured_even_if_it_is_the_default() {
        let weights = fake::weights(64, 2);
        let (right, wrong) = (fake::kernels(&weights), fake::wrong_kernel(&weights));
        let kernels = [&[wrong][..], &right].concat();
        let choices = Choices::new(None);
        let outcome = measure(&weights, &kernels, &choices).unwrap();
        assert!(!std::ptr::eq(outcome.launch.kernel, wrong) && !std::ptr::eq(outcome.default.kernel, wrong));
        assert!(right.iter().all(|kernel| outcome.timings.iter().any(|timing| timing.launch == Launch::of(kernel))));
        let (found, _) = choices.find(&outcome.key).unwrap();
        assert_eq!(found, outcome.launch);
    }

    #[test]
    fn nothing_is_measured_if_all_kernels_are_wrong() {
        let weights = fake::weights(64, 2);
        let choices = Choices::new(None);
        assert!(measure(&weights, &[fake::wrong_kernel(&weights)], &choices).is_none());
    }
}
