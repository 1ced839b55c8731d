//! The tuner: measures which kernel is the fastest for a problem on this machine, and remembers it.
//!
//! A [`Tuner`] measures; multiplications look up what it found in the [`Choices`] of their [`crate::matmul::Context`], those of the process if
//! nobody says, and never measure by themselves. What is measured on a steady machine is kept in a [`CacheFile`], and holds from then on
//! for every process of the user on this machine.
//!
//! A kernel that gives wrong bits, or that a process died of, is quarantined: [`Variants`] remembers it, and nothing chooses it. One
//! process and one thread measures at a time; the others do with what is known.
//!
//! ```no_run
//! use std::time::Duration;
//! use quantloom::{matmul::Request, pool::Pool, tune::{self, Tuner}, weights::Weights};
//!
//! # fn tune(weights: &Weights) -> quantloom::Result<()> {
//! let budget = Duration::from_millis(100);
//! let outcome = Tuner::new(tune::choices()).tune(weights, 8, &Request::default(), Pool::global(), budget)?;
//! println!("{} ({})", outcome.launch, outcome.status.name());
//! # Ok(())
//! # }
//! ```

mod admission;
mod arguments;
mod bench;
mod choices;
mod context;
pub mod cost;
mod deadline;
mod digest;
mod disk;
mod entry;
#[cfg(test)]
pub(crate) mod fake;
mod field;
mod file;
mod gate;
mod group;
mod isolated;
mod journal;
pub mod kept;
mod key;
mod layer;
mod list;
mod lookup;
pub mod merge;
mod mode;
mod noise;
mod outbox;
mod outcome;
mod pin;
mod place;
mod problem;
mod race;
mod settings;
mod shipped;
mod stock;
mod stopwatch;
mod tuner;
mod turn;
mod variants;
mod verify;

pub use choices::{Choices, Keep, choices};
pub use digest::Digest;
pub use entry::{Effort, Entry, Origin, Time};
pub use file::{CacheFile, Contents, Record, RecordFile, Records};
pub use isolated::{isolated, serve};
pub use key::{Bucket, Key};
pub use list::List;
pub use lookup::{Answer, Candidate, Explanation, Link, Lookup, Silence};
pub use mode::Mode;
pub use noise::{Noise, noise};
pub use outcome::{Outcome, Status, Timing};
pub use pin::Pins;
pub use place::{VARIABLE, environment, folder, system};
pub use problem::Problem;
pub use settings::{MODE, PIN, Settings};
pub use shipped::{Table, shipped};
pub use tuner::{Job, Progress, Tuner};
pub use variants::{State, Variant, VariantId, Variants};
pub use verify::{Verdict, verify};
