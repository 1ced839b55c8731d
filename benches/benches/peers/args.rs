//! What is measured: the defaults, narrowed by options.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use quantloom_bench::defaults::{Cases, Defaults};
use quantloom_bench::shape::Shape;

use crate::contender::Result;

/// Compares quantloom with llama.cpp, candle and, if asked to, ik_llama.cpp, in turn and on the same weights.
#[derive(Debug, Parser)]
pub struct Args {
    /// Four formats in one shape on one thread: under three minutes
    #[arg(long)]
    quick: bool,
    /// Formats, by name
    #[arg(long, value_delimiter = ',')]
    format: Vec<String>,
    /// Shapes of the weights, rows x columns
    #[arg(long, value_delimiter = ',')]
    shape: Vec<Shape>,
    /// Rows of activations
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..))]
    batch: Vec<u16>,
    /// Numbers of threads
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..=512))]
    threads: Vec<u16>,
    /// Seconds for one case, all contenders together
    #[arg(long)]
    seconds: Option<f64>,
    /// Attention instead of products, ours and llama.cpp's
    #[arg(long, conflicts_with_all = ["format", "shape", "batch", "ik", "json", "plot"])]
    pub attention: bool,
    /// A whole model instead: prompts and generation, ours and llama.cpp's
    #[arg(long, value_name = "GGUF", conflicts_with_all = ["format", "shape", "batch", "ik", "json", "plot", "attention"])]
    pub model: Option<PathBuf>,
    /// Tokens of its prompts, and before its generation
    #[arg(long, value_delimiter = ',', requires = "model")]
    context: Vec<usize>,
    /// How far its logits are from exact ones after each token of this text, instead of times
    #[arg(long, value_name = "TEXT", requires = "model", conflicts_with = "context")]
    pub errors: Option<PathBuf>,
    /// A checkout of ik_llama.cpp that has been built, or its build folder: one more contender
    #[arg(long, value_name = "FOLDER")]
    pub ik: Option<PathBuf>,
    /// Where to write the record
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Where to draw the first shape of the record, as SVG
    #[arg(long, value_name = "FILE")]
    pub plot: Option<PathBuf>,
    /// Cargo says this to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
    /// Where a process for one number of threads writes what it found
    #[arg(long, hide = true, requires = "worker_threads")]
    pub worker: Option<PathBuf>,
    /// That number
    #[arg(long, hide = true)]
    pub worker_threads: Option<usize>,
}

impl Args {
    /// The cases.
    pub fn cases(&self) -> Cases {
        let Defaults { full, quick, .. } = Defaults::get();
        let cases = if self.quick { quick } else { full };
        Cases {
            formats: given(&self.format).unwrap_or(cases.formats),
            shapes: given(&self.shape).unwrap_or(cases.shapes),
            batches: given(&self.batch).map_or(cases.batches, |batches| batches.into_iter().map(usize::from).collect()),
            threads: given(&self.threads).map_or(cases.threads, |threads| threads.into_iter().map(usize::from).collect()),
            seconds: self.seconds.unwrap_or(cases.seconds),
        }
    }

    /// Tokens of prompts, if they were given.
    pub fn contexts(&self) -> Option<Vec<usize>> {
        given(&self.context)
    }

    /// The time for a case.
    pub fn budget(&self) -> Result<Duration> {
        Duration::try_from_secs_f64(self.cases().seconds).map_err(|error| format!("--seconds: {error}").into())
    }
}

fn given<T: Clone>(values: &[T]) -> Option<Vec<T>> {
    (!values.is_empty()).then(|| values.to_vec())
}
