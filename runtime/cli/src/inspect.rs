//! `quantloom inspect`: what a model file holds.

mod separate;

use std::collections::BTreeMap;
use std::path::PathBuf;

use quantloom::Error;
use quantloom::gguf::{Gguf, GivenUp, TensorInfo};
use quantloom::model::{Kind, Model};
use serde_json::{Map, Value as Json, json};

use super::Failure;
use super::failure::print;
use super::metadata;
use super::source::Input;
use super::table::{Align, Table, shown};

/// List the metadata and the tensors of a model; fails if a file of it is cut short or missing
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: quantloom inspect model.gguf")]
pub struct Args {
    /// The model: a GGUF file, a packed copy of one, or a safetensors file; of several, the index, any of them, or their folder
    file: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Prints the file's lists.
pub fn run(args: &Args) -> Result<(), Failure> {
    let model = match Input::open(&args.file)? {
        Input::Gguf(model) => model,
        Input::SafeTensors(file) => return print(&separate::list(&file, args.json)),
    };
    let file = model.file();
    let tensors = file.tensors().iter().map(|tensor| Row::new(&model, tensor));
    let tensors: Vec<_> = tensors.collect::<Result<_, _>>()?;
    if args.json { print(&format!("{:#}\n", json_of(&model, &tensors))) } else { print(&text(&model, &tensors)) }
}

/// A tensor, with what its type tells of it.
struct Row<'a> {
    tensor: &'a TensorInfo,
    /// Name of its type, if there is a card for it.
    kind: Option<&'static str>,
    packed: bool,
    /// Its size in the file, if there is.
    bytes: Option<usize>,
}

impl<'a> Row<'a> {
    fn new(model: &Model, tensor: &'a TensorInfo) -> quantloom::Result<Self> {
        let (kind, packed) = match model.kind(tensor) {
            Err(Error::UnknownTensorType { .. }) => return Ok(Self { tensor, kind: None, packed: false, bytes: None }),
            kind => match kind? {
                Kind::Plain => ("F32", false),
                Kind::Blocks(format, _) => (format.name, false),
                Kind::Packed(format) => (format.name, true),
                Kind::Items(items) => (items.name.as_str(), false),
            },
        };
        Ok(Self { tensor, kind: Some(kind), packed, bytes: Some(model.bytes(tensor)?) })
    }

    fn kind(&self) -> String {
        let packed = if self.packed { ", packed" } else { "" };
        let number = self.tensor.kind;
        match (self.kind, GivenUp::of(number)) {
            (Some(kind), _) => format!("{kind}{packed}"),
            (None, Some(gone)) => format!("{}, given up", gone.name),
            (None, None) => format!("type {number}"),
        }
    }

    fn weights(&self) -> u128 {
        self.tensor.k() as u128 * self.tensor.rows() as u128
    }
}

fn text(model: &Model, tensors: &[Row]) -> String {
    let file = model.file();
    let packed = if model.is_packed() { "packed copy, " } else { "" };
    let files = match file.paths().len() {
        1 => String::new(),
        count => format!("{count} files, "),
    };
    format!(
        "{}: {packed}{files}GGUF version {}, {} bytes, alignment {}\n\n{}\n{}\n{}",
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

fn json_of(model: &Model, tensors: &[Row]) -> Json {
    let file = model.file();
    let metadata: Map<_, _> = file.metadata().iter().map(|(key, value)| (key.clone(), metadata::json(value))).collect();
    let tensors: Vec<_> = tensors.iter().map(row_json).collect();
    json!({
        "file": file.path().display().to_string(),
        "files": file.paths().map(|path| path.display().to_string()).collect::<Vec<_>>(),
        "version": file.version(),
        "bytes": file.file_len(),
        "alignment": file.alignment(),
        "packed": model.is_packed(),
        "metadata": metadata,
        "tensors": tensors,
    })
}

fn row_json(row: &Row) -> Json {
    json!({
        "name": row.tensor.name,
        "type": row.kind,
        "packed": row.packed,
        "gguf": row.tensor.kind,
        "dims": row.tensor.dims,
        "offset": row.tensor.offset,
        "bytes": row.bytes,
    })
}
