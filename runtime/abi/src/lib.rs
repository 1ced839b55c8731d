//! What a generated kernel looks like from outside: the rows of the registry, and the layouts that kernels agree on; and the words and
//! numbers that cards, generator, kernels and runtime share. Each is here once, and this crate needs no other.
//!
//! Rows are written by generated code, in `quantloom-kernels` and in other crates, of the same version: they have a field more when the
//! generator has.
//!
//! # Layouts
//!
//! *Packed weights.* Rows are taken 16 at a time (a **panel**); K is cut into **units** of [`Class::unit_weights`] weights. The
//! packed form of a panel is its units in K order, each of [`Class::unit_bytes`] bytes; panels follow each other. Rows past N and
//! weights past K are zeros with a zero scale: they add +0.
//!
//! *Activations.* Columns are taken [`Kernel::cols`] at a time. The packed form of such a column group is one unit of
//! [`Activations::unit_bytes`] bytes per weight unit, in K order; groups follow each other. Columns past the batch are zeros.
//!
//! *Output.* For each tile of rows, for each column group, for each of its columns, [`Kernel::rows`] sums in f32. Kernels add to
//! what is there.

mod counts;
pub mod fnv;
mod operation;
pub mod panels;
mod processor;
pub mod rows;
pub mod stored;
mod words;

use std::iter::successors;
use std::ops::Range;

pub use counts::{Counts, Operations};
pub use operation::{ActivationFunction, Epilogue, Gate, Operation, Projections, Prologue, RunGate};
pub use processor::{Identity, Peer, Pipes, Processor, Start};
pub use words::{Dot, Kind, Numerics, Prefetch, Schedule};

use rows::Rows;
use stored::{Storage, Tensor};

/// Rows that are interleaved in packed weights.
pub const PANEL_ROWS: usize = 16;

/// Rows that packed weights are filled up to: the height of every tile divides it, on every instruction set.
pub const TILE_ROWS: usize = 64;

/// Partial sums that a row is summed in: value i is added to sum `i % 64`.
pub const PARTIAL_SUMS: usize = 64;

/// Weights of a segment: sums over K restart at +0 at each multiple, and segment sums are added left to right.
pub const SEGMENT: usize = 512;

/// Neighbouring activations that class `int8` quantises together, where the weights of a format repeat after a multiple of that many: otherwise
/// [`NARROW_SPAN`]. Kernels and `docs/numerics.md` know no other span.
pub const WIDE_SPAN: usize = 256;

/// See [`WIDE_SPAN`].
pub const NARROW_SPAN: usize = 32;

/// Packed weights and activations start at a multiple of this many bytes.
pub const ALIGNMENT: usize = 64;

/// An instruction set that kernels were generated for.
#[derive(Debug)]
pub struct Isa {
    /// Its name, as on the command line.
    pub name: &'static str,
    /// One line that says what it is.
    pub doc: &'static str,
    /// Higher is preferred among those that are available.
    pub rank: u32,
    /// Bits of its vectors; 32 in plain code.
    pub vector_bits: usize,
    /// How kernels for it sum products of bytes.
    pub primitive: Dot,
    /// Where it is available, and what runs there.
    pub access: Access,
}

impl Isa {
    /// Itself, its base, the base of that, and so on.
    pub fn lineage(&'static self) -> impl Iterator<Item = &'static Self> {
        successors(Some(self), |isa| isa.base())
    }

    /// One that it contains: its kernels serve where this one has none of a numerics class.
    #[must_use]
    pub const fn base(&self) -> Option<&'static Self> {
        self.access.base
    }

    /// Whether this processor, under this operating system, has it.
    #[must_use]
    pub fn is_available(&self) -> bool {
        (self.access.available)()
    }

    /// Its row functions; to be called where [`Isa::is_available`] is true.
    #[must_use]
    pub const fn rows(&self) -> &Rows {
        &self.access.rows
    }
}

/// Where an instruction set is available, and what runs there: safe code cannot make one, nor take one from an [`Isa`].
///
/// ```compile_fail,E0451
/// use quantloom_abi::{Access, Isa};
///
/// fn claimed(isa: Isa) -> Access {
///     Access { available: || true, ..isa.access } // its fields are private
/// }
/// ```
///
/// ```compile_fail,E0507
/// use quantloom_abi::Isa;
///
/// fn renamed(isa: &'static Isa) -> Isa {
///     Isa { name: "mine", ..*isa }
/// }
/// ```
#[derive(Debug)]
pub struct Access {
    base: Option<&'static Isa>,
    available: fn() -> bool,
    rows: Rows,
}

