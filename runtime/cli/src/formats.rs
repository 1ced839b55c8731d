//! `quantloom formats`: every weight format that has a card.

use std::collections::BTreeMap;

use quantloom::gguf::BlockShape;
use quantloom::kernels::abi::PANEL_ROWS;
use quantloom::registry::{self, Format, Isa, Numerics, Packed, kernel_isa, kernels};
use serde_json::{Value as Json, json};

use super::Failure;
use super::failure::{document, print};
use super::screen::{filled, legend};
use super::table::{Align, Table};

/// List the weight formats: size, block, and how many kernels run here
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: quantloom formats --json")]
pub struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Prints the formats in the order of the registry.
pub fn run(args: &Args) -> Result<(), Failure> {
    let formats: Vec<_> = registry::formats().collect();
    if args.json {
        let formats: Vec<_> = formats.into_iter().map(json_of).collect();
        print(&document(&json!({ "formats": formats })))
    } else {
        print(&text(&formats))
    }
}

/// Bits that `bytes` bytes spend on each of `weights` weights.
pub fn bits(bytes: usize, weights: usize) -> f64 {
    8.0 * bytes as f64 / weights as f64
}

/// Bits per weight of the packed form.
pub fn packed_bits(packed: &Packed) -> f64 {
    let class = packed.class;
    bits(class.unit_bytes, class.unit_weights * PANEL_ROWS)
}

fn text(formats: &[&Format]) -> String {
    let mut table = Table::new(&[
        ("FORMAT", Align::Left),
        ("GGUF", Align::Right),
        ("BITS", Align::Right),
        ("PACKED", Align::Right),
        ("BLOCK", Align::Right),
        ("BYTES", Align::Right),
        ("INT8", Align::Left),
        ("KERNELS", Align::Right),
    ]);
    formats.iter().filter(|format| !format.on_demand).for_each(|format| table.row(cells(format)));
    format!("{table}\n{}{}", explained(), more(formats))
}

/// What the columns are.
fn explained() -> String {
    let kernels = format!("that run on this processor, whose best instruction set is {}", registry::best_isa().name);
    let words = legend(&[
        ("GGUF", "type number in GGUF files"),
        ("BITS", "bits per weight in the file; PACKED: in memory"),
        ("BLOCK", "weights of a block; BYTES: what they take in the file"),
        ("INT8", "whether it has the class `int8`; all with kernels have `exact`"),
        ("KERNELS", &kernels),
    ]);
    let more = "`quantloom explain FORMAT` says more of one; --json counts the kernels of each instruction set";
    format!("{words}{}\n", filled(more, 0))
}

/// The formats that this build has no kernels of, though others have: each family of a card on a line.
fn more(formats: &[&Format]) -> String {
    let left_out = formats.iter().filter(|format| format.on_demand).collect::<Vec<_>>();
    let families = left_out.chunk_by(|one, other| one.card == other.card).map(|family| match family {
        [one] => format!("  {}\n", one.name),
        [first, .., last] => format!("  {} to {}: {}\n", first.name, last.name, family.len()),
        [] => String::new(),
    });
    let families = families.collect::<String>();
    let how = filled(&format!("To build kernels of one: {}=NAME in the environment of the build.", registry::ASKED), 0);
    if families.is_empty() { families } else { format!("\nDecoded, without kernels in this build:\n{families}{how}\n") }
}

/// How many kernels an instruction set runs: its own, and those of its base for a class that it has none of.
fn count(format: &Format, isa: &'static Isa) -> usize {
    let owner = |numerics| kernel_isa(format, numerics, isa);
    kernels(format).iter().filter(|kernel| kernel.isa().name == owner(kernel.numerics).name).count()
}

fn cells(format: &Format) -> [String; 8] {
    let packed = format.packed.as_ref();
    let int8 = registry::numerics(format).contains(&Numerics::Int8);
    [
        format.name.to_owned(),
        format.gguf.map_or_else(|| "-".to_owned(), |kind| kind.to_string()),
        format!("{:.2}", format.bits_per_weight()),
        packed.map_or_else(|| "-".to_owned(), |packed| format!("{:.2}", packed_bits(packed))),
        format.block_weights.to_string(),
        block_bytes(format).map_or_else(|| "-".to_owned(), |bytes| bytes.to_string()),
        if int8 { "yes" } else { "no" }.to_owned(),
        count(format, registry::best_isa_of(format)).to_string(),
    ]
}

/// Bytes of a block; separate tensors have none.
fn block_bytes(format: &Format) -> Option<usize> {
    BlockShape::of(format).map(|shape| shape.bytes)
}

fn json_of(format: &Format) -> Json {
    let numerics: Vec<_> = registry::numerics(format).into_iter().map(Numerics::name).collect();
    let counts: BTreeMap<_, _> = registry::isas().iter().map(|isa| (isa.name, count(format, isa))).collect();
    json!({
        "name": format.name,
        "doc": format.doc,
        "gguf": format.gguf,
        "bits_per_weight": format.bits_per_weight(),
        "packed_bits_per_weight": format.packed.as_ref().map(packed_bits),
        "block_weights": format.block_weights,
        "block_bytes": block_bytes(format),
        "numerics": numerics,
        "on_demand": format.on_demand,
        "kernels": counts,
    })
}
