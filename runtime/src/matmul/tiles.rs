//! The walk over tiles: which thread multiplies which rows by which columns, and where the sums go.

use std::cell::RefCell;

use quantloom_kernels::abi::{Kernel, PANEL_ROWS};

use super::activations::Groups;
use crate::pool::Pool;
use crate::weights::Weights;

/// Weights that one chunk of work reads, so that taking a chunk costs nothing beside it.
const CHUNK_BYTES: usize = 128 << 10;
/// Activations that stay in a core's second-level cache while the tiles of a chunk run over them.
const BLOCK_BYTES: usize = 512 << 10;

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
    tiles_a_chunk: usize,
    groups_a_block: usize,
}

impl<'a> Walk<'a> {
    fn new(weights: &'a Weights, kernel: &'static Kernel, groups: &'a Groups, threads: usize) -> Self {
        let tiles = weights.n().div_ceil(kernel.rows);
        let tile_bytes = weights.tile(0, kernel.rows).len();
        let groups_a_block = (BLOCK_BYTES / groups.group_bytes()).clamp(1, groups.count());
        let enough = (CHUNK_BYTES / tile_bytes / groups_a_block).max(1);
        let fair = (tiles / (4 * threads)).max(1);
        Self { weights, kernel, groups, tiles, tiles_a_chunk: enough.min(fair), groups_a_block }
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
        let tiles = rows * self.tiles_a_chunk..self.tiles.min((rows + 1) * self.tiles_a_chunk);
        for tile in tiles {
            self.tile(tile, groups.clone(), out);
        }
    }

    fn tile(&self, tile: usize, groups: std::ops::Range<usize>, out: &Output) {
        thread_local! {
            static SUMS: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
        }
        let (rows, cols) = (self.kernel.rows, self.kernel.cols);
        SUMS.with_borrow_mut(|sums| {
            sums.clear();
            sums.resize(groups.len() * cols * rows, 0.0);
            let weights = self.weights.tile(tile * rows / PANEL_ROWS, rows);
            // SAFETY: the kernel was chosen because its instruction set is available.
            unsafe { (self.kernel.run)(weights, self.groups.range(groups.clone()), sums) };
            for (column, sums) in (groups.start * cols..).zip(sums.chunks_exact(rows)) {
                out.put(column, tile * rows, sums);
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
