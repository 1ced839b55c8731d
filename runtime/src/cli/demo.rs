//! `quantloom` without a command: the demo.

use super::Failure;

/// Refuses: this build has no tuner.
pub fn run() -> Result<(), Failure> {
    Err(Failure::input("the demo is not in this build; `quantloom --help` lists what is"))
}