impl Access {
    /// That of an instruction set which contains `base`.
    ///
    /// # Safety
    /// Wherever `available` gives true, all `rows` must be sound for all arguments that their types allow, and `base` available.
    #[must_use]
    pub const unsafe fn new(base: Option<&'static Isa>, available: fn() -> bool, rows: Rows) -> Self {
        Self { base, available, rows }
    }
}

/// A table of levels that cards name.
#[derive(Debug)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// Its text.
    pub text: &'static str,
}

/// A weight format.
#[derive(Debug)]
pub struct Format {
    /// The name users write.
    pub name: &'static str,
    /// One line that says what it is.
    pub doc: &'static str,
    /// The text of the card it was generated from.
    pub card: &'static str,
    /// The tables that the card names.
    pub tables: &'static [Table],
    /// The block drawn bit by bit, and the facts that follow from the card.
    pub drawing: &'static str,
    /// Its type number in GGUF files.
    pub gguf: Option<u32>,
    /// Weights in a block, or after which the layout of separate tensors repeats: K must be a multiple of it.
    pub block_weights: usize,
    /// How the weights are stored.
    pub storage: Storage,
    /// Decodes the first `out.len() / block_weights` blocks of a row: `(tensors, row, out)`. The rows of a format of blocks are one
    /// tensor, `[N][bytes of a row]`.
    pub decode: fn(&[Tensor<'_>], usize, &mut [f32]),
    /// The packed form, if kernels were generated for the format.
    pub packed: Option<Packed>,
    /// What of the card no kernel covers, and the rule that it does not keep; `None` if kernels cover all of it.
    pub uncovered: Option<&'static str>,
    /// Whether it is without kernels only because nobody asked this build for them.
    pub on_demand: bool,
    /// Changes when the card, the generator or the kernels change.
    pub hash: u64,
}

/// Packs up to 16 stored rows, and of each some blocks, the first of which begins a unit, into a panel that was zeroed:
/// `(tensors, rows, blocks, panel)`, tensors as for [`Format::decode`]. Other units are left alone.
pub type Pack = fn(&[Tensor<'_>], Range<usize>, Range<usize>, &mut [u8]);

/// How a format is packed, and the kernels that run on it.
#[derive(Debug)]
pub struct Packed {
    /// The packed class, which formats share.
    pub class: &'static Class,
    /// What the codes stand for, where the class leaves that to the format.
    pub palette: Palette,
    /// Packs rows into a panel.
    pub pack: Pack,
    /// The kernels that run the format, in card order.
    pub kernels: &'static [Kernel],
}

/// What the codes of a format stand for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Palette {
    /// The byte of each code: its level plus the class's zero.
    pub bytes: [u8; 32],
    /// The f32 of each code.
    pub floats: [f32; 16],
}

impl Palette {
    /// Of a class whose codes stand for themselves.
    pub const NONE: Self = Self { bytes: [0; 32], floats: [0.0; 16] };
}

/// The integers of one packed row: what a packing test compares.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Unpacked {
    /// One code per weight, unsigned as the kernel holds it.
    pub codes: Vec<u8>,
    /// One integer zero point per group, if the class has them.
    pub zeros: Vec<i32>,
    /// One integer scale per step, if the class has sub-scales.
    pub scales: Vec<i32>,
    /// One integer min per step, if the class has sub-mins.
    pub mins: Vec<i32>,
    /// The f32 scale of each root group.
    pub roots: Vec<f32>,
    /// The f32 factor of the mins of each root group, or the mins themselves when the class has no sub-mins.
    pub min_roots: Vec<f32>,
}

/// A packed class: all that kernels need to know of a format.
#[derive(Debug)]
pub struct Class {
    /// Its name, from its parameters.
    pub name: &'static str,
    /// Weights of a unit; divides [`SEGMENT`].
    pub unit_weights: usize,
    /// Bytes of a unit of a panel.
    pub unit_bytes: usize,
    /// Weights that share an activation scale.
    pub span: usize,
    /// Weights that share a weight scale and an activation scale.
    pub step: usize,
    /// Subtracted from what a packed code stands for to give the level.
    pub zero: i32,
    /// Weights that share an integer zero point of their own, which is subtracted too.
    pub zero_group: Option<usize>,
    /// Whether codes are looked up in [`Packed::palette`].
    pub palette: bool,
    /// Takes one row out of a panel, as the integers that were packed.
    pub unpack: fn(&[u8], usize, &mut Unpacked),
}

/// How the columns of a batch reach a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Activations {
    /// Bytes of one unit of a column group.
    pub unit_bytes: usize,
    /// Where the parts of a unit lie.
    pub parts: Parts,
}

/// The parts of a unit of activations, as byte offsets; each is an array whose fastest axis is the column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parts {
    /// `[unit_weights][cols]` f32.
    Floats,
    /// Quantised activations.
    Int8 {
        /// `[unit_weights / 4][cols]` of four i8 in K order.
        quants: usize,
        /// `[unit_weights / span][cols]` f32: the activation scales.
        scales: usize,
        /// `[unit_weights / step][cols]` i32: the sum of the quants of a step times the second number. Dots start there where what is
        /// multiplied is not the level.
        bias: Option<(usize, i32)>,
        /// The sums of the quants of steps, if the class has mins or zero points.
        sums: Option<(usize, Sums)>,
    },
}

