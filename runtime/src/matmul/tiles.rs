//! The walk over tiles: which thread multiplies which rows by which columns, and where the sums go.

use std::cell::RefCell;
use std::ops::Range;

use quantloom_kernels::abi::{Arguments, Kernel};
use quantloom_kernels::lanes::prefetch_write;

use super::Launch;
use super::activations::Groups;
use super::blocking::Blocking;
use crate::pool::Pool;
use crate::weights::{Scratch, Weights};

/// Columns between the one that is written and the one that is asked for: each lies on pages of its own, far from everything.
const COLUMNS_AHEAD: usize = 8;

/// Runs a kernel over all rows and columns.
pub fn run(weights: &Weights, launch: Launch, groups: &Groups, y: &mut [f32], threads: usize, pool: &Pool) {
    let walk = Walk::new(weights, launch, groups, threads);
    let out = Output { values: y.as_mut_ptr(), n: weights.n(), batch: y.len() / weights.n() };
    pool.run_limited(threads, walk.chunks(), |chunk| walk.chunk(chunk, &out));
}

/// Rows in chunks of whole tiles, columns in blocks of whole groups.
struct Walk<'a> {
    weights: &'a Weights,
    kernel: &'static Kernel,
    arguments: Arguments,
    groups: &'a Groups,
    blocking: Blocking,
    /// The tiles at which chunks of rows end.
    ends: Vec<usize>,
}

impl<'a> Walk<'a> {
    fn new(weights: &'a Weights, launch: Launch, groups: &'a Groups, threads: usize) -> Self {
        let Launch { kernel, far, near, .. } = launch;
        let (blocking, ends) = Blocking::new(weights, launch, groups, threads);
        let arguments = Arguments { tiles: blocking.tiles_a_turn, far, near, touches: blocking.touches };
        Self { weights, kernel, arguments, groups, blocking, ends }
    }

    fn chunks(&self) -> usize {
        self.ends.len() * self.groups.count().div_ceil(self.blocking.groups_a_block)
    }

    /// One chunk of rows by one block of columns; chunks of one block follow each other, so that its activations stay cached.
    fn chunk(&self, index: usize, out: &Output) {
        let (block, rows) = (index / self.ends.len(), index % self.ends.len());
        let first = block * self.blocking.groups_a_block;
        let groups = first..self.groups.count().min(first + self.blocking.groups_a_block);
        let (start, end) = (rows.checked_sub(1).map_or(0, |before| self.ends[before]), self.ends[rows]);
        for tile in (start..end).step_by(self.blocking.tiles_a_call) {
            self.call(tile..end.min(tile + self.blocking.tiles_a_call), groups.clone(), out);
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
            unsafe { (self.kernel.run())(weights, units, self.groups.range(groups.clone()), palette, self.arguments, sums) };
            // Column by column: rows of a column lie side by side, columns on pages of their own.
            let columns = groups.len() * cols;
            let first = groups.start * cols;
            for column in 0..columns {
                out.expect(first + column + COLUMNS_AHEAD, tiles.start * rows..tiles.end * rows);
                for (index, tile) in tiles.clone().enumerate() {
                    let sums = &sums[(index * columns + column) * rows..][..rows];
                    out.put(first + column, tile * rows, sums);
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
    /// Asks for the place of some rows of a column, which will be written.
    fn expect(&self, column: usize, rows: Range<usize>) {
        if column < self.batch {
            let rows = rows.start.min(self.n)..rows.end.min(self.n);
            prefetch_write(self.values.wrapping_add(column * self.n + rows.start).cast(), rows.len() * size_of::<f32>());
        }
    }

    /// Writes the sums of rows from `row` of one column; rows and columns beyond the output are padding.
    fn put(&self, column: usize, row: usize, sums: &[f32]) {
        if column < self.batch && row < self.n {
            let count = sums.len().min(self.n - row);
            // SAFETY: the place lies inside the `batch * n` values of the output, and no other chunk writes it: see `Sync`.
            unsafe { std::ptr::copy_nonoverlapping(sums.as_ptr(), self.values.add(column * self.n + row), count) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::{activations, synthetic};
    use crate::registry;

    /// The bits of a product by one thread; with these arguments, in calls of three tiles.
    fn product(weights: &Weights, kernel: &'static Kernel, batch: usize, arguments: Option<Arguments>) -> Vec<u32> {
        let x = activations(batch, weights.k()).unwrap();
        let groups = Groups::new(kernel, weights.class(), &x, weights.k(), 1, Pool::global()).unwrap();
        let mut walk = Walk::new(weights, kernel.into(), &groups, 1);
        if let Some(arguments) = arguments {
            walk.arguments = arguments;
            walk.blocking = Blocking { tiles_a_call: 3, ..walk.blocking };
            let tiles = walk.ends[walk.ends.len() - 1];
            walk.ends = (7..tiles).step_by(7).chain([tiles]).collect();
        }
        let mut y = vec![f32::NAN; batch * weights.n()];
        let out = Output { values: y.as_mut_ptr(), n: weights.n(), batch };
        (0..walk.chunks()).for_each(|chunk| walk.chunk(chunk, &out));
        y.into_iter().map(f32::to_bits).collect()
    }

    #[test]
    fn no_argument_changes_a_bit() {
        let in_turn = Arguments { tiles: 2, far: 0, near: 100, touches: 1 };
        let touched = Arguments { tiles: 1, far: 1 << 20, near: 0, touches: 4 };
        for format in registry::formats().filter(|format| format.packed.is_some()) {
            // Some tiles of every height, and some segments, with a part of one each.
            let (n, k) = (200_usize.next_multiple_of(format.row_multiple()), 1100_usize.next_multiple_of(format.block_weights));
            let weights = Weights::pack(format, n, k, &synthetic(format, n, k).unwrap(), Pool::global()).unwrap();
            for kernel in registry::kernels(format).iter().filter(|kernel| kernel.isa().is_available()) {
                for (batch, arguments) in [(kernel.cols + 1, in_turn), (1, touched)] {
                    let same = product(&weights, kernel, batch, Some(arguments)) == product(&weights, kernel, batch, None);
                    assert!(same, "{}, batch {batch}, {arguments:?}", kernel.name);
                }
            }
        }
    }
}
