//! What tuning came to.

use super::Key;
use crate::error::Error;
use crate::matmul::{Launch, Source};
use crate::registry::Kernel;

/// What tuning one problem came to.
#[derive(Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// The problem.
    pub key: Key,
    /// What runs from now on.
    pub launch: Launch,
    /// What the choice was measured against: the default for the batch size.
    pub default: Launch,
    /// How the kernel was found.
    pub status: Status,
    /// What was measured, in card order; empty if nothing was.
    pub timings: Vec<Timing>,
    /// Kernels that must not run on this machine: [`super::Variants`] knows why. They were not measured, and are not chosen.
    pub quarantined: Vec<&'static Kernel>,
    /// What the user should hear, once: the cache could not be written, though what was measured still holds for this process, or
    /// a process disappeared with a kernel before.
    pub warnings: Vec<Error>,
}

/// How a kernel was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Measured, and kept in memory and in the cache.
    Tuned,
    /// Measured while the machine was restless: kept in memory only.
    Unsteady,
    /// Known before, and not measured again.
    Known(Source),
    /// Not measured: no time was left, or there is nothing to measure. The default runs.
    Untuned,
    /// Not measured, for another process or thread was measuring. The default runs.
    Busy,
}

impl Status {
    /// The word that is printed.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tuned => "tuned",
            Self::Unsteady => "unsteady",
            Self::Known(source) => source.name(),
            Self::Untuned => "untuned",
            Self::Busy => "busy",
        }
    }
}

/// The times of one kernel with its arguments.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Timing {
    /// The kernel and its arguments.
    pub launch: Launch,
    /// The median, in nanoseconds for all rows.
    pub median_ns: f64,
    /// The median of its times over those of the default in the same rounds: below 1 is faster.
    pub ratio: f64,
    /// Rounds until it dropped out.
    pub rounds: usize,
}

impl Outcome {
    /// The outcome for a problem that was not measured.
    pub(super) fn unmeasured(key: Key, launch: Launch, default: Launch, status: Status) -> Self {
        Self { key, launch, default, status, timings: Vec::new(), quarantined: Vec::new(), warnings: Vec::new() }
    }
}
