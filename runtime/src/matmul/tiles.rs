//! The walk over tiles: which thread multiplies which rows by which columns, and where the sums go.

use std::cell::RefCell;
use std::ops::Range;

use quantloom_kernels::abi::{Kernel, SEGMENT};

use super::activations::Groups;
use crate::pool::Pool;
use crate::weights::{Layout, Scratch, Weights};

/// Weights that one chunk of work reads, so that taking a chunk costs nothing beside it.
const CHUNK_BYTES: usize = 128 << 10;
/// Activations of a segment that stay in a core's second-level cache while the tiles of a call run over them.
const BLOCK_BYTES: usize = 1 << 20;
/// Activations that stay in the first-level cache beside the weights that stream through it.
const RESIDENT_BYTES: usize = 24 << 10;
/// Tiles of a call whose activations do not: they share each segment of them.
const SHARING_TILES: usize = 8;
/// Sums that stay in the second-level cache between the segments of a call.
const SUMS_BYTES: usize = 512 << 10;

/// Runs a kernel over all rows and columns.
pub fn run(weights: &Weights, kernel: &'static Kernel, groups: &Groups, y: &mut [f32], threads: usize, pool: &Pool) {
    let walk = Walk::new(weights, kernel, groups, threads);
    let out = Output { values: y.as_mut_ptr(), n: weights.n(), batch: y.len() / weights.n() };
    pool.run_limited(threads, walk.chunks(), |chunk| walk.chunk(chunk, &out));
}

/// Rows in chunks of whole tiles, columns in blocks of whole groups.
struct Walk<'a> {
    weights: &'a Weights,
    kernel: &'static Kernel,
    groups: &'a Groups,
    tiles: usize,
    tiles_a_call: usize,
    tiles_a_chunk: usize,
    groups_a_block: usize,
}

impl<'a> Walk<'a> {
    fn new(weights: &'a Weights, kernel: &'static Kernel, groups: &'a Groups, threads: usize) -> Self {
        let tiles = weights.n().div_ceil(kernel.rows);
        let segment_bytes = groups.group_bytes().div_ceil(weights.k().div_ceil(SEGMENT));
        let groups_a_block = (BLOCK_BYTES / segment_bytes).clamp(1, groups.count());
        let sums_bytes = groups_a_block * kernel.cols * kernel.rows * size_of::<f32>();
        let sharing = SHARING_TILES.min(SUMS_BYTES / sums_bytes).max(1);
        let fair = (tiles / (4 * threads)).max(1);
        let resident = groups_a_block * groups.group_bytes() <= RESIDENT_BYTES;
        // A tile that is packed for the call should still be in a cache when it is read.
        let alone = resident || weights.layout() == Layout::Stored;
        let tiles_a_call = if alone { 1 } else { sharing.min(fair) };
        let enough = (CHUNK_BYTES / weights.tile_bytes(kernel.rows) / groups_a_block).max(1);
        let tiles_a_chunk = enough.min(fair).max(tiles_a_call);
        Self { weights, kernel, groups, tiles, tiles_a_call, tiles_a_chunk, groups_a_block }
    }

    fn row_chunks(&self) -> usize {
        self.tiles.div_ceil(self.tiles_a_chunk)
    }

    fn chunks(&self) -> usize {
        self.row_chunks() * self.groups.count().div_ceil(self.groups_a_block)
    }

    /// One chunk of rows by one block of columns; chunks of one block follow each other, so that its activations stay cached.
    fn chunk(&self, index: usize, out: &Output) {
        let (block, rows) = (index / self.row_chunks(), index % self.row_chunks());
        let first = block * self.groups_a_block;
        let groups = first..self.groups.count().min(first + self.groups_a_block);
        let end = self.tiles.min((rows + 1) * self.tiles_a_chunk);
        for tile in (rows * self.tiles_a_chunk..end).step_by(self.tiles_a_call) {
            self.call(tile..end.min(tile + self.tiles_a_call), groups.clone(), out);
        }
    }

    /// One call of the kernel, and its sums on their way to the output.
    fn call(&self, tiles: Range<usize>, groups: Range<usize>, out: &Output) {
        thread_local! {
            static SUMS: RefCell<(Vec<f32>, Scratch)> = RefCell::default();
        }
        let (rows, cols) = (self.kernel.rows, self.kernel.cols);
        SUMS.with_borrow_mut(|(sums, scratch)| {
            sums.clear();
            sums.resize(tiles.len() * groups.len() * cols * rows, 0.0);
            let weights = self.weights.tiles(tiles.start, rows, tiles.len(), scratch);
            let (units, palette) = (self.weights.units(), self.weights.palette());
            // SAFETY: the kernel was chosen because its instruction set is available.
            unsafe { (self.kernel.run)(weights, units, self.groups.range(groups.clone()), palette, sums) };
            // Column by column: rows of a column lie side by side, columns on pages of their own.
            let columns = groups.len() * cols;
            for column in 0..columns {
                for (index, tile) in tiles.clone().enumerate() {
                    let sums = &sums[(index * columns + column) * rows..][..rows];
                    out.put(groups.start * cols + column, tile * rows, sums);
                }
            }
        });
    }
}

/// The output, which chunks write to in disjoint places.
struct Output {
    values: *mut f32,
    n: usize,
    batch: usize,
}

// SAFETY: `put` writes `n - row` or fewer values from `row` of one column; every (tile, column group) belongs to one chunk, so no
// two threads write the same place, and nobody reads before all chunks are done.
unsafe impl Sync for Output {}

impl Output {
    /// Writes the sums of rows from `row` of one column; rows and columns beyond the output are padding.
    fn put(&self, column: usize, row: usize, sums: &[f32]) {
        if column < self.batch && row < self.n {
            let count = sums.len().min(self.n - row);
            // SAFETY: the place lies inside the `batch * n` values of the output, and no other chunk writes it: see `Sync`.
            unsafe { std::ptr::copy_nonoverlapping(sums.as_ptr(), self.values.add(column * self.n + row), count) };
        }
    }
}
