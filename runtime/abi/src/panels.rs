//! Panels for graphics processors, from the packed weights that processors have: a second interleave, of which generators say where each bit goes.

use crate::{Numerics, PANEL_ROWS};

/// Rows of a panel for graphics processors.
pub const DEVICE_ROWS: usize = 32;

/// Threads of a group of the kernels beside products: as many as the longest span has values.
pub const HELPERS: usize = 256;

/// Where some bits of neighbouring bytes of a row go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// Where the first row has them in a unit of 16 rows.
    pub from: usize,
    /// Bytes from a row to the next there.
    pub from_stride: usize,
    /// Where the first row has them in a unit of 32.
    pub to: usize,
    /// Bytes from a row to the next there.
    pub to_stride: usize,
    /// How many bytes.
    pub bytes: usize,
    /// The lowest of the bits in a byte that is read.
    pub from_shift: u32,
    /// As many low bits set as are moved.
    pub mask: u8,
    /// The lowest of them in a byte that is written.
    pub to_shift: u32,
}

/// Units: how many weights of a row, in how many bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Weights of a row.
    pub weights: usize,
    /// Bytes of all rows.
    pub bytes: usize,
}

/// The kernels of a format for panels of 32 rows, as the generator writes them, and what a host must know of them.
#[derive(Clone, Debug)]
pub struct PanelKernels {
    /// The source text.
    pub source: String,
    /// What makes panels of what a processor multiplies by.
    pub interleave: Interleave,
    /// Numerics classes that products are in.
    pub numerics: Vec<Numerics>,
    /// Activations under one scale, in the class `int8`.
    pub span: usize,
    /// Activations of which there is one sum.
    pub step: usize,
    /// Warps of a group: each multiplies by a segment, or decodes a unit.
    pub warps: usize,
    /// How many columns products take at a time, ascending.
    pub columns: Vec<usize>,
}

/// What makes panels of 32 rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interleave {
    /// Units of 16 rows.
    pub from: Unit,
    /// Units of 32 rows: one or more of those in the order of K.
    pub to: Unit,
    /// For each of those, where its bits go.
    pub parts: Vec<Vec<Move>>,
}

impl Interleave {
    /// Bytes of `n` rows of `k` weights, if they can be counted.
    #[must_use]
    pub fn bytes(&self, n: usize, k: usize) -> Option<usize> {
        n.div_ceil(DEVICE_ROWS).checked_mul(k.div_ceil(self.to.weights))?.checked_mul(self.to.bytes)
    }

    /// The panels of `n` rows of `k` weights: each its units of 32 rows in the order of K, one panel after the other. What lies past the last row
    /// and the last weight is zeros. `packed` has the panels of 16 rows that a processor multiplies, and may have more of them than `n` rows take;
    /// `None` if it has fewer.
    #[must_use]
    pub fn panels(&self, packed: &[u8], n: usize, k: usize) -> Option<Vec<u8>> {
        let (units, panels) = (k.div_ceil(self.from.weights), n.div_ceil(PANEL_ROWS));
        let panel = units.checked_mul(self.from.bytes)?;
        if packed.len() < panels.checked_mul(panel)? {
            return None;
        }
        let mut out = Vec::new();
        let bytes = self.bytes(n, k)?;
        out.try_reserve_exact(bytes).ok()?;
        out.resize(bytes, 0);
        let tall_units = k.div_ceil(self.to.weights).max(1);
        for (index, to) in out.chunks_exact_mut(self.to.bytes).enumerate() {
            let (tall_panel, tall_unit) = (index / tall_units, index % tall_units);
            let halves = (0..DEVICE_ROWS / PANEL_ROWS).map(|half| (half, tall_panel * DEVICE_ROWS / PANEL_ROWS + half));
            for (half, from) in halves.filter(|(_, from)| *from < panels) {
                let first = tall_unit * self.parts.len();
                for (part, moves) in self.parts.iter().enumerate().filter(|(part, _)| first + part < units) {
                    let unit = &packed[from * panel + (first + part) * self.from.bytes..][..self.from.bytes];
                    moves.iter().for_each(|step| step.make(unit, to, half * PANEL_ROWS));
                }
            }
        }
        Some(out)
    }
}

impl Move {
    /// For 16 rows, which are rows `first` and so on of the other unit.
    fn make(&self, from: &[u8], to: &mut [u8], first: usize) {
        for row in 0..PANEL_ROWS {
            let bytes = &from[self.from + row * self.from_stride..][..self.bytes];
            let places = &mut to[self.to + (first + row) * self.to_stride..][..self.bytes];
            for (place, byte) in places.iter_mut().zip(bytes) {
                *place |= ((byte >> self.from_shift) & self.mask) << self.to_shift;
            }
        }
    }
}
