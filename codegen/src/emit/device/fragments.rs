//! Products by instructions that multiply matrices, which CUDA has words for.
//!
//! Packed units and activations come to shared memory by copies that run beside the products, a *stage* at a time: some units of the panels of a
//! group, and as many weights of its columns. A warp has a panel and all of the columns. Fragments of weights are loaded by `ldmatrix`, because
//! 512 bytes of a chunk are four of its matrices as they lie; those of activations directly, because a thread needs 8 bytes in a row of a column.
//! Columns are so far apart that no two threads meet in a bank.

use serde::Serialize;
use tera::Context;

use super::print::Printer;
use crate::kernel::fragments::{BLOCK, CELLS, Fragments};
use crate::lower::class::{Class, Codes, SEGMENT};
use crate::lower::layout::PackedLayout;
use crate::lower::planes::ROWS;

/// Columns of a warp: few, more, and many.
const FEW: usize = 32;
const MORE: usize = 48;
const MANY: usize = 64;

/// Fewest weights of a stage: a barrier for each.
const STAGE: usize = 128;

/// Most stages, and fewest.
const STAGES: [usize; 2] = [4, 3];

/// Most bytes that a group shares on any device since compute capability 8.0, and on those for data centres.
const SHARED: [usize; 2] = [99 * 1024, 163 * 1024];

/// Warps of a group, the most first.
const WARPS: [usize; 3] = [4, 2, 1];

/// Registers of a thread, at most.
pub const REGISTERS: usize = 255;

/// Longest copy.
const PIECE: usize = 16;

/// A product, as the skeleton wants it.
#[derive(Debug, Serialize)]
pub struct Product {
    pub name: String,
    pub columns: usize,
    pub warps: usize,
    pub threads: usize,
    pub stages: usize,
    stage_bytes: usize,
    sums: bool,
    arrays: Vec<Array>,
    cells: Vec<Cell>,
    clear: String,
    unit: String,
}

impl Product {
    /// Bytes that a group shares.
    pub const fn shared(&self) -> usize {
        self.stages * self.stage_bytes
    }
}

/// What columns have beside quants.
#[derive(Debug, Serialize)]
struct Array {
    name: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    /// Where in a stage it begins.
    offset: usize,
    /// How many a column has of a unit.
    count: usize,
    /// Bytes of a copy, and copies for a stage.
    piece: usize,
    pieces: usize,
}

/// A cell of a thread: what its sums are called, its row from the first of a panel, and its column from the first of a warp.
#[derive(Debug, Serialize)]
struct Cell {
    name: String,
    row: usize,
    column: usize,
}

/// Units of a stage.
fn stage_units(class: &Class) -> usize {
    (STAGE / class.unit).max(1)
}

/// Bytes from a column of a stage to the next: threads of a quarter of a warp begin in different banks.
fn stage_quants(class: &Class) -> usize {
    stage_units(class) * class.unit + class.fragment()
}

/// What columns have of a stage, from a byte on.
fn arrays(class: &Class, sums: bool, columns: usize, first: usize) -> Vec<Array> {
    let spans = ("scales", "float", class.unit / class.span);
    let steps = sums.then_some(("sums", "int", class.steps()));
    let mut offset = first;
    let array = |(name, kind, count): (_, _, usize)| {
        let piece = PIECE.min(4 * count);
        let array = Array { name, kind, offset, count, piece, pieces: stage_units(class) * 4 * count / piece };
        offset += columns * array.pieces * piece;
        array
    };
    [spans].into_iter().chain(steps).map(array).collect()
}

/// The product with so many columns a warp.
fn product(class: &Class, layout: &PackedLayout, columns: usize) -> Product {
    let fragments = Fragments::new(class, columns / BLOCK);
    let mut printer = Printer::of_fragments(class, layout, CELLS * columns / BLOCK);
    printer.code(&fragments.clear);
    let clear = printer.take(1);
    printer.code(&fragments.unit);
    let unit = printer.take(3);
    let sums = unit.contains("sums");
    let head = |warps: usize| warps * stage_units(class) * layout.bytes() + columns * stage_quants(class);
    let stage = |warps| {
        let arrays = arrays(class, sums, columns, head(warps));
        let end = arrays.iter().map(|array| array.offset + columns * array.pieces * array.piece).max();
        (end.unwrap_or_default().next_multiple_of(PIECE), arrays)
    };
    // Small groups are better than those that few devices take.
    let choices = SHARED.into_iter().flat_map(|most| WARPS.into_iter().map(move |warps| (most, warps)));
    let mut choices = choices.flat_map(|(most, warps)| STAGES.into_iter().map(move |stages| (most, warps, stages)));
    let fits = choices.find(|(most, warps, stages)| stages * stage(*warps).0 <= *most);
    let (_, warps, stages) = fits.expect("three stages of a segment of a panel fit");
    let (stage_bytes, arrays) = stage(warps);
    let cell = |(vector, column): (usize, usize)| Cell {
        name: format!("{vector}_{column}"),
        row: BLOCK * vector,
        column: column / CELLS * BLOCK + column % CELLS,
    };
    let cells = fragments.cells.into_iter().map(cell).collect();
    let (name, threads) = (format!("gemm_int8_{columns}"), ROWS * warps);
    Product { name, columns, warps, threads, stages, stage_bytes, sums, arrays, cells, clear, unit }
}

/// Columns that a thread has registers for, of which those of compute capability 12 set the bound. A cell has two sums, or three where spans have
/// several steps: of a span, of a segment, and of all. Bodies of several steps take some, too, and palettes.
fn columns(class: &Class) -> &'static [usize] {
    let three = class.span > class.step;
    let palette = matches!(class.codes, Codes::Bytes(_));
    match (three, class.panel_body() > class.step || three && palette) {
        (false, false) => &[FEW, MANY],
        (true, true) => &[FEW],
        _ => &[FEW, MORE],
    }
}

/// The products of a class in panels; none where fragments do not cover it.
pub fn products(class: &Class, layout: &PackedLayout) -> Vec<Product> {
    let columns = columns(class).iter().copied().filter(|_| Fragments::cover(class));
    columns.map(|columns| product(class, layout, columns)).collect()
}

/// What the skeleton prints of them.
pub fn insert(context: &mut Context, class: &Class, products: &[Product]) {
    let uses = |word: &str| products.iter().any(|product| product.unit.contains(word));
    let mut pieces = products.iter().flat_map(|product| &product.arrays).map(|array| array.piece).collect::<Vec<_>>();
    pieces.retain(|&bytes| bytes < PIECE);
    pieces.sort_unstable();
    pieces.dedup();
    let units = stage_units(class);
    context.insert("pieces", &pieces);
    context.insert("stage_units", &units);
    context.insert("stage_quants", &stage_quants(class));
    context.insert("stage_spans", &(units * class.unit / class.span));
    context.insert("stage_steps", &(units * class.steps()));
    context.insert("quant_bytes", &(class.fragment() / 4));
    context.insert("multiplies_32", &uses("multiply_32("));
    context.insert("multiplies_16", &uses("multiply_16("));
    context.insert("multiplies_mins", &uses("multiply_mins("));
    context.insert("lifts", &uses("lifted_to_float("));
    context.insert("matrix_products", products);
}

/// Weights of a stage are whole parts of a segment.
const _: () = assert!(SEGMENT.is_multiple_of(STAGE));
