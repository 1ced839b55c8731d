//! `quantloom explain`: a format, bit by bit.

use quantloom::registry::{self, Format, Numerics, Schedule, kernels};
use quantloom_kernels::abi::PANEL_ROWS;

use super::Failure;
use super::failure::print;
use super::formats::{bits, numerics, packed_bits};
use super::table::{Align, Table};

/// Draw the block of a format, and show how it is packed and which kernels it has
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: quantloom explain FORMAT, for a FORMAT that `quantloom formats` lists")]
pub struct Args {
    /// Name of a format, in any case
    format: String,
}

/// Prints all there is to say about a format.
pub fn run(args: &Args) -> Result<(), Failure> {
    let format = registry::format_by_name(&args.format)?;
    print(&format!("{}\n{}\n{}", facts(format), packing(format), kernel_table(format)))
}

fn facts(format: &Format) -> String {
    let per_weight = bits(format.block_bytes, format.block_weights);
    let kind = format.gguf.map_or_else(|| "not in GGUF".to_owned(), |kind| format!("GGUF type {kind}"));
    format!(
        "{}: {}\n\n{} weights in {} bytes, {per_weight:.4} bits per weight; {kind}\n",
        format.name, format.doc, format.block_weights, format.block_bytes
    )
}

/// The packed layout, as the class of the format tells it.
fn packing(format: &Format) -> String {
    let Some(packed) = &format.packed else {
        return "No kernels were generated for it: it can be decoded only.\n".to_owned();
    };
    let class = packed.class;
    let numerics: Vec<_> = numerics(format).into_iter().map(Numerics::name).collect();
    format!(
        "Packed as {}: {PANEL_ROWS} rows interleaved, units of {} weights of each in {} bytes, {:.4} bits per weight.\n\
         A weight scale spans {} weights, an activation scale {}; {} is subtracted from a code. Numerics: {}.\n",
        class.name,
        class.unit_weights,
        class.unit_bytes,
        packed_bits(packed),
        class.step,
        class.span,
        class.zero,
        numerics.join(", "),
    )
}

fn kernel_table(format: &Format) -> Table {
    let mut table = Table::new(&[
        ("KERNEL", Align::Left),
        ("WEIGHTS", Align::Left),
        ("TILE", Align::Right),
        ("DEFAULT FROM BATCH", Align::Right),
        ("HERE", Align::Left),
    ]);
    for kernel in kernels(format) {
        table.row([
            kernel.name.to_owned(),
            schedule(kernel.schedule).to_owned(),
            format!("{}x{}", kernel.rows, kernel.cols),
            kernel.batch.map_or_else(|| "-".to_owned(), |batch| batch.to_string()),
            if (kernel.isa.available)() { "yes" } else { "no" }.to_owned(),
        ]);
    }
    table
}

fn schedule(schedule: Schedule) -> &'static str {
    match schedule {
        Schedule::Direct => "decoded per column group",
        Schedule::Panel => "unpacked once",
    }
}
