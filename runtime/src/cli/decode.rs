//! `quantloom decode`: a tensor as plain f32.

use std::path::PathBuf;

use quantloom::gguf::Gguf;

use super::Failure;
use super::failure::tell;
use super::files::FloatWriter;
use super::progress::bar;
use super::stored::Stored;

/// Weights that are decoded at a time, about.
const AT_ONCE: usize = 1 << 16;

/// Write a tensor as little-endian f32, row after row
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: quantloom decode model.gguf blk.0.attn_q.weight -o attn_q.f32")]
pub struct Args {
    /// The model
    #[arg(value_name = "FILE.gguf")]
    file: PathBuf,
    /// Name of a tensor in it
    tensor: String,
    /// Where to write
    #[arg(short, long, value_name = "OUT.f32")]
    output: PathBuf,
}

/// Decodes a tensor, some blocks at a time.
pub fn run(args: &Args) -> Result<(), Failure> {
    let file = Gguf::open(&args.file)?;
    let tensor = file.tensor(&args.tensor)?;
    let stored = Stored::of(&file, tensor)?;
    let bytes = file.bytes(tensor, stored.shape())?;

    let (weights, unit) = stored.unit(tensor.k());
    let units = (AT_ONCE / weights.max(1)).max(1);
    let mut values = vec![0.0; units * weights];
    let mut out = FloatWriter::create(&args.output, &args.file)?;
    let progress = bar(bytes.len() as u64, "decoding");
    for part in bytes.chunks(units * unit) {
        let values = &mut values[..part.len() / unit * weights];
        stored.decode(weights, part, values)?;
        out.write(values)?;
        file.release(part);
        progress.inc(part.len() as u64);
    }
    out.finish()?;
    progress.finish_and_clear();
    tell(&format!("{} rows of {} weights, decoded from {}", tensor.rows(), tensor.k(), stored.name()));
    Ok(())
}
