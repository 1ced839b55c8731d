//! `quantloom decode`: a tensor as plain f32.

use std::path::{Path, PathBuf};

use quantloom::model::{Kind, Model};
use quantloom::stored;

use super::Failure;
use super::failure::tell;
use super::files::FloatWriter;
use super::progress::bar;
use super::source::{Input, Source};
use super::stored::Stored;

/// Weights that are decoded at a time, about.
const AT_ONCE: usize = 1 << 16;

/// Write a tensor as little-endian f32, row after row
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: quantloom decode model.gguf blk.0.attn_q.weight -o attn_q.f32")]
pub struct Args {
    #[command(flatten)]
    source: Source,
    /// Where to write; `-` is standard output
    #[arg(short, long, value_name = "OUT.f32")]
    output: PathBuf,
}

/// Decodes a matrix, a part at a time.
pub fn run(args: &Args) -> Result<(), Failure> {
    let input = args.source.open()?;
    match &input {
        Input::Gguf(model) => blocks(args, model),
        Input::SafeTensors(file) => rows(args, &args.source.matrix(file)?, &input.paths()),
    }
}

/// Decodes separate tensors of these files, some rows at a time.
fn rows(args: &Args, stored: &stored::Stored<'_>, inputs: &[&Path]) -> Result<(), Failure> {
    let (n, k) = (stored.n(), stored.k());
    let at_once = (AT_ONCE / k.max(1)).max(1);
    let mut values = vec![0.0; at_once * k];
    let mut out = FloatWriter::create(&args.output, inputs)?;
    let progress = bar(n as u64, "decoding");
    for first in (0..n).step_by(at_once) {
        let rows = first..n.min(first + at_once);
        let values = &mut values[..rows.len() * k];
        progress.inc(rows.len() as u64);
        stored.decode(rows, values)?;
        out.write(values)?;
    }
    out.finish()?;
    progress.finish_and_clear();
    tell(&format!("{n} rows of {k} weights, decoded from {}", stored.format().name));
    Ok(())
}

/// Decodes a tensor of blocks, some blocks at a time.
fn blocks(args: &Args, model: &Model) -> Result<(), Failure> {
    let file = model.file();
    let tensor = file.tensor(&args.source.tensor)?;
    match model.kind(tensor)? {
        Kind::Packed(_) => {
            let file = file.path().display();
            return Err(Failure::input(format!(
                "{file}: tensor {:?} is packed; decode the model that it was packed from",
                tensor.name
            )));
        }
        Kind::Items(_) => return Err(model.unknown_type(tensor).into()),
        Kind::Plain | Kind::Blocks(..) => {}
    }
    let stored = Stored::of(file, tensor)?;
    let bytes = file.bytes(tensor, stored.shape())?;

    let (weights, unit) = stored.unit(tensor.k());
    let units = (AT_ONCE / weights.max(1)).max(1);
    let mut values = vec![0.0; units * weights];
    let mut out = FloatWriter::create(&args.output, &file.paths().collect::<Vec<_>>())?;
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
