//! What the command line offers, and which command does it.
//!
//! Exit status: 0 done, 1 the input is wrong (one line on standard error says which and where), 2 wrong usage.

mod args;
mod bench;
mod cache;
mod check;
mod decode;
mod demo;
mod doctor;
mod explain;
mod failure;
mod files;
mod formats;
mod inspect;
mod limit;
mod locks;
mod matmul;
mod metadata;
mod pack;
mod probe;
mod progress;
mod quantize;
mod report;
mod results;
mod source;
mod stored;
mod table;
mod tune;

use clap::{Parser, Subcommand};

pub use failure::Failure;

/// Fused kernels for quantised language models, generated from cards
#[derive(Debug, Parser)]
#[command(
    name = "quantloom",
    version,
    after_help = "Without a command: tunes the bundled model on this machine and prints the kernels and their speeds.

Example: quantloom inspect model.gguf"
)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Formats(formats::Args),
    Inspect(inspect::Args),
    Decode(decode::Args),
    Matmul(matmul::Args),
    Bench(bench::Args),
    Tune(tune::Args),
    Cache(cache::Args),
    Doctor(doctor::Args),
    Check(check::Args),
    Explain(explain::Args),
    Quantize(quantize::Args),
    Pack(pack::Args),
    Report(report::Args),
    Probe(probe::Args),
}

impl Cli {
    /// Does what the command line asks for.
    ///
    /// # Errors
    /// What stopped it: [`Failure::report`] tells the user.
    pub fn run(&self) -> Result<(), Failure> {
        match &self.command {
            None => demo::run(),
            Some(Command::Formats(args)) => formats::run(args),
            Some(Command::Inspect(args)) => inspect::run(args),
            Some(Command::Decode(args)) => decode::run(args),
            Some(Command::Matmul(args)) => matmul::run(args),
            Some(Command::Bench(args)) => bench::run(args),
            Some(Command::Tune(args)) => tune::run(args),
            Some(Command::Cache(args)) => cache::run(args),
            Some(Command::Doctor(args)) => doctor::run(args),
            Some(Command::Check(args)) => check::run(args),
            Some(Command::Explain(args)) => explain::run(args),
            Some(Command::Quantize(args)) => quantize::run(args),
            Some(Command::Pack(args)) => pack::run(args),
            Some(Command::Report(args)) => report::run(args),
            Some(Command::Probe(probe::Args {})) => probe::run(),
        }
    }
}
