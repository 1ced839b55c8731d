//! The tuner: which problems are measured, in which order, for how long.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::process::Command;
use std::time::{Duration, Instant};

use super::deadline::Deadline;
use super::group::Group;
use super::turn::Turn;
use super::{Choices, Effort, Key, List, Outcome, Problem, State, Status, isolated};
use crate::error::{Error, Result};
use crate::machine::processor;
use crate::matmul::{Request, Source};
use crate::pool::Pool;
use crate::registry::Kernel;
use crate::weights::Weights;

/// How much measuring a crash may cost: what is known is written to the cache at least this often.
const PUBLISH: Duration = Duration::from_millis(500);

/// How often a problem is measured, at most, for an answer that lasts: what disturbs the machine may pass.
const ATTEMPTS: usize = 3;

/// Finds the fastest kernels by measuring, and records them.
///
/// The answer never changes a result: all kernels of a numerics class give the same bits, and one that does not is kept out.
#[derive(Clone, Copy, Debug)]
pub struct Tuner<'a> {
    pub(super) choices: &'a Choices,
    effort: Effort,
    forced: bool,
}

/// A matrix of a model, and how it is used.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Job<'a> {
    /// The matrix.
    pub weights: &'a Weights,
    /// Rows of the problem: more than the matrix has, where that is a sample of a larger one.
    pub n: usize,
    /// The batch sizes that it is multiplied by.
    pub batches: &'a [usize],
    /// Class, instruction set and threads. The kernel is ignored: a kernel that is named needs no tuning.
    pub request: Request,
}

impl<'a> Job<'a> {
    /// A matrix that is no sample.
    #[must_use]
    pub fn new(weights: &'a Weights, batches: &'a [usize], request: Request) -> Self {
        Self { weights, n: weights.n(), batches, request }
    }
}

/// How far the tuning of a model has come.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Progress<'a> {
    /// Problems that are done.
    pub done: usize,
    /// All problems.
    pub total: usize,
    /// What the last of them came to.
    pub outcome: &'a Outcome,
}

impl<'a> Tuner<'a> {
    /// A tuner that records what it finds in `choices`.
    #[must_use]
    pub const fn new(choices: &'a Choices) -> Self {
        Self { choices, effort: Effort::Full, forced: false }
    }

    /// A tuner that measures as thoroughly as that; [`Effort::Full`] if nobody says.
    #[must_use]
    pub const fn effort(self, effort: Effort) -> Self {
        Self { effort, ..self }
    }

    /// A tuner that also measures what is known, if `forced`.
    #[must_use]
    pub const fn forced(self, forced: bool) -> Self {
        Self { forced, ..self }
    }

    /// Measures the kernels for one matrix and a batch size, whether the choice is known or not, and records the fastest, unless
    /// the budget ends first. Class, instruction set and threads are those of the request; its kernel is ignored. While another
    /// thread or process measures, nothing is measured: see [`Status::Busy`].
    ///
    /// The budget is for measuring. Writing the cache takes milliseconds more.
    ///
    /// # Errors
    /// [`crate::Error::NoKernel`] if nothing on this processor does what was asked, [`crate::Error::OutOfMemory`],
    /// [`crate::Error::Setting`] if the user's environment says what cannot be followed.
    pub fn tune(&self, weights: &Weights, batch: usize, request: &Request, pool: &Pool, budget: Duration) -> Result<Outcome> {
        self.check_settings()?;
        let deadline = Deadline::after(budget);
        let mut group = Group::new(weights, &[batch], request, pool)?.with_effort(self.effort);
        let Some(turn) = self.choices.turn() else {
            return Ok(group.unmeasured(batch, self.choices, Status::Busy));
        };
        let mut warnings = turn.abandoned();
        let mut outcome = group.tune(batch, &turn, deadline)?;
        for _ in 1..ATTEMPTS {
            group.settle(batch, &mut outcome, &turn, deadline)?;
        }
        warnings.extend(self.choices.publish().err());
        Ok(Outcome { warnings, ..outcome })
    }

