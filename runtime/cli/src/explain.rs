//! `quantloom explain`: a format, bit by bit.

use quantloom::kernels::abi::PANEL_ROWS;
use quantloom::registry::{self, Format, Numerics, Schedule, kernels};

use super::Failure;
use super::failure::print;
use super::formats::packed_bits;
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
    let mut text = [title(format), format.drawing.to_owned(), packing(format)].join("\n");
    if !kernels(format).is_empty() {
        text += &format!("\n{}\n{}", kernel_table(format), borrowed(format));
    }
    print(&text)
}

fn title(format: &Format) -> String {
    let kind = format.gguf.map_or_else(|| "Not in GGUF files.".to_owned(), |kind| format!("Type {kind} in GGUF files."));
    format!("{}: {}\n{kind}\n", format.name, format.doc)
}

/// The packed layout, as the class of the format tells it.
fn packing(format: &Format) -> String {
    let Some(packed) = &format.packed else {
        let Format { name, on_demand, .. } = format;
        let why = if *on_demand {
            format!("; build again with {}={name} in the environment", registry::ASKED)
        } else {
            String::new()
        };
        return format!("No kernels were generated for it: it can be decoded and encoded only{why}.\n");
    };
    let class = packed.class;
    let numerics: Vec<_> = registry::numerics(format).into_iter().map(Numerics::name).collect();
    [
        format!("packed as         {}", class.name),
        format!("unit              {} weights of {PANEL_ROWS} rows in {} bytes", class.unit_weights, class.unit_bytes),
        format!("bits per weight   {}", packed_bits(packed)),
        format!("zero              {}", class.zero),
        format!("scales            one per {} weights; of activations one per {}", class.step, class.span),
        format!("numerics          {}\n", numerics.join(", ")),
    ]
    .join("\n")
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
            batches(kernel.batch),
            if (kernel.isa.available)() { "yes" } else { "no" }.to_owned(),
        ]);
    }
    table
}

/// Which instruction sets run kernels of their base.
fn borrowed(format: &Format) -> String {
    let pairs = registry::isas().iter().flat_map(|isa| registry::numerics(format).into_iter().map(move |class| (*isa, class)));
    let others = pairs.filter_map(|(isa, class)| {
        let owner = registry::kernel_isa(format, class, isa);
        (owner.name != isa.name).then(|| format!("{} runs the {class} kernels of {}.\n", isa.name, owner.name))
    });
    others.collect()
}

fn schedule(schedule: Schedule) -> &'static str {
    match schedule {
        Schedule::Direct => "decoded per column group",
        Schedule::Panel => "unpacked once",
    }
}

/// The batch sizes from which a kernel is the default, as text.
fn batches(batches: &[usize]) -> String {
    if batches.is_empty() { "-".to_owned() } else { batches.iter().map(usize::to_string).collect::<Vec<_>>().join(", ") }
}
