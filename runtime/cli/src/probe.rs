//! `quantloom probe`: runs kernels for the first time, for a parent that survives what they do.

use std::env;
use std::io;
use std::process::Command;

use quantloom::tune;

use super::Failure;

/// Try the kernels that standard input names, for `quantloom tune`
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub struct Args {}

/// Reads names and prints what becomes of each.
pub fn run() -> Result<(), Failure> {
    mourn_nothing();
    Ok(tune::serve(io::stdin().lock(), io::stdout().lock())?)
}

/// The child that does it.
pub fn command() -> Command {
    let mut command = Command::new(env::current_exe().unwrap_or_else(|_| "quantloom".into()));
    command.arg("probe");
    command
}

/// A crash is what this process is for: it leaves no memory image behind, and ends with its parent.
fn mourn_nothing() {
    #[cfg(target_os = "linux")]
    // SAFETY: both change nothing but what becomes of this process.
    unsafe {
        libc::prctl(libc::PR_SET_DUMPABLE, 0);
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
    }
}
