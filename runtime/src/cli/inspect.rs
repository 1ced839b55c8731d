//! `quantloom inspect`: what a model file holds.

mod separate;

use std::collections::BTreeMap;
use std::path::PathBuf;

use quantloom::gguf::{Gguf, TensorInfo};
use serde_json::{Map, Value as Json, json};

use super::Failure;
use super::failure::print;
use super::metadata;
use super::source::Model;
use super::stored::Stored;
use super::table::{Align, Table, shown};

/// List the metadata and the tensors of a model; fails if the file is cut short
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: quantloom inspect model.gguf")]
pub struct Args {
    /// The model: a GGUF or safetensors file
    file: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Prints the file's lists.
pub fn run(args: &Args) -> Result<(), Failure> {
    let file = match Model::open(&args.file)? {
        Model::Gguf(file) => file,
        Model::SafeTensors(file) => return print(&separate::list(&file, args.json)),
    };
    let tensors = file.tensors().iter().map(|tensor| Row::new(&file, tensor));
    let tensors: Vec<_> = tensors.collect::<Result<_, _>>()?;
    if args.json { print(&format!("{:#}\n", json_of(&file, &tensors))) } else { print(&text(&file, &tensors)) }
}

/// A tensor, with what its type tells of it.
struct Row<'a> {
    tensor: &'a TensorInfo,
    /// Name of its type, if there is a card for it.
    kind: Option<&'static str>,
    /// Its size in the file, if there is.
    bytes: Option<usize>,
}

impl<'a> Row<'a> {
    fn new(file: &Gguf, tensor: &'a TensorInfo) -> quantloom::Result<Self> {
        let stored = Stored::of_kind(tensor.kind);
        let bytes = stored.map(|stored| file.bytes(tensor, stored.shape())).transpose()?;
        Ok(Self { tensor, kind: stored.map(Stored::name), bytes: bytes.map(<[u8]>::len) })
    }

    fn kind(&self) -> String {
        self.kind.map_or_else(|| format!("type {}", self.tensor.kind), str::to_owned)
    }

    fn weights(&self) -> u128 {
        self.tensor.k() as u128 * self.tensor.rows() as u128
    }
}

fn text(file: &Gguf, tensors: &[Row]) -> String {
    format!(
        "{}: GGUF version {}, {} bytes, alignment {}\n\n{}\n{}\n{}",
        file.path().display(),
        file.version(),
        file.file_len(),
        file.alignment(),
        entries(file),
        list(tensors),
        totals(tensors)
    )
}

fn entries(file: &Gguf) -> Table {
    let mut table = Table::new(&[("KEY", Align::Left), ("VALUE", Align::Left)]);
    for (key, value) in file.metadata() {
        table.row([shown(key), metadata::brief(value)]);
    }
    table
}

fn list(tensors: &[Row]) -> Table {
    let mut table =
        Table::new(&[("TENSOR", Align::Left), ("TYPE", Align::Left), ("SHAPE", Align::Right), ("BYTES", Align::Right)]);
    for row in tensors {
        let bytes = size(row.bytes.map(|bytes| bytes as u128));
        table.row([shown(&row.tensor.name), row.kind(), shape(row.tensor), bytes]);
    }
    table
}

/// Rows before columns, as users write shapes; K is the last.
fn shape(tensor: &TensorInfo) -> String {
    let dims: Vec<_> = tensor.dims.iter().rev().map(u64::to_string).collect();
    dims.join("x")
}

/// A number of bytes, if it is known.
fn size(bytes: Option<u128>) -> String {
    bytes.map_or_else(|| "?".to_owned(), |bytes| bytes.to_string())
}

/// One row per type that tensors have.
fn totals(tensors: &[Row]) -> Table {
    let mut kinds: BTreeMap<String, Vec<&Row>> = BTreeMap::new();
    for row in tensors {
        kinds.entry(row.kind()).or_default().push(row);
    }
    let mut table =
        Table::new(&[("TYPE", Align::Left), ("TENSORS", Align::Right), ("WEIGHTS", Align::Right), ("BYTES", Align::Right)]);
    for (kind, rows) in kinds {
        let weights: u128 = rows.iter().map(|row| row.weights()).sum();
        let bytes = rows.iter().map(|row| row.bytes.map(|bytes| bytes as u128)).sum();
        table.row([kind, rows.len().to_string(), weights.to_string(), size(bytes)]);
    }
    table
}

fn json_of(file: &Gguf, tensors: &[Row]) -> Json {
    let metadata: Map<_, _> = file.metadata().iter().map(|(key, value)| (key.clone(), metadata::json(value))).collect();
    let tensors: Vec<_> = tensors.iter().map(row_json).collect();
    json!({
        "file": file.path().display().to_string(),
        "version": file.version(),
        "bytes": file.file_len(),
        "alignment": file.alignment(),
        "metadata": metadata,
        "tensors": tensors,
    })
}

fn row_json(row: &Row) -> Json {
    json!({
        "name": row.tensor.name,
        "type": row.kind,
        "gguf": row.tensor.kind,
        "dims": row.tensor.dims,
        "offset": row.tensor.offset,
        "bytes": row.bytes,
    })
}
