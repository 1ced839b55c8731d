//! Programs of this build.

use std::env;
use std::ffi::OsStr;
use std::process::Command;

/// The words that run a program of another processor.
const RUNNER: &str = "QUANTLOOM_TEST_RUNNER";

/// Whether this build is for another processor.
pub fn is_emulated() -> bool {
    env::var(RUNNER).is_ok_and(|words| !words.is_empty())
}

/// A command that runs a program of this build: through the words of `QUANTLOOM_TEST_RUNNER`, if there are such, as an emulator must
/// be where this build is for another processor.
pub fn program(path: impl AsRef<OsStr>) -> Command {
    let runner = env::var(RUNNER).unwrap_or_default();
    let mut words = runner.split_whitespace();
    let Some(first) = words.next() else { return Command::new(path) };
    let mut command = Command::new(first);
    command.args(words).arg(path);
    command
}
