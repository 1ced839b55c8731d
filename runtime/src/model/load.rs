//! Loading a whole model: its matrices, and the kernels that will multiply by them.

use std::time::Duration;

use super::{Matrix, Model};
use crate::defaults::Defaults;
use crate::error::Result;
use crate::matmul::Request;
use crate::pool::Pool;
use crate::tune::{self, Choices, Effort, Job, Mode, Outcome, Tuner};
use crate::weights::Layout;

/// How a model is loaded.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Load<'c> {
    /// How weights are held in memory.
    pub layout: Layout,
    /// The batch sizes that kernels are chosen for in advance.
    pub batches: Vec<usize>,
    /// Whether the bytes of the file are compared with its checksums first: see [`Model::verify`].
    pub verify: bool,
    /// Where to look up what is known, and to record what is found; `None`: [`tune::choices`], that of the process.
    pub choices: Option<&'c Choices>,
}

impl Default for Load<'_> {
    /// Packed, for the batch sizes of `defaults.toml`, as the file is.
    fn default() -> Self {
        Self { layout: Layout::Packed, batches: Defaults::get().bench.batches, verify: false, choices: None }
    }
}

impl<'c> Load<'c> {
    /// Holds weights like that.
    #[must_use]
    pub fn layout(self, layout: Layout) -> Self {
        Self { layout, ..self }
    }

    /// Chooses kernels for these batch sizes.
    #[must_use]
    pub fn batches(self, batches: impl Into<Vec<usize>>) -> Self {
        Self { batches: batches.into(), ..self }
    }

    /// Compares the bytes of the file with its checksums first: see [`Model::verify`].
    #[must_use]
    pub fn verify(self, verify: bool) -> Self {
        Self { verify, ..self }
    }

    /// Goes by what is known here, and records it here. Multiplications follow it in a [`crate::matmul::Context`] of these choices.
    #[must_use]
    pub fn choices<'d>(self, choices: &'d Choices) -> Load<'d> {
        let Self { layout, batches, verify, choices: _ } = self;
        Load { layout, batches, verify, choices: Some(choices) }
    }
}

/// A model in memory.
#[derive(Debug)]
#[non_exhaustive]
pub struct Loaded {
    /// Every matrix that kernels exist for, in file order.
    pub matrices: Vec<Matrix>,
    /// What the tuner came to; empty if it was not to measure.
    pub outcomes: Vec<Outcome>,
}

impl Model {
    /// Loads every matrix that kernels exist for and, if [`tune::Choices::mode`] says so, measures which kernels are the fastest for
    /// them, in the time that it says.
    ///
    /// # Errors
    /// As [`Model::verify`] if that is asked for, [`Model::weights`], [`tune::Choices::mode`] and [`Tuner::tune_model`].
    pub fn load(&self, load: &Load<'_>, pool: &Pool) -> Result<Loaded> {
        let choices = load.choices.unwrap_or_else(|| tune::choices());
        let mode = choices.mode()?;
        if load.verify {
            self.verify(&mut |_| {})?;
        }
        let matrices = self.matrices(load.layout, pool)?;
        // Quickly, for somebody waits.
        let tuner = Tuner::new(choices).effort(Effort::Quick);
        let outcomes = match mode {
            Mode::Off | Mode::CacheOnly => Vec::new(),
            Mode::OnMiss { budget } => tune(&tuner, &matrices, &load.batches, pool, budget)?,
            Mode::Force { budget } => tune(&tuner.forced(true), &matrices, &load.batches, pool, budget)?,
        };
        Ok(Loaded { matrices, outcomes })
    }
}

/// Measures the problems of some matrices.
fn tune(tuner: &Tuner<'_>, matrices: &[Matrix], batches: &[usize], pool: &Pool, budget: Duration) -> Result<Vec<Outcome>> {
    let jobs = matrices.iter().map(|matrix| Job::new(&matrix.weights, batches, Request::default())).collect::<Vec<_>>();
    tuner.tune_model(&jobs, pool, budget, &mut |_| {})
}
