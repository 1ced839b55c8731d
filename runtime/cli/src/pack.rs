//! `quantloom pack`: a copy of a model that is ready to multiply by.

use std::path::PathBuf;

use quantloom::model::Packing;
use quantloom::pool::Pool;
use serde_json::json;

use super::Failure;
use super::args::{thread_count, threads};
use super::failure::document;
use super::files::{create, say};
use super::progress::bar;
use super::report::numbers::count;
use super::source;
use super::stored::warn_of_unknown_types;

/// Write a copy of a model with its weights packed, which opens at once on any processor
#[derive(Debug, clap::Args)]
#[command(after_help = "The copy has the metadata and all tensors of the model. Commands take it wherever they multiply.

Example: quantloom pack model.gguf -o model.packed")]
pub struct Args {
    /// The model
    #[arg(value_name = "FILE.gguf")]
    file: PathBuf,
    /// Where to write; `-` is standard output
    #[arg(short, long, value_name = "FILE.packed")]
    output: PathBuf,
    /// Threads [default: as many as the processor runs at once]
    #[arg(long, value_name = "T", value_parser = thread_count, allow_negative_numbers = true)]
    threads: Option<u16>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Writes the copy, and prints what it came to.
pub fn run(args: &Args) -> Result<(), Failure> {
    let model = source::model(&args.file)?;
    warn_of_unknown_types(&model);
    let output = create(&args.output, &model.file().paths().collect::<Vec<_>>())?;
    let is_standard = output.is_standard();
    let pool = Pool::new(threads(args.threads));
    let progress = bar(model.file().file_len() as u64, "packing");
    let packing = model.pack_to(output, &pool, &mut |bytes| progress.inc(bytes as u64))?;
    progress.finish_and_clear();
    say(&if args.json { json(&packing) } else { text(&packing) }, is_standard)
}

fn text(packing: &Packing) -> String {
    let Packing { packed, stored_bytes, packed_bytes, copied, copied_bytes, .. } = packing;
    let packed = count(*packed, "tensor", "tensors");
    format!("{packed} packed, {stored_bytes} bytes to {packed_bytes}; {copied} copied, {copied_bytes} bytes\n")
}

fn json(packing: &Packing) -> String {
    let Packing { packed, stored_bytes, packed_bytes, copied, copied_bytes, .. } = packing;
    let json = json!({
        "packed": packed,
        "stored_bytes": stored_bytes,
        "packed_bytes": packed_bytes,
        "copied": copied,
        "copied_bytes": copied_bytes,
    });
    document(&json)
}
