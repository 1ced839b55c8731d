//! What several test files share: the program, and what tests of the library have.

#![allow(dead_code, reason = "each test file uses its part of this")]

#[path = "../../../tests/support/mod.rs"]
mod library;
pub mod sandbox;

use std::process::Command;

pub use library::*;

/// The command line of quantloom.
pub fn quantloom() -> Command {
    program::program(env!("CARGO_BIN_EXE_quantloom"))
}
