//! What a host must know of a module.

use quantloom_abi::PARTIAL_SUMS;
use quantloom_abi::panels::HELPERS;
use quantloom_spec::gpu::Dialect;
use quantloom_spec::kernels::Numerics;
use quantloom_spec::model::Format;
use serde::Serialize;

use super::fragments::{Product, REGISTERS};
use super::{COLUMNS, product_name, warps};
use crate::lower::class::{Class, SEGMENT};
use crate::lower::layout::{self, PackedLayout};
use crate::lower::planes::ROWS;

/// What a host must know of a module.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Manifest {
    /// Name of the format.
    pub format: String,
    /// The language.
    pub target: String,
    /// The packed class.
    pub class: String,
    /// FNV-1a of the text, 16 hexadecimal digits.
    pub hash: String,
    /// Numerics classes that products are in.
    pub numerics: Vec<&'static str>,
    /// How the packed weights lie.
    pub weights: Panels,
    /// How activations and what follows from them lie.
    pub activations: Activations,
    /// By how many groups K is shared out, as far as it was tested; any number gives the same bits.
    pub splitk: Vec<usize>,
    /// What can be launched.
    pub entries: Vec<Entry>,
}

impl Manifest {
    /// It as JSON, one key a line.
    #[must_use]
    pub fn json(&self) -> String {
        let text = serde_json::to_string_pretty(self).expect("keys are names, and numbers are integers");
        text + "\n"
    }
}

/// Packed weights: panels one after the other, each its units in the order of K.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Panels {
    /// Rows of a panel.
    pub rows: usize,
    /// Weights of a unit.
    pub unit_weights: usize,
    /// Bytes of a unit of a panel.
    pub unit_bytes: usize,
    /// Weights of a segment: K is shared out at its multiples.
    pub segment: usize,
    /// The parts of a unit: `[count][rows][bytes]`.
    pub fields: Vec<Field>,
}

/// A field of a unit.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// Where in the unit it begins.
    pub offset: usize,
    /// How often a row has it.
    pub count: usize,
    /// Bytes that a row has of it each time.
    pub bytes: usize,
}

/// Activations: column after column, filled up with zeros to whole units.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Activations {
    /// Activations under one scale, in the class `int8`.
    pub span: usize,
    /// Activations of which there is one sum.
    pub step: usize,
}

/// A kernel of a module.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Threads of a group, along the first axis.
    pub block: usize,
    /// Groups along each axis, in terms of the arguments and of `batch` and `k`; `/` rounds up.
    pub grid: [String; 3],
    /// Bytes of memory that a group shares, declared in the text.
    pub shared: usize,
    /// Bytes of such memory that a launch must ask for besides.
    pub dynamic_shared: usize,
    /// Registers that a thread has at most, where a device has to keep so many for each.
    pub registers: Option<usize>,
    /// What it is given, in order. In WGSL memory is bound so, from binding 0 on, and numbers are the members of one uniform buffer behind it.
    pub arguments: Vec<Argument>,
}

/// An argument.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Argument {
    /// Its name.
    pub name: &'static str,
    /// Its type: of an item, where it is memory.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Items that the memory has; nothing for a number.
    pub items: Option<&'static str>,
    /// Whether the kernel writes to it.
    pub written: bool,
}

/// Of a module with this text.
pub(super) fn of(
    format: &Format,
    class: &Class,
    layout: &PackedLayout,
    dialect: &Dialect,
    matrices: &[Product],
    text: &str,
) -> Manifest {
    let numerics = Numerics::ALL.into_iter().filter(|numerics| class.has(*numerics)).collect::<Vec<_>>();
    let field = |field: &layout::Field| Field {
        name: field.name,
        offset: layout.offset_of(field.name).unwrap_or_default(),
        count: field.counts.iter().product(),
        bytes: field.element.bytes(),
    };
    let weights = Panels {
        rows: layout.rows,
        unit_weights: class.unit,
        unit_bytes: layout.bytes(),
        segment: SEGMENT,
        fields: layout.fields.iter().map(field).collect(),
    };
    let products = numerics.iter().flat_map(|numerics| COLUMNS.map(|columns| product_entry(*numerics, columns, dialect)));
    let matrix_products = matrices.iter().map(matrix_entry);
    let before = class.has(Numerics::Int8).then(quantise_entry);
    let after = [decode_entry(dialect), reduce_entry()];
    let entries =
        [norm_entry()].into_iter().chain(before).chain([pad_entry()]).chain(products).chain(matrix_products).chain(after);
    Manifest {
        format: format.name.clone(),
        target: dialect.name.clone(),
        class: class.name(),
        hash: format!("{:016x}", crate::hash(text)),
        numerics: numerics.iter().map(|numerics| numerics.name()).collect(),
        weights,
        activations: Activations { span: class.span, step: class.step },
        splitk: dialect.splitk.clone(),
        entries: entries.map(|entry| with_zero(entry, dialect)).collect(),
    }
}

/// An entry, in the language that asks for a zero that no compiler knows.
fn with_zero(mut entry: Entry, dialect: &Dialect) -> Entry {
    if dialect.name == super::WGSL_NAME {
        entry.arguments.push(number_of("zero", "u32: 0"));
    }
    entry
}

const fn memory(name: &'static str, kind: &'static str, items: &'static str) -> Argument {
    Argument { name, kind, items: Some(items), written: false }
}

