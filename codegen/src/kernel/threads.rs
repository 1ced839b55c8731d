//! How a graphics processor goes about a unit: a thread has a row, and what a vector's lane is elsewhere.

use quantloom_spec::isa::Dot;
use quantloom_spec::kernels::{Numerics, Prefetch};

use super::int8::Source;
use super::ir::Code;
use super::quads::Held;
use super::tile::Tile;
use super::width::Width;
use crate::lower::class::{Class, PANEL_ROWS};

/// All rows of a panel are one vector, whose lanes are threads; codes are multiplied as signed bytes.
pub const WIDTH: Width = Width { lanes: PANEL_ROWS, dot: Dot::SignedQuadsI32 };

/// What a thread does: its row times so many columns.
#[derive(Debug)]
pub struct Threads {
    /// Sets the sums of a segment to +0.
    pub clear: Code,
    /// Adds a unit to them.
    pub unit: Code,
    /// Decodes a unit, in the class `exact`.
    pub weights: Code,
}

impl Threads {
    /// Of a class in panels.
    #[must_use]
    pub fn new(class: &Class, numerics: Numerics, cols: usize) -> Self {
        let (prefetch, held) = (Prefetch::None, Held::Planes);
        let tile = Tile {
            class,
            width: WIDTH,
            vectors: 1,
            cols,
            steps: 1,
            prefetch,
            stored: 0,
            tight: false,
            matrix: false,
            held,
            before: 0,
        };
        let unit = match numerics {
            Numerics::Exact => tile.exact_unit(Source::Packed),
            Numerics::Int8 => tile.int8_unit(Source::Packed),
        };
        let weights = if numerics == Numerics::Exact { tile.unpack(numerics) } else { Code::new() };
        Self { clear: tile.clear("sum"), unit, weights }
    }
}
