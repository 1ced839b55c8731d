//! Multiplications by pages.

use std::ops::Range;

use quantloom_kernels::abi::{Arguments, PANEL_ROWS};

use super::cache::Side;
use crate::buffer::Buffer;
use crate::error::Result;
use crate::matmul::activations::fill_group;
use crate::matmul::{self, Launch};
use crate::registry::{self, Isa, Numerics};

/// Multiplications of columns by the keys of a page, or by its values.
pub struct Product<'a> {
    side: &'a Side,
    launch: Launch,
    /// Values of a column.
    k: usize,
}

impl<'a> Product<'a> {
    /// Of columns of `k` values, about `columns` at a time, by the kernels of an instruction set, or of the best that has any.
    ///
    /// # Errors
    /// As [`matmul::candidates_of`].
    pub fn new(side: &'a Side, k: usize, columns: usize, isa: Option<&'static Isa>) -> Result<Self> {
        let format = side.format;
        let isa = isa.unwrap_or_else(|| registry::best_isa_of(format));
        let kernels = matmul::candidates_of(format, registry::default_numerics(format), isa)?;
        Ok(Self { side, launch: matmul::default(&kernels, columns), k })
    }

    /// Values of a column.
    pub fn k(&self) -> usize {
        self.k
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

    fn units(&self) -> usize {
        self.k.div_ceil(self.side.packed.class.unit_weights)
    }

    fn group_bytes(&self) -> usize {
        self.units() * self.launch.kernel.activations.unit_bytes
    }

    /// Makes room for so many columns.
    pub fn reserve(&self, columns: usize, activations: &mut Buffer) {
        let bytes = columns.div_ceil(self.cols()) * self.group_bytes();
        if activations.bytes().len() < bytes {
            *activations = Buffer::lines(bytes);
        }
    }

    /// Brings up to [`Product::cols`] columns of [`Product::k`] values, one after the other, into the layout of the kernel, as group `group`.
    pub fn fill(&self, group: usize, columns: &[f32], activations: &mut Buffer) {
        let bytes = self.group_bytes();
        let group = &mut activations.bytes_mut()[group * bytes..][..bytes];
        fill_group(self.launch.kernel, self.side.packed.class, columns, self.k, group);
    }

    /// Multiplies so many columns by some tiles of a page.
    pub fn run(&self, page: &Buffer, tiles: Range<usize>, columns: usize, activations: &Buffer, sums: &mut Vec<f32>) {
        let Launch { kernel, far, near, .. } = self.launch;
        let groups = columns.div_ceil(kernel.cols);
        let tile_bytes = kernel.rows / PANEL_ROWS * self.side.panel_bytes;
        let weights = &page.bytes()[tiles.start * tile_bytes..tiles.end * tile_bytes];
        sums.clear();
        sums.resize(tiles.len() * groups * kernel.cols * kernel.rows, 0.0);
        let arguments = Arguments { tiles: 1, far, near, touches: 1 };
        let activations = &activations.bytes()[..groups * self.group_bytes()];
        // SAFETY: candidates are kernels of instruction sets that are available.
        unsafe { (kernel.run())(weights, self.units(), activations, &self.side.packed.palette, arguments, sums) };
    }

    /// The sums of a column after [`Product::run`] with so many columns, tile by tile.
    pub fn column<'s>(&self, sums: &'s [f32], column: usize, columns: usize) -> impl Iterator<Item = &'s [f32]> + use<'s> {
        let rows = self.rows();
        let stride = columns.next_multiple_of(self.cols()) * rows;
        sums.chunks_exact(stride).map(move |tile| &tile[column * rows..][..rows])
    }
}
