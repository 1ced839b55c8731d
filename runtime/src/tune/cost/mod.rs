//! The cost model: how long a kernel takes for a problem, told from what the generator counted, without running anything.
//!
//! ```text
//! time = sqrt(memory² + arithmetic²) + exposed + prepared + call
//! ```
//!
//! Each part is a sum of [`Terms`], how much of something is done, times a coefficient in nanoseconds that is never negative.
//! `memory` is the weights that are asked for ahead of their use, `arithmetic` what a core does meanwhile; reading and computing overlap,
//! but not fully, which the root says. How much is done follows exactly from the counts of the kernel and from how the multiplication is
//! cut ([`crate::matmul`]): columns and rows that fill up tiles are work like all others. Coefficients are fitted for each instruction
//! set and numerics class by the benchmark `fit-cost-model`, which ships them with their error: see `docs/tuning.md`.
//!
//! What it ignores: what else the machine does, that cores share their bandwidth, weights that are still in a cache, what the compiler
//! made of the text of a kernel (registers above all), and weights that are packed for the call. Coefficients are of one processor; on
//! another of the same instruction set they are a guess.

mod shipped;
mod terms;

use serde::{Deserialize, Serialize};

use crate::machine::{Caches, processor};
pub use crate::matmul::Problem;
use crate::registry::{Isa, Kernel, Numerics};
pub use shipped::read;
pub use terms::{Coefficients, Terms};

/// What kernels of an instruction set and numerics class take, and how far that can be trusted.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Name of the instruction set.
    pub isa: String,
    /// Name of the numerics class.
    pub numerics: String,
    /// The processor that was measured.
    pub processor: String,
    /// The name of its card; empty if it had none.
    pub card: String,
    /// The day of it, as in `2026-11-20`.
    pub measured: String,
    /// Times that it was fitted to.
    pub samples: usize,
    /// The median of `|predicted / measured - 1|`, on formats that it was not fitted to.
    pub median: f64,
    /// The 90th percentile of it.
    pub p90: f64,
    /// See [`Model::error`].
    pub error: f64,
    /// What each of the terms takes.
    pub nanoseconds: Coefficients,
}

impl Model {
    /// The shipped model of the kernels that an instruction set has of its own, if it was measured on a processor of the card of this one:
    /// on another it would be a guess.
    #[must_use]
    pub fn here(isa: &Isa, numerics: Numerics) -> Option<&'static Self> {
        let card = processor::here().ok().and_then(|known| known.card)?;
        Self::of(isa, numerics).filter(|model| model.card == card.name)
    }

    /// The shipped model of the kernels that an instruction set has of its own, whatever the processor; none if it was never measured.
    #[must_use]
    pub fn of(isa: &Isa, numerics: Numerics) -> Option<&'static Self> {
        shipped::models().iter().find(|model| model.isa == isa.name && model.numerics == numerics.name())
    }

    /// What a kernel takes for a problem; above 0, and finite. The kernel is one of the model's instruction set and numerics class.
    #[must_use]
    pub fn nanoseconds(&self, kernel: &Kernel, problem: &Problem, caches: &Caches) -> f64 {
        // A clock's grain: times are compared by their ratios.
        self.nanoseconds.time(&Terms::of(kernel, problem, caches)).clamp(1.0, f64::MAX)
    }

    /// By how much a gain may be overestimated: nineteen times in twenty the ratio of two predictions, that of the default kernel over
    /// that of one which is predicted to be faster, is less than this fraction above the ratio of their times. A gain that is predicted to
    /// be larger is worth to be followed without measuring.
    #[must_use]
    pub const fn error(&self) -> f64 {
        self.error
    }

    /// The candidates with what they take, the fastest first. Those that take the same are in the order of their names.
    #[must_use]
    pub fn rank(&self, candidates: &[&'static Kernel], problem: &Problem, caches: &Caches) -> Vec<(&'static Kernel, f64)> {
        let time = |&kernel: &&'static Kernel| (kernel, self.nanoseconds(kernel, problem, caches));
        let mut ranked = candidates.iter().map(time).collect::<Vec<_>>();
        ranked.sort_by(|(a, a_time), (b, b_time)| a_time.total_cmp(b_time).then_with(|| a.name.cmp(b.name)));
        ranked
    }

    /// The candidate that is predicted to be the fastest, if it gains more on `default` than a prediction may be wrong by.
    #[must_use]
    pub fn better_than(
        &self,
        default: &'static Kernel,
        candidates: &[&'static Kernel],
        problem: &Problem,
        caches: &Caches,
    ) -> Option<&'static Kernel> {
        let (fastest, time) = self.rank(candidates, problem, caches).into_iter().next()?;
        let gain = self.nanoseconds(default, problem, caches) / time - 1.0;
        (gain > self.error).then_some(fastest)
    }
}
