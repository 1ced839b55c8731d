//! Kernel cards: the tile sizes and knobs that each operation is generated with.

mod check;

use std::sync::Arc;

pub use quantloom_abi::{Numerics, Prefetch, Schedule};
use quantloom_abi::{PANEL_ROWS, TILE_ROWS};

use crate::claim::Claim;
use crate::diagnostic::{Diagnostics, Sink, Source, Span};
use crate::isa::{Dot, Isa};
use crate::walk::{At, Node, Table, read_document};

/// Most columns of a tile.
const MAX_COLS: u32 = 16;

/// Most steps in flight.
const MAX_STEPS: u32 = 4;

/// Furthest prefetch, in bytes.
pub const MAX_DISTANCE: u32 = 1 << 20;

/// Most tiles that are read in turn.
pub const MAX_TILES: u32 = 1 << 10;

/// Largest batch that a variant may be the default from.
const MAX_BATCH: u32 = 1 << 20;

/// What one operation is generated with: a card in `kernels/`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Kernels {
    /// `operation`: which.
    pub operation: Operation,
    /// `[[variant]]`, repeated: its variants in order of preference.
    pub variants: Vec<Variant>,
}

/// An operation that kernels are generated for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// `matmul`: weights times activations.
    Matmul,
}

/// How far ahead of what it reads a kernel asks for memory, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Distances {
    /// `far`: into the second-level cache; at most 2^20.
    pub far: usize,
    /// `near`: into the first-level cache; at most 2^20.
    pub near: usize,
}

/// When a variant is generated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Set {
    /// `default`: in every build.
    Default,
    /// `all`: only when all variants are asked for.
    All,
}

/// One way to generate an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    /// `isa`: name of the instruction set.
    pub isa: String,
    /// `numerics`: the numerics class.
    pub numerics: Numerics,
    /// `schedule`: how it gets at decoded weights.
    pub schedule: Schedule,
    /// `rows`: rows of a tile: 16, 32 or 64.
    pub rows: usize,
    /// `cols`: columns of a tile, 1 to 16.
    pub cols: usize,
    /// `vectors`: row vectors that a tile works on at a time, where that is fewer than it has; then it has the interleaved rows, and takes
    /// them in whole turns. Without it all of them, in scalar code one.
    pub vectors: Option<usize>,
    /// `steps`: how many steps have their dots in flight at once, as far as a format has so many: more of them hide the latency of a
    /// dot. 1 without it, at most 4. Sums in f32 are of one chain, because their order is fixed.
    pub steps: usize,
    /// `prefetch`: which lines it asks for ahead of their use.
    pub prefetch: Prefetch,
    /// The distances that it is given where nothing better is known of the processor: `far` and `near`, as far as `prefetch` has them.
    pub distances: Distances,
    /// `batch`: a size or a list of sizes. The variant is the default for batches from each of them up, until another of the same
    /// instruction set and numerics says a larger one. Without it only the tuner chooses the variant.
    pub batch: Vec<usize>,
    /// `set`: when it is generated.
    pub set: Set,
}

impl Operation {
    const WORDS: [(&str, Self); 1] = [("matmul", Self::Matmul)];

    /// The word that cards and kernel names have for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Matmul => "matmul",
        }
    }
}

impl Set {
    const WORDS: [(&str, Self); 2] = [("default", Self::Default), ("all", Self::All)];
}

impl Variant {
    /// The part of a kernel's name that tells tiles apart, such as `r16c8.s2.far`: rows, columns, vectors at a time, steps, prefetch.
    #[must_use]
    pub fn tile_name(&self) -> String {
        let mut name = format!("r{}c{}", self.rows, self.cols);
        if let Some(vectors) = self.vectors {
            name += &format!(".v{vectors}");
        }
        if self.steps > 1 {
            name += &format!(".s{}", self.steps);
        }
        if self.prefetch != Prefetch::None {
            name += &format!(".{}", self.prefetch.name());
        }
        name
    }

    /// Row vectors that it works on at a time.
    #[must_use]
    pub fn vectors_of(&self, isa: &Isa) -> usize {
        self.vectors.unwrap_or(if isa.is_scalar() { 1 } else { self.rows / isa.lanes() })
    }

    /// Whether it multiplies matrices, which have two columns each, and not vectors.
    #[must_use]
    pub fn multiplies_matrices(&self, isa: &Isa) -> bool {
        self.numerics == Numerics::Int8 && isa.dot == Dot::MatrixI32 && self.cols.is_multiple_of(2)
    }

    /// Vector registers that its tile keeps occupied: accumulators, a column of weights, and one activation, which the widest vectors
    /// need not load: an instruction can broadcast it from memory. Where matrices are multiplied, it is four rows of weights and all
    /// columns. The f32 sums of `int8` do not count: each is used once a step, so that they can lie in the first-level cache, and dots that
    /// hide each other's latency are worth more than the sums' registers.
    #[must_use]
    pub fn registers(&self, isa: &Isa) -> usize {
        let vectors = self.vectors_of(isa);
        let operands = match self.multiplies_matrices(isa) {
            true => 2 + self.cols / 2,
            false => vectors + usize::from(isa.lanes() < PANEL_ROWS),
        };
        let sums = match self.numerics {
            Numerics::Int8 => self.steps + isa.dot.narrow_registers(),
            Numerics::Exact => 1,
        };
        sums * vectors * self.cols + operands
    }
}

