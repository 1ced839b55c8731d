//! Multiplications by pages.

use std::ops::Range;

use quantloom_kernels::abi::{Arguments, PANEL_ROWS};
use quantloom_kernels::rows::PARTIAL_SUMS;

use super::page::Side;
use crate::buffer::Buffer;
use crate::error::Result;
use crate::matmul::activations::fill_group;
use crate::matmul::{self, Launch};
use crate::registry::{self, Isa, Numerics};

/// Multiplications of columns by the keys of a page, or by its values.
pub struct Product<'a> {
    side: &'a Side,
    launch: Launch,
}

impl<'a> Product<'a> {
    /// Of about so many columns at a time, by the kernels of an instruction set, or of the best that has any.
    ///
    /// # Errors
    /// As [`matmul::candidates_of`].
    pub fn new(side: &'a Side, columns: usize, isa: Option<&'static Isa>) -> Result<Self> {
        let format = side.format;
        let isa = isa.unwrap_or_else(|| registry::best_isa_of(format));
        let kernels = matmul::candidates_of(format, registry::default_numerics(format), isa)?;
        Ok(Self { side, launch: matmul::default(&kernels, columns) })
    }

    /// Its numerics class.
    pub fn numerics(&self) -> Numerics {
        self.launch.kernel.numerics
    }

    /// Columns that are multiplied together.
    pub fn cols(&self) -> usize {
        self.launch.kernel.cols
    }

    /// Rows of a tile.
    pub fn rows(&self) -> usize {
        self.launch.kernel.rows
    }

    /// How many values columns must have so that the first `least` count: all `most` of a panel's, unless a tile is a single panel, of
    /// which a part can be read.
    pub fn enough(&self, least: usize, most: usize) -> usize {
        // Units and row sums are powers of two.
        let whole = self.side.packed.class.unit_weights.max(PARTIAL_SUMS);
        if self.rows() == PANEL_ROWS { least.next_multiple_of(whole) } else { most }
    }

    fn units(&self, k: usize) -> usize {
        k.div_ceil(self.side.packed.class.unit_weights)
    }

    fn group_bytes(&self, k: usize) -> usize {
        self.units(k) * self.launch.kernel.activations.unit_bytes
    }

    /// Makes room for so many columns of `k` values.
    pub fn reserve(&self, columns: usize, k: usize, activations: &mut Buffer) {
        let bytes = columns.div_ceil(self.cols()) * self.group_bytes(k);
        if activations.bytes().len() < bytes {
            *activations = Buffer::lines(bytes);
        }
    }

    /// Brings up to [`Product::cols`] columns of `k` values, one after the other, into the layout of the kernel, as group `group`.
    pub fn fill(&self, group: usize, columns: &[f32], k: usize, activations: &mut Buffer) {
        let bytes = self.group_bytes(k);
        let group = &mut activations.bytes_mut()[group * bytes..][..bytes];
        fill_group(self.launch.kernel, self.side.packed.class, columns, k, None, group);
    }

    /// Multiplies so many columns of `k` values by some tiles of a page.
    pub fn run(
        &self,
        page: &Buffer,
        tiles: Range<usize>,
        (columns, k): (usize, usize),
        activations: &Buffer,
        sums: &mut Vec<f32>,
    ) {
        let Launch { kernel, far, near, .. } = self.launch;
        let (groups, units, panels) = (columns.div_ceil(kernel.cols), self.units(k), kernel.rows / PANEL_ROWS);
        let tile_sums = groups * kernel.cols * kernel.rows;
        sums.clear();
        sums.resize(tiles.len() * tile_sums, 0.0);
        let activations = &activations.bytes()[..groups * self.group_bytes(k)];
        let arguments = Arguments { tiles: 1, far, near, touches: 1 };
        let palette = &self.side.packed.palette;
        // SAFETY: candidates are kernels of instruction sets that are available.
        let call = |weights: &[u8], sums: &mut [f32]| unsafe {
            (kernel.run())(weights, units, activations, palette, arguments, sums);
        };
        let (panel, part) = (self.side.panel_bytes, units * self.side.packed.class.unit_bytes);
        let weights = &page.bytes()[tiles.start * panels * panel..tiles.end * panels * panel];
        if part == panel {
            call(weights, sums);
        } else {
            // Panels do not follow each other: there is one a tile.
            for (weights, sums) in weights.chunks_exact(panel).zip(sums.chunks_exact_mut(tile_sums)) {
                call(&weights[..part], sums);
            }
        }
    }

    /// The sums of a column after [`Product::run`] with so many columns, tile by tile.
    pub fn column<'s>(&self, sums: &'s [f32], column: usize, columns: usize) -> impl Iterator<Item = &'s [f32]> + use<'s> {
        let rows = self.rows();
        let stride = columns.next_multiple_of(self.cols()) * rows;
        sums.chunks_exact(stride).map(move |tile| &tile[column * rows..][..rows])
    }
}
