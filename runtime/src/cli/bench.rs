//! `quantloom bench`: how fast the kernels are here.

use std::num::NonZero;

use super::Failure;
use super::args::{Choice, shape};

/// Measure the kernels that dispatch would choose on this machine
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: quantloom bench --shape 4096x4096 --batch 1,8,128")]
pub struct Args {
    /// A format; may be repeated [default: all that have kernels]
    #[arg(long = "format", value_name = "F")]
    pub formats: Vec<String>,
    /// Rows and columns of the weights; may be repeated
    #[arg(long = "shape", value_name = "NxK", value_parser = shape, default_value = "4096x4096")]
    pub shapes: Vec<(usize, usize)>,
    /// Rows of the activations
    #[arg(long = "batch", value_name = "M,M,..", value_delimiter = ',', default_value = "1,8,128")]
    pub batches: Vec<NonZero<usize>>,
    #[command(flatten)]
    pub choice: Choice,
    /// What to run on
    #[arg(long, value_enum, default_value_t = Device::Cpu)]
    pub device: Device,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What a benchmark runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Device {
    Cpu,
    Cuda,
    Wgpu,
}

/// Refuses: this build has no tuner.
pub fn run(_args: &Args) -> Result<(), Failure> {
    Err(Failure::input("`quantloom bench` is not in this build"))
}
