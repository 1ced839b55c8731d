//! Loading a whole model: its matrices, and the kernels that will multiply by them.

use std::time::Duration;

use super::{Matrix, Model};
use crate::defaults::Defaults;
use crate::error::Result;
use crate::matmul::Request;
use crate::pool::Pool;
use crate::tune::{self, Effort, Job, Mode, Outcome, Tuner};
use crate::weights::{Layout, Weights};

/// How a model is loaded.
#[derive(Clone, Debug)]
pub struct Load {
    /// How weights are held in memory.
    pub layout: Layout,
    /// The batch sizes that kernels are chosen for in advance.
    pub batches: Vec<usize>,
    /// Whether the bytes of the file are compared with its checksums first: see [`Model::verify`].
    pub verify: bool,
}

impl Default for Load {
    /// Packed, for the batch sizes of `defaults.toml`, as the file is.
    fn default() -> Self {
        Self { layout: Layout::Packed, batches: Defaults::get().bench.batches, verify: false }
    }
}

/// A model in memory.
#[derive(Debug)]
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
    pub fn load(&self, load: &Load, pool: &Pool) -> Result<Loaded> {
        let mode = tune::choices().mode()?;
        if load.verify {
            self.verify(&mut |_| {})?;
        }
        let matrices = self.matrices(load.layout, pool)?;
        let outcomes = match mode {
            Mode::Off | Mode::CacheOnly => Vec::new(),
            Mode::OnMiss { budget } => tune(&matrices, &load.batches, pool, budget, false)?,
            Mode::Force { budget } => tune(&matrices, &load.batches, pool, budget, true)?,
        };
        Ok(Loaded { matrices, outcomes })
    }
}

/// Measures the problems of some matrices: quickly, for somebody waits.
fn tune(matrices: &[Matrix], batches: &[usize], pool: &Pool, budget: Duration, forced: bool) -> Result<Vec<Outcome>> {
    let job = |weights| Job::new(weights, batches, Request::of(Weights::format(weights)));
    let jobs = matrices.iter().map(|matrix| job(&matrix.weights)).collect::<Vec<_>>();
    Tuner::new(tune::choices()).effort(Effort::Quick).forced(forced).tune_model(&jobs, pool, budget, &mut |_| {})
}