const fn written(name: &'static str, kind: &'static str, items: &'static str) -> Argument {
    Argument { name, kind, items: Some(items), written: true }
}

const fn number(name: &'static str) -> Argument {
    number_of(name, "u32")
}

const fn number_of(name: &'static str, kind: &'static str) -> Argument {
    Argument { name, kind, items: None, written: false }
}

fn grid(axes: [&str; 3]) -> [String; 3] {
    axes.map(str::to_owned)
}

fn norm_entry() -> Entry {
    let arguments = vec![
        memory("x", "f32", "batch * k"),
        memory("w", "f32", "k"),
        written("out", "f32", "batch * k, for `quantise` or `pad`"),
        number("k"),
        number_of("divisor", "u32: the bits of k as f32"),
        number_of("eps", "u32: the bits of an f32 that is not negative"),
    ];
    let (block, shared) = (PARTIAL_SUMS, PARTIAL_SUMS * size_of::<f32>());
    Entry { block, shared, ..helper("rms_norm", ["batch", "1", "1"], arguments) }
}

fn quantise_entry() -> Entry {
    let arguments = vec![
        memory("x", "f32", "batch * k"),
        written("quants", "i8", "batch * padded"),
        written("scales", "f32", "batch * padded / activations.span"),
        written("sums", "i32", "batch * padded / activations.step"),
        written("status", "u32", "1: set to 0 before; 1 after, if a value is not finite"),
        number("k"),
        number_of("padded", "u32: k, rounded up to weights.unit_weights"),
    ];
    let shared = HELPERS * (size_of::<u32>() + size_of::<i32>());
    let grid = grid(["padded / block", "batch", "1"]);
    Entry { name: "quantise".to_owned(), block: HELPERS, grid, shared, dynamic_shared: 0, registers: None, arguments }
}

fn pad_entry() -> Entry {
    let arguments =
        vec![memory("x", "f32", "batch * k"), written("values", "f32", "batch * padded"), number("k"), number("padded")];
    helper("pad", ["padded / block", "batch", "1"], arguments)
}

fn product_entry(numerics: Numerics, columns: usize, dialect: &Dialect) -> Entry {
    Entry {
        name: product_name(numerics, columns),
        block: ROWS * warps(dialect),
        grid: ["rows / 32".to_owned(), "splits".to_owned(), format!("columns / {columns}")],
        shared: 4 * ROWS * warps(dialect) * columns,
        dynamic_shared: 0,
        registers: None,
        arguments: product_arguments(numerics),
    }
}

fn matrix_entry(product: &Product) -> Entry {
    Entry {
        name: product.name.clone(),
        block: product.threads,
        grid: [format!("rows / {}", ROWS * product.warps), "splits".to_owned(), format!("columns / {}", product.columns)],
        shared: 0,
        dynamic_shared: product.shared(),
        registers: Some(REGISTERS),
        arguments: product_arguments(Numerics::Int8),
    }
}

fn decode_entry(dialect: &Dialect) -> Entry {
    let numbers = [number("rows"), number("units"), number_of("k", "u32: weights of a row")];
    let arguments = [weights_of_panels(), written("out", "f32", "rows * k")].into_iter().chain(numbers).collect();
    let units = format!("units / {}", warps(dialect));
    Entry { block: ROWS * warps(dialect), ..helper("decode", ["rows / 32", &units, "1"], arguments) }
}

const fn weights_of_panels() -> Argument {
    memory("weights", "u8", "rows / 32 * units * weights.unit_bytes")
}

/// What products are given.
fn product_arguments(numerics: Numerics) -> Vec<Argument> {
    let activations = match numerics {
        Numerics::Int8 => vec![
            memory("quants", "i8", "columns * units * weights.unit_weights"),
            memory("scales", "f32", "as `quantise` writes them"),
            memory("sums", "i32", "as `quantise` writes them"),
        ],
        Numerics::Exact => vec![memory("values", "f32", "columns * units * weights.unit_weights")],
    };
    let out = written("out", "f32", "columns * rows; if splits > 1, segments * columns * rows, for `reduce`");
    let numbers = ["rows", "units", "columns", "splits"].map(number);
    [weights_of_panels()].into_iter().chain(activations).chain([out]).chain(numbers).collect()
}

fn reduce_entry() -> Entry {
    let arguments = vec![
        memory("partials", "f32", "segments * count"),
        memory("bias", "f32", "rows, if bit 0 of added is set"),
        memory("residual", "f32", "count, if bit 1 of added is set"),
        written("out", "f32", "count"),
        number_of("count", "u32: columns * rows"),
        number_of(
            "segments",
            "u32: units * weights.unit_weights / weights.segment, rounded up; 1 behind a product with `splits` of 1",
        ),
        number("rows"),
        number_of("added", "u32: 1 for a bias, 2 for a residual, 3 for both"),
    ];
    helper("reduce", ["count / block", "1", "1"], arguments)
}

/// A kernel beside products, whose threads share nothing.
fn helper(name: &str, axes: [&str; 3], arguments: Vec<Argument>) -> Entry {
    let (name, grid) = (name.to_owned(), grid(axes));
    Entry { name, block: HELPERS, grid, shared: 0, dynamic_shared: 0, registers: None, arguments }
}
