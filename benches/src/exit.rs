//! How the programs of this crate end.

use std::error::Error;
use std::process::ExitCode;

/// What a program comes to.
pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Status 0, or the error on standard error and status 1.
#[must_use]
pub fn code(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
