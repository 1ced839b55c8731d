//! `quantloom tune`: choose kernels for the shapes of a model.

use std::path::PathBuf;
use std::time::Duration;

use super::Failure;
use super::args::seconds;

/// Find the fastest kernels for the tensors of a model, and remember them
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: quantloom tune model.gguf --budget 30")]
pub struct Args {
    /// The model
    #[arg(value_name = "FILE.gguf")]
    pub file: PathBuf,
    /// Time to spend
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub budget: Option<Duration>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Refuses: this build has no tuner.
pub fn run(_args: &Args) -> Result<(), Failure> {
    Err(Failure::input("`quantloom tune` is not in this build"))
}
