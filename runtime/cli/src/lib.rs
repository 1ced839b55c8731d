//! The command line of quantloom: what it offers, and which command does it; `quantloom --help` describes it.
//!
//! Exit status: 0 done, 1 the input is wrong (one line on standard error says which and where), 2 wrong usage.

mod args;
mod bench;
mod cache;
mod check;
mod decode;
mod defaults;
mod demo;
#[cfg(any(feature = "wgpu", feature = "cuda"))]
mod device;
mod doctor;
mod emit;
mod explain;
mod failure;
mod files;
mod formats;
#[cfg(feature = "models")]
mod generate;
mod inspect;
#[cfg(feature = "models")]
mod language;
mod limit;
mod locks;
#[cfg(feature = "models")]
mod logits;
mod matmul;
mod metadata;
mod pack;
#[cfg(feature = "models")]
mod perplexity;
mod probe;
mod progress;
mod quantize;
mod report;
mod results;
mod screen;
mod signals;
mod source;
mod stored;
mod table;
mod token;
#[cfg(feature = "models")]
mod tokenize;
mod tune;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use failure::Failure;

/// Fused kernels for quantised language models, generated from cards
#[derive(Debug, Parser)]
#[command(
    name = "quantloom",
    version,
    after_help = "It generates kernels, multiplies by quantised matrices, and runs whole models by both.

Example: quantloom generate model.gguf --chat -p \"What is the capital of France?\""
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Args),
    Formats(formats::Args),
    Inspect(inspect::Args),
    Decode(decode::Args),
    Matmul(matmul::Args),
    #[cfg(feature = "models")]
    Generate(generate::Args),
    #[cfg(feature = "models")]
    Tokenize(tokenize::Args),
    #[cfg(feature = "models")]
    Logits(logits::Args),
    #[cfg(feature = "models")]
    Perplexity(perplexity::Args),
    Bench(bench::Args),
    Tune(tune::Args),
    Cache(cache::Args),
    Doctor(doctor::Args),
    Check(check::Args),
    Explain(explain::Args),
    Emit(emit::Args),
    Quantize(quantize::Args),
    Pack(pack::Args),
    Report(report::Args),
    Probe(probe::Args),
}

/// The program: does what its arguments ask for, and tells the user what stopped it.
#[must_use]
pub fn main() -> ExitCode {
    match Cli::read().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// Characters of a line of help at most: longer ones are hard to read.
const HELP: usize = 100;

impl Cli {
    /// The arguments of this process; exits with help for who asks for it, or has them wrong.
    fn read() -> Self {
        let width = screen::width().map_or(HELP, |width| width.min(HELP));
        let matches = Self::command().term_width(width).get_matches();
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }

    fn run(&self) -> Result<(), Failure> {
        // A probe is for kernels that may do anything, and writes nothing.
        if !matches!(self.command, Some(Command::Probe(_))) {
            signals::watch();
        }
        match &self.command {
            None | Some(Command::Demo(demo::Args {})) => demo::run(),
            Some(Command::Formats(args)) => formats::run(args),
            Some(Command::Inspect(args)) => inspect::run(args),
            Some(Command::Decode(args)) => decode::run(args),
            Some(Command::Matmul(args)) => matmul::run(args),
            #[cfg(feature = "models")]
            Some(Command::Generate(args)) => generate::run(args),
            #[cfg(feature = "models")]
            Some(Command::Tokenize(args)) => tokenize::run(args),
            #[cfg(feature = "models")]
            Some(Command::Logits(args)) => logits::run(args),
            #[cfg(feature = "models")]
            Some(Command::Perplexity(args)) => perplexity::run(args),
            Some(Command::Bench(args)) => bench::run(args),
            Some(Command::Tune(args)) => tune::run(args),
            Some(Command::Cache(args)) => cache::run(args),
            Some(Command::Doctor(args)) => doctor::run(args),
            Some(Command::Check(args)) => check::run(args),
            Some(Command::Explain(args)) => explain::run(args),
            Some(Command::Emit(args)) => emit::run(args),
            Some(Command::Quantize(args)) => quantize::run(args),
            Some(Command::Pack(args)) => pack::run(args),
            Some(Command::Report(args)) => report::run(args),
            Some(Command::Probe(probe::Args {})) => probe::run(),
        }
    }
}