/// Reads a kernel card whose variants are for `isas`. `path` is what diagnostics call it.
///
/// # Errors
/// Everything that is wrong with the card.
pub fn read_kernels(path: &str, text: &str, isas: &[Isa]) -> Result<Kernels, Diagnostics> {
    read_claims(Source::shared(path, text), isas).map(|(kernels, _)| kernels)
}

/// Reads a card together with what no other card may have.
pub(crate) fn read_claims(source: Arc<Source>, isas: &[Isa]) -> Result<(Kernels, Vec<Claim>), Diagnostics> {
    read_document(source, "the card", |card, sink| read(card, isas, sink))
}

fn read(mut card: Table<'_>, isas: &[Isa], sink: &mut Sink) -> Option<(Kernels, Vec<Claim>)> {
    let operation = card.need("operation").and_then(|node| node.choice(sink, &Operation::WORDS));
    let entries = card.need("variant").and_then(|node| node.list(sink)).unwrap_or_default();
    card.finish(sink);
    let variants: Vec<Written> = entries.iter().filter_map(|entry| Written::read(entry, isas, sink)).collect();
    if variants.len() == entries.len() {
        check::check(&variants, sink);
    }
    let operation = operation?;
    let claims = vec![Claim { key: "operation", value: operation.value.name().to_owned(), span: operation.span }];
    let variants = variants.into_iter().map(|written| written.variant).collect();
    Some((Kernels { operation: operation.value, variants }, claims))
}

/// A variant and where its parts are written.
struct Written {
    variant: Variant,
    span: Span,
    set: Span,
    batch: Vec<At<usize>>,
}

impl Written {
    fn read(node: &Node<'_>, isas: &[Isa], sink: &mut Sink) -> Option<Self> {
        let mut table = node.table(sink, "a variant")?;
        let isa = table.need("isa").and_then(|node| find_isa(&node, isas, sink));
        let numerics = table.need("numerics");
        let numerics = numerics.and_then(|node| node.choice(sink, &Numerics::ALL.map(|word| (word.name(), word))));
        let schedule = table.need("schedule");
        let schedule = schedule.and_then(|node| node.choice(sink, &Schedule::ALL.map(|word| (word.name(), word))));
        let rows = table.need("rows").and_then(|node| read_rows(&node, sink));
        let cols = table.need("cols").and_then(|node| node.count(sink, 1..=MAX_COLS));
        let vectors = table.get("vectors").map(|node| node.count(sink, 1..=PANEL_ROWS as u32));
        let steps = table.get("steps").map(|node| node.count(sink, 1..=MAX_STEPS));
        let prefetch =
            table.need("prefetch").and_then(|node| node.choice(sink, &Prefetch::ALL.map(|word| (word.name(), word))));
        let distances = ["far", "near"].map(|key| table.get(key).map(|node| node.count(sink, 0..=MAX_DISTANCE)));
        let batch = table.get("batch").map_or(Some(Vec::new()), |node| read_batches(&node, sink));
        let set = table.need("set").and_then(|node| node.choice(sink, &Set::WORDS));
        table.finish(sink);
        let batch = batch?;
        let steps = match steps {
            Some(steps) => Some(steps?),
            None => None,
        };
        let vectors = match vectors {
            Some(vectors) => Some(vectors?),
            None => None,
        };
        let (isa, rows, cols, set, prefetch) = (isa?, rows?, cols?, set?, prefetch?);
        let distances = check::check_distances(&prefetch, distances, sink)?;
        let variant = Variant {
            isa: isa.name.clone(),
            numerics: numerics?.value,
            schedule: schedule?.value,
            rows: rows.value,
            cols: cols.value,
            vectors: vectors.as_ref().map(|at| at.value),
            steps: steps.as_ref().map_or(1, |at| at.value),
            prefetch: prefetch.value,
            distances,
            batch: batch.iter().map(|at| at.value).collect(),
            set: set.value,
        };
        check::check_registers(&variant, isa, [rows.span, cols.span], sink);
        if let Some(at) = vectors {
            check::check_vectors(&variant, isa, at.span, sink);
        }
        if let Some(at) = steps {
            check::check_steps(&variant, at.span, sink);
        }
        Some(Self { variant, span: node.span, set: set.span, batch })
    }
}

/// The instruction set that a card names.
pub(crate) fn find_isa<'i>(node: &Node<'_>, isas: &'i [Isa], sink: &mut Sink) -> Option<&'i Isa> {
    let words: Vec<(&str, &Isa)> = isas.iter().map(|isa| (isa.name.as_str(), isa)).collect();
    node.choice(sink, &words).map(|isa| isa.value)
}

/// A batch size, or a list of them.
pub(crate) fn read_batches(node: &Node<'_>, sink: &mut Sink) -> Option<Vec<At<usize>>> {
    if !node.is_list() {
        return Some(vec![node.count(sink, 1..=MAX_BATCH)?]);
    }
    node.list(sink)?.iter().map(|entry| entry.count(sink, 1..=MAX_BATCH)).collect()
}

fn read_rows(node: &Node<'_>, sink: &mut Sink) -> Option<At<usize>> {
    let rows = node.count(sink, 1..=TILE_ROWS as u32)?;
    if !rows.value.is_multiple_of(PANEL_ROWS) || !TILE_ROWS.is_multiple_of(rows.value) {
        sink.error(node.span, format!("`rows` must be a multiple of {PANEL_ROWS} that divides {TILE_ROWS}"))
            .label(format!("packed weights interleave {PANEL_ROWS} rows, and are filled up to {TILE_ROWS}"));
        return None;
    }
    Some(rows)
}
