//! Loading a whole model: its matrices, and the kernels that will multiply by them.

use super::{Matrix, Model};
use crate::defaults::Defaults;
use crate::error::Result;
use crate::matmul::Request;
use crate::pool::Pool;
use crate::tune::{self, Choices, Effort, Job, Mode, Outcome, Tuner};
use crate::weights::{Layout, Weights};

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

impl Load<'_> {
    /// Measures which kernels are the fastest for some weights, as far as nothing is known, if [`tune::Choices::mode`] says so, in the time
    /// that it says. What is asked of their products is `request`.
    ///
    /// # Errors
    /// As [`tune::Choices::mode`] and [`Tuner::tune_model`].
    pub fn tune<'w>(
        &self,
        weights: impl IntoIterator<Item = &'w Weights>,
        request: Request,
        pool: &Pool,
    ) -> Result<Vec<Outcome>> {
        let choices = self.choices.unwrap_or_else(|| tune::choices());
        // Quickly, for somebody waits.
        let tuner = Tuner::new(choices).effort(Effort::Quick);
        let (tuner, budget) = match choices.mode()? {
            Mode::Off | Mode::CacheOnly => return Ok(Vec::new()),
            Mode::OnMiss { budget } => (tuner, budget),
            Mode::Force { budget } => (tuner.forced(true), budget),
        };
        let jobs = weights.into_iter().map(|weights| Job::new(weights, &self.batches, request)).collect::<Vec<_>>();
        tuner.tune_model(&jobs, pool, budget, &mut |_| {})
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
        load.choices.unwrap_or_else(|| tune::choices()).mode()?;
        if load.verify {
            self.verify(&mut |_| {})?;
        }
        let matrices = self.matrices(load.layout, pool)?;
        let outcomes = load.tune(matrices.iter().map(|matrix| &matrix.weights), Request::default(), pool)?;
        Ok(Loaded { matrices, outcomes })
    }
}