    /// Measures what is not known yet of a model's problems, each once, those with the most weights first. Those that are known,
    /// and those for which no time is left, are among the outcomes too. `progress` hears of each once; in the time that is left
    /// after that, problems that the machine was too restless for are measured again. While another thread or process measures,
    /// nothing is measured: see [`Status::Busy`].
    ///
    /// The budget is for measuring. Writing the cache takes milliseconds more.
    ///
    /// # Errors
    /// As [`Tuner::tune`].
    pub fn tune_model(
        &self,
        jobs: &[Job<'_>],
        pool: &Pool,
        budget: Duration,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Vec<Outcome>> {
        self.check_settings()?;
        let deadline = Deadline::after(budget);
        let turn = self.choices.turn();
        let mut warnings = turn.as_ref().map(Turn::abandoned).unwrap_or_default();
        let mut outcomes = self.tune_jobs(jobs, pool, turn.as_ref(), deadline, &mut warnings, progress)?;
        if let Some(last) = outcomes.last_mut() {
            last.warnings = warnings;
        }
        Ok(outcomes)
    }

    /// Does the work of [`Tuner::tune_model`] in a turn, or without one.
    fn tune_jobs(
        &self,
        jobs: &[Job<'_>],
        pool: &Pool,
        turn: Option<&Turn<'_>>,
        deadline: Deadline,
        warnings: &mut Vec<Error>,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Vec<Outcome>> {
        let mut groups = groups(jobs, self.effort, pool)?;
        let total = groups.iter().map(|group| group.batches().len()).sum();
        let mut outcomes = Vec::<Outcome>::with_capacity(total);
        let mut published = Instant::now();
        for group in &mut groups {
            for batch in group.batches().to_vec() {
                let outcome = match turn {
                    Some(turn) => self.known_or_tuned(group, batch, turn, deadline)?,
                    None => group.unmeasured(batch, self.choices, Status::Busy),
                };
                progress(Progress { done: outcomes.len() + 1, total, outcome: &outcome });
                outcomes.push(outcome);
                if turn.is_some() && published.elapsed() >= PUBLISH {
                    warnings.extend(self.choices.publish().err());
                    published = Instant::now();
                }
            }
            group.rest();
        }
        if let Some(turn) = turn {
            for _ in 1..ATTEMPTS {
                settle(&mut groups, &mut outcomes, turn, deadline)?;
            }
            refresh(&mut groups, &mut outcomes, turn, deadline)?;
            warnings.extend(self.choices.publish().err());
        }
        Ok(outcomes)
    }

    /// As [`Tuner::tune_model`], for problems without a model, on synthetic weights: those of one problem at a time, and only as many rows
    /// as are measured.
    ///
    /// # Errors
    /// As [`Tuner::tune`], and what the formats have to say against the shapes.
    pub fn tune_list(
        &self,
        problems: &[Problem],
        pool: &Pool,
        budget: Duration,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Vec<Outcome>> {
        self.check_settings()?;
        let deadline = Deadline::after(budget);
        let mut list = List::default();
        list.extend(problems.iter().cloned(), pool);
        list.problems.sort_by_key(|problem| Reverse(problem.n.saturating_mul(problem.k)));
        let total = list.problems.iter().map(|problem| problem.distinct(pool).len()).sum();
        let turn = self.choices.turn();
        let mut warnings = turn.as_ref().map(Turn::abandoned).unwrap_or_default();
        let mut outcomes = Vec::<Outcome>::with_capacity(total);
        for problem in &list.problems {
            // Nothing is measured on no rows: they tell what is known, and what would run.
            let is_open = self.forced || !problem.unknown(self.choices, self.effort, pool).is_empty();
            let rows = if is_open && deadline.allows(Duration::ZERO) { problem.n } else { 0 };
            let weights = Problem { n: rows, ..problem.clone() }.sample(pool)?;
            let job = Job { weights: &weights, n: problem.n, batches: &problem.batches, request: problem.request };
            let before = outcomes.len();
            let mut step = |step: Progress<'_>| progress(Progress { done: before + step.done, total, ..step });
            outcomes.extend(self.tune_jobs(&[job], pool, turn.as_ref(), deadline, &mut warnings, &mut step)?);
        }
        if let Some(last) = outcomes.last_mut() {
            last.warnings = warnings;
        }
        Ok(outcomes)
    }

    /// Tries those of some kernels that nothing is known of on this machine, or that were abandoned, in processes that `command` makes:
    /// see [`isolated`]. Gives what the user should hear. While another thread or process measures, nothing is tried.
    pub fn isolate(&self, kernels: &[&'static Kernel], deadline: Duration, command: &mut dyn FnMut() -> Command) -> Vec<Error> {
        let Some(turn) = self.choices.turn() else { return Vec::new() };
        let variants = self.choices.variants();
        let mut warnings = turn.abandoned();
        // They are tried again at once.
        warnings.retain(|warning| !matches!(warning, Error::Abandoned { .. }));
        let unclear = |kernel: &&'static Kernel| matches!(variants.state(kernel), None | Some(State::Abandoned));
        let mut kernels = kernels.iter().copied().filter(unclear).collect::<Vec<_>>();
        kernels.sort_by_key(|kernel| kernel.name);
        kernels.dedup_by_key(|kernel| kernel.name);
        let tried = isolated(command, &kernels, deadline, &mut |kernel, state, how| variants.record(kernel, state, how));
        warnings.extend(tried.err());
        warnings.extend(self.choices.publish().err());
        warnings
    }

    /// What the user says and nobody understands is refused before anything is measured, as a multiplication refuses it.
    fn check_settings(&self) -> Result<()> {
        self.choices.mode()?;
        self.choices.pins()?.all()?;
        processor::here()?;
        Ok(())
    }

    fn known_or_tuned(&self, group: &mut Group<'_>, batch: usize, turn: &Turn<'_>, deadline: Deadline) -> Result<Outcome> {
        let known = group.known(batch, self.choices).filter(|_| !self.forced);
        known.map_or_else(|| group.tune(batch, turn, deadline), Ok)
    }
}

/// Measures again what the machine was too restless for. The outcomes are in the order of the groups.
fn settle(groups: &mut [Group<'_>], outcomes: &mut [Outcome], turn: &Turn<'_>, deadline: Deadline) -> Result<()> {
    let mut outcomes = outcomes.iter_mut();
    for group in groups {
        for (batch, outcome) in group.batches().to_vec().into_iter().zip(outcomes.by_ref()) {
            group.settle(batch, outcome, turn, deadline)?;
        }
        group.rest();
    }
    Ok(())
}

/// Measures again what was measured by another version or under another system, while there is time.
fn refresh(groups: &mut [Group<'_>], outcomes: &mut [Outcome], turn: &Turn<'_>, deadline: Deadline) -> Result<()> {
    let mut outcomes = outcomes.iter_mut();
    for group in groups {
        for (batch, outcome) in group.batches().to_vec().into_iter().zip(outcomes.by_ref()) {
            let from_file = outcome.status == Status::Known(Source::Cache);
            if from_file && turn.choices().is_stale(&outcome.key) && deadline.allows(Duration::ZERO) {
                *outcome = group.tune(batch, turn, deadline)?;
            }
        }
        group.rest();
    }
    Ok(())
}

/// The problems of some jobs, each once; those with the most weights first.
fn groups<'a>(jobs: &[Job<'a>], effort: Effort, pool: &'a Pool) -> Result<Vec<Group<'a>>> {
    let mut groups = Vec::<Group<'a>>::new();
    let mut places = HashMap::<Key, usize>::new();
    for job in jobs {
        let new = Group::new(job.weights, job.batches, &job.request, pool)?.with_rows(job.n).with_effort(effort);
        match places.entry(new.key(1)) {
            Slot::Occupied(place) => groups[*place.get()].absorb(&new),
            Slot::Vacant(free) => {
                free.insert(groups.len());
                groups.push(new);
            }
        }
    }
    groups.sort_by_key(|group| Reverse(group.bytes()));
    Ok(groups)
}