/// How the sums of the quants of steps are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sums {
    /// `[unit_weights / step][cols]` i32.
    Whole,
    /// `[pairs of steps][cols]` of two i16, the earlier step lower; an odd last step of a span has a 0 above it.
    Pairs,
}

/// In which order a kernel reads, and how far ahead it asks for memory. No result depends on it, and nothing need lie there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Arguments {
    /// Tiles that are read segment by segment in turn, so that they share the activations of each; at least 1. With 1, tiles are read one
    /// after the other.
    pub tiles: usize,
    /// Bytes from what is read to what is asked for into the second-level cache.
    pub far: usize,
    /// Bytes from what is read to what is asked for into the first-level cache.
    pub near: usize,
    /// How often each of the activations is touched while a direct kernel reads a tile once; at least 1. More often than they are used keeps
    /// them in the first-level cache, which weights stream through.
    pub touches: usize,
}

/// What a [`Run`] needs, and the `Run`: safe code has them together or not at all, so that nothing runs an instruction that the processor
/// lacks.
///
/// ```compile_fail,E0451
/// use quantloom_abi::{Body, Isa, Kernel};
///
/// fn forged(isa: &'static Isa, kernel: &Kernel) -> Body {
///     Body { isa, run: kernel.run() } // its fields are private
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Body {
    isa: &'static Isa,
    run: Run,
}

impl Body {
    /// A body that needs an instruction set.
    ///
    /// # Safety
    /// Where [`Isa::is_available`] is true, `run` must be sound for all arguments that its types allow.
    #[must_use]
    pub const unsafe fn new(isa: &'static Isa, run: Run) -> Self {
        Self { isa, run }
    }
}

/// The body of a kernel: `(weights, units, activations, palette, arguments, out)`. `weights` are one or more tiles, each of `rows / 16` packed
/// panels of `units` units; `activations` one or more column groups of as many units. To `out`, `[tiles][groups][cols][rows]` sums, the
/// products are added, segment by segment.
///
/// # Safety
/// The instruction set of the kernel must be available: [`Kernel::isa`].
pub type Run =
    unsafe fn(weights: &[u8], units: usize, activations: &[u8], palette: &Palette, arguments: Arguments, out: &mut [f32]);

/// A row of the registry: one kernel for one format.
#[derive(Debug)]
pub struct Kernel {
    /// `FORMAT.OPERATION.NUMERICS.ISA.TILE`, for example `q9.gemm.int8.avx2.r16c4.both`.
    pub name: &'static str,
    /// Name of the format.
    pub format: &'static str,
    /// The numerics class it computes.
    pub numerics: Numerics,
    /// How it reads its weights.
    pub schedule: Schedule,
    /// Rows of a tile: a multiple of [`PANEL_ROWS`].
    pub rows: usize,
    /// Columns of a column group.
    pub cols: usize,
    /// The end of its name, which tells tiles apart: the same for all formats.
    pub tile: &'static str,
    /// Which lines it asks for ahead of their use.
    pub prefetch: Prefetch,
    /// The distances to give it where nothing better is known of the processor, far and near; 0 where it takes none.
    pub distances: (usize, usize),
    /// It is the default from each of these batch sizes up, until another kernel's larger one.
    pub batch: &'static [usize],
    /// The layout of its activations.
    pub activations: Activations,
    /// What it executes.
    pub counts: Counts,
    /// Its body, with the instruction set that it needs.
    pub body: Body,
    /// Names the source it was generated from: changes when the kernel's text changes.
    pub hash: u64,
}

impl Kernel {
    /// The instruction set it needs.
    #[must_use]
    pub const fn isa(&self) -> &'static Isa {
        self.body.isa
    }

    /// Its body; to be called where [`Kernel::isa`] is available.
    #[must_use]
    pub const fn run(&self) -> Run {
        self.body.run
    }
}
