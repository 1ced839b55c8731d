//! `quantloom cache`: what the tuner remembers.

use clap::Subcommand;

use super::Failure;

/// Look at what the tuner remembers
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: quantloom cache show")]
pub struct Args {
    #[command(subcommand)]
    pub action: Action,
}

/// What to do with the cache.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Print the choices for this machine
    Show,
    /// Print where the cache is
    Path,
}

/// Refuses: this build has no tuner.
pub fn run(_args: &Args) -> Result<(), Failure> {
    Err(Failure::input("`quantloom cache` is not in this build"))
}
