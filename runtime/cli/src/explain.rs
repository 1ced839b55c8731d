//! `quantloom explain`: a format, bit by bit, an operation, or what a model runs.

#[cfg(feature = "models")]
mod model;

use std::fmt::Display;
use std::path::Path;

use quantloom::kernels::abi::{Epilogue, PANEL_ROWS};
use quantloom::operation::{self, Operation, Prologue};
use quantloom::registry::{self, Format, Numerics, Schedule, kernels};
use quantloom_codegen::emit::device;
use quantloom_codegen::lower::class::Class;

use super::Failure;
use super::args::some_format;
use super::check;
use super::failure::{print, tell};
use super::formats::bits;
use super::screen::filled;
use super::table::{Align, Table};

/// Draw the block of a format, and show how it is packed and which kernels it has; or say what an operation computes, or what a model runs
#[derive(Debug, clap::Args)]
#[command(after_help = format!("Of a card there are no kernels until a build generates them: what they will be like is shown.

Examples: quantloom explain {}
          quantloom explain my_format.toml
          quantloom explain {}", some_format(), operation::all()[0].name))]
pub struct Args {
    /// Name of a format or an operation, in any case, or a card of one's own, or a model
    #[arg(value_name = "FORMAT|CARD.toml|OPERATION|MODEL.gguf")]
    format: String,
}

/// Prints all there is to say about a format or an operation.
pub fn run(args: &Args) -> Result<(), Failure> {
    let path = Path::new(&args.format);
    #[cfg(feature = "models")]
    if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf")) {
        return model::run(path);
    }
    if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml")) {
        return explain_card(path);
    }
    let format = match registry::format_by_name(&args.format) {
        Ok(format) => format,
        #[cfg(feature = "models")]
        Err(_) if path.is_file() && operation::by_name(&args.format).is_err() => return model::run(path),
        Err(error) => return print(&operation_text(operation::by_name(&args.format).map_err(|_| error)?)),
    };
    let mut text = [title(format.name, format.doc, format.gguf), format.drawing.to_owned(), packing(format)].join("\n");
    if !kernels(format).is_empty() {
        text += &format!("\n{}\n{}", kernel_table(format), borrowed(format));
    }
    print(&text)
}

/// What an operation computes, and what a call gives it.
fn operation_text(operation: &Operation) -> String {
    let prologue = match operation.prologue {
        Prologue::None => "none: activations are multiplied as they are",
        Prologue::RmsNorm => "rms-norm of each row of activations, by weights that the call gives",
    };
    let Epilogue { bias, activation, residual } = operation.epilogue;
    let steps = [
        bias.then(|| "plus a bias, where the call gives one".to_owned()),
        activation.map(|function| format!("the up projection, gated by {}", function.name)),
        residual.then(|| "plus a residual, where the call gives one".to_owned()),
    ];
    let epilogue = steps.into_iter().flatten().collect::<Vec<_>>().join("; ");
    let epilogue = if epilogue.is_empty() { "none: sums are written as they are" } else { &epilogue };
    [
        format!("{}\n", filled(&format!("{}: {}", operation.name, operation.doc), 2)),
        format!("prologue          {prologue}"),
        format!("weights           {}", operation.projections),
        format!("epilogue          {epilogue}"),
        format!("kernels           {}: what the tuner knows of them, and pins, hold here too\n", operation.kernels),
    ]
    .join("\n")
}

/// Prints what there is to say of a card before anything was generated from it.
fn explain_card(path: &Path) -> Result<(), Failure> {
    let formats = check::read(path).map_err(|message| {
        tell(&message);
        Failure::Told
    })?;
    print(&formats.iter().map(card_text).collect::<Vec<_>>().join("\n"))
}

fn card_text(format: &quantloom_spec::model::Format) -> String {
    let packing = match Class::of(format) {
        Ok(class) => Layout::of_class(&class).text(),
        Err(why) => format!("kernels           none: {why}\n"),
    };
    let drawing = format!("{}\n{}", quantloom_spec::draw(format), format.summary());
    [title(&format.name, &format.doc, format.gguf), drawing, packing].join("\n")
}

fn title(name: &str, doc: &str, gguf: Option<u32>) -> String {
    let kind = gguf.map_or_else(|| "Not in GGUF files.".to_owned(), |kind| format!("Type {kind} in GGUF files."));
    format!("{}\n{kind}\n", filled(&format!("{name}: {doc}"), 2))
}

/// The packed layout, as the class of the format tells it, or why there is none.
fn packing(format: &Format) -> String {
    match (&format.packed, format.uncovered) {
        (None, Some(what)) => format!("kernels           none: no kernel covers {what}\n"),
        (None, None) if format.on_demand => {
            format!(
                "kernels           none in this build: build again with {}={} in the environment\n",
                registry::ASKED,
                format.name
            )
        }
        (None, None) => "No kernels were generated for it: it can be decoded and encoded only.\n".to_owned(),
        (Some(packed), _) => {
            let numerics = registry::numerics(format).into_iter().map(Numerics::name).collect();
            let class = packed.class;
            let (unit, scales) = ((class.unit_weights, class.unit_bytes), (class.step, class.span));
            Layout { class: class.name, unit, zero: class.zero, scales, numerics }.text()
        }
    }
}

/// What people may want to know of a packed layout.
struct Layout<C> {
    class: C,
    /// Weights and bytes.
    unit: (usize, usize),
    zero: i32,
    /// Weights under a scale, and under an activation scale.
    scales: (usize, usize),
    numerics: Vec<&'static str>,
}

impl Layout<String> {
    fn of_class(class: &Class) -> Self {
        let numerics = Numerics::ALL.into_iter().filter(|numerics| class.has(*numerics)).map(Numerics::name).collect();
        let (unit, scales) = ((class.unit, class.unit_bytes()), (class.step, class.span));
        Self { class: class.name(), unit, zero: class.zero, scales, numerics }
    }
}

impl<C: Display> Layout<C> {
    fn text(&self) -> String {
        let Self { class, unit: (weights, bytes), zero, scales: (step, span), numerics } = self;
        [
            format!("packed as         {class}"),
            format!("unit              {weights} weights of {PANEL_ROWS} rows in {bytes} bytes"),
            format!("bits per weight   {}", bits(*bytes, weights * PANEL_ROWS)),
            format!("zero              {zero}"),
            format!("scales            one per {step} weights; of activations one per {span}"),
            format!("numerics          {}", numerics.join(", ")),
            format!("devices           kernels in {}: `quantloom emit`\n", device::targets().collect::<Vec<_>>().join(", ")),
        ]
        .join("\n")
    }
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
            if kernel.isa().is_available() { "yes" } else { "no" }.to_owned(),
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
