//! Files: how outputs come to be, and how files are read that others may have put there.
//!
//! An [`Output`] never is one of its inputs, and a file appears when it is complete, in place of what was there. What is unfinished
//! lies in a file beside it, which is removed when the output is dropped, by [`abandon`], or by the next output in the same folder if
//! the process had no time for that.

mod output;
mod place;
mod regular;
mod unfinished;

pub use output::Output;
pub(crate) use output::replace;
pub use place::{is_ours, is_same};
pub(crate) use regular::own;
pub use regular::{open, read};
pub use unfinished::abandon;
pub(crate) use unfinished::sweep;
