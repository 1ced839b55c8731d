//! The walk over tiles: which thread multiplies which rows by which columns, and where the sums go.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::ops::Range;

use quantloom_kernels::abi::{Arguments, Kernel};
use quantloom_kernels::lanes::prefetch_write;

use super::Launch;
use super::activations::Groups;
use super::blocking::Blocking;
use super::epilogue::Epilogue;
use crate::pool::Pool;
use crate::weights::{Scratch, Weights};

/// Columns between the one that is written and the one that is asked for: each lies on pages of its own, far from everything.
const COLUMNS_AHEAD: usize = 8;

/// Weights, the kernel that multiplies by them, and the activations in its layout.
#[derive(Clone, Copy)]
pub struct Product<'a> {
    /// The weights: neither N nor K is 0.
    pub weights: &'a Weights,
    /// The kernel and its arguments.
    pub launch: Launch,
    /// The activations.
    pub groups: Groups<'a>,
}

/// One product or two, and the output that they end in.
pub struct Task<'a> {
    /// One product; with a gate, two of as many rows.
    pub products: &'a [Product<'a>],
    /// What becomes of their sums.
    pub epilogue: Epilogue<'a>,
    /// The output: `[batch, N]`, not empty.
    pub y: &'a mut [f32],
}

/// Works on all tasks, in one job of the pool.
pub fn run<'a>(tasks: impl IntoIterator<Item = Task<'a>>, threads: usize, pool: &Pool) {
    let walks = tasks.into_iter().map(|task| Walk::new(task, threads)).collect::<Vec<_>>();
    let chunks = walks.iter().map(Walk::chunks).sum();
    pool.run_limited(threads, chunks, |mut chunk| {
        for walk in &walks {
            match chunk.checked_sub(walk.chunks()) {
                Some(beyond) => chunk = beyond,
                None => return walk.chunk(chunk),
            }
        }
    });
}

/// Rows in chunks of whole tiles, columns in blocks of whole groups.
struct Walk<'a> {
    parts: Vec<Part<'a>>,
    epilogue: Epilogue<'a>,
    out: Output<'a>,
    /// The rows at which chunks end: whole tiles of every part.
    ends: Vec<usize>,
    /// Rows of one call of the kernels.
    rows_a_call: usize,
    /// Columns of a block: whole groups of every part.
    columns_a_block: usize,
}

/// What one product adds to a chunk.
struct Part<'a> {
    weights: &'a Weights,
    kernel: &'static Kernel,
    arguments: Arguments,
    groups: Groups<'a>,
}

/// Where a thread sums, and packs tiles of weights that are not packed.
type Sums = (Vec<f32>, Scratch);

impl<'a> Walk<'a> {
    fn new(task: Task<'a>, threads: usize) -> Self {
        let Task { products, epilogue, y } = task;
        let mut parts = Vec::with_capacity(products.len());
        let (mut height, mut whole_groups) = (0, 1);
        let (mut ends, mut rows_a_call, mut columns_a_block) = (Vec::new(), 0, 0);
        for Product { weights, launch, groups } in products {
            let Launch { kernel, far, near, .. } = *launch;
            let (blocking, tile_ends) = Blocking::new(weights, *launch, groups, threads);
            let arguments = Arguments { tiles: blocking.tiles_a_turn, far, near, touches: blocking.touches };
            // Tile heights divide each other: what is whole in the highest is whole in all.
            if kernel.rows > height {
                height = kernel.rows;
                ends = tile_ends.into_iter().map(|tile| tile * height).collect();
                // Sums of all products stay in the cache.
                let tiles_a_call = (blocking.tiles_a_call / products.len()).max(blocking.tiles_a_turn);
                rows_a_call = tiles_a_call * height;
                columns_a_block = blocking.groups_a_block * kernel.cols;
            }
            whole_groups = least_common_multiple(whole_groups, kernel.cols);
            parts.push(Part { weights, kernel, arguments, groups: *groups });
        }
        let columns_a_block = columns_a_block.next_multiple_of(whole_groups);
        Self { parts, epilogue, out: Output::new(y, products[0].weights.n()), ends, rows_a_call, columns_a_block }
    }

    fn chunks(&self) -> usize {
        self.ends.len() * self.out.batch.div_ceil(self.columns_a_block)
    }

    /// One chunk of rows by one block of columns; chunks of one block follow each other, so that its activations stay cached.
    fn chunk(&self, index: usize) {
        let (block, rows) = (index / self.ends.len(), index % self.ends.len());
        let first = block * self.columns_a_block;
        let columns = first..self.out.batch.min(first + self.columns_a_block);
        let (start, end) = (rows.checked_sub(1).map_or(0, |before| self.ends[before]), self.ends[rows]);
        for row in (start..end).step_by(self.rows_a_call) {
            self.call(row..end.min(row + self.rows_a_call), columns.clone());
        }
    }

    /// One call of each kernel, and the sums on their way to the output.
    fn call(&self, rows: Range<usize>, columns: Range<usize>) {
        thread_local! {
            static SUMS: RefCell<[Sums; 2]> = RefCell::default();
        }
        SUMS.with_borrow_mut(|sums| {
            for (part, sums) in self.parts.iter().zip(&mut *sums) {
                part.multiply(rows.clone(), &columns, sums);
            }
            self.write(rows, columns, sums.each_mut().map(|(sums, _)| &mut **sums));
        });
    }

    /// Column by column: rows of a column lie side by side, columns on pages of their own.
    fn write(&self, rows: Range<usize>, columns: Range<usize>, [sums, second]: [&mut [f32]; 2]) {
        let first = &self.parts[0];
        let paired = self.parts.get(1);
        let height = paired.map_or(first.kernel.rows, |part| part.kernel.rows.min(first.kernel.rows));
        // Beyond N there is padding.
        let end = rows.end.min(self.out.n);
        for column in columns.clone() {
            self.out.expect(column + COLUMNS_AHEAD, rows.clone());
            self.epilogue.expect((column + COLUMNS_AHEAD) * self.out.n + rows.start, end.saturating_sub(rows.start));
            for row in (rows.start..end).step_by(height) {
                let place = Place { row: row - rows.start, column: column - columns.start, height };
                let sums = &mut sums[place.of(first, &columns)];
                if !self.epilogue.is_empty() {
                    let second = match paired {
                        Some(part) => &mut second[place.of(part, &columns)],
                        None => &mut [],
                    };
                    self.finish(column, row, sums, second);
                }
                self.out.put(column, row, sums);
            }
        }
    }

    /// The epilogue of the rows that are none of padding.
    fn finish(&self, column: usize, row: usize, sums: &mut [f32], second: &mut [f32]) {
        let n = self.out.n;
        let count = sums.len().min(n - row);
        let second_count = second.len().min(count);
        self.epilogue.finish(row, column * n + row, &mut sums[..count], &mut second[..second_count]);
    }
}

impl Part<'_> {
    /// Sums rows by the groups of some columns, the first of which begins a group.
    fn multiply(&self, rows: Range<usize>, columns: &Range<usize>, (sums, scratch): &mut Sums) {
        let (kernel, weights) = (self.kernel, self.weights);
        let tiles = rows.len() / kernel.rows;
        let groups = self.groups_of(columns);
        sums.clear();
        sums.resize(tiles * groups.len() * kernel.cols * kernel.rows, 0.0);
        let packed = weights.tiles(rows.start / kernel.rows, kernel.rows, tiles, scratch);
        let (units, palette) = (weights.units(), weights.palette());
        // SAFETY: the kernel was chosen because its instruction set is available.
        unsafe { (kernel.run())(packed, units, self.groups.range(groups), palette, self.arguments, sums) };
    }

    fn groups_of(&self, columns: &Range<usize>) -> Range<usize> {
        columns.start / self.kernel.cols..columns.end.div_ceil(self.kernel.cols)
    }
}

/// Some rows of a column, counted from the first of a call.
struct Place {
    row: usize,
    column: usize,
    height: usize,
}

impl Place {
    /// Where the sums of a product are: `[tiles][columns of whole groups][rows]`.
    fn of(&self, part: &Part<'_>, columns: &Range<usize>) -> Range<usize> {
        let (tile, row) = (self.row / part.kernel.rows, self.row % part.kernel.rows);
        let width = part.groups_of(columns).len() * part.kernel.cols;
        let start = (tile * width + self.column) * part.kernel.rows + row;
        start..start + self.height
    }
}

fn least_common_multiple(a: usize, b: usize) -> usize {
    (a..).step_by(a).find(|multiple| multiple.is_multiple_of(b)).unwrap_or(a * b)
}

/// The output, which chunks write to in disjoint places.
struct Output<'a> {
    values: *mut f32,
    n: usize,
    batch: usize,
    /// Nobody else has the values.
    borrowed: PhantomData<&'a mut [f32]>,
}

// SAFETY: `put` writes `n - row` or fewer values from `row` of one column; every row and column of a walk belongs to one chunk, so no
// two threads write the same place, and nobody reads before all chunks are done.
unsafe impl Sync for Output<'_> {}

impl<'a> Output<'a> {
    fn new(y: &'a mut [f32], n: usize) -> Self {
        Self { values: y.as_mut_ptr(), n, batch: y.len() / n, borrowed: PhantomData }
    }

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
    use super::super::activations::{Input, Prepared, Reader};
    use super::*;
    use crate::measure::{activations, synthetic};
    use crate::registry;

    /// The bits of a product by one thread; with these arguments, in calls of three tiles.
    fn product(weights: &Weights, kernel: &'static Kernel, batch: usize, arguments: Option<Arguments>) -> Vec<u32> {
        let (x, reader) = (activations(batch, weights.k()).unwrap(), Reader { kernel, class: weights.class() });
        let input = Input { x: &x, k: weights.k(), norm: None };
        let prepared = Prepared::new(&[reader], &input, 1, Pool::global()).unwrap();
        let mut y = vec![f32::NAN; batch * weights.n()];
        let products = [Product { weights, launch: kernel.into(), groups: prepared.groups(0) }];
        let mut walk = Walk::new(Task { products: &products, epilogue: Epilogue::default(), y: &mut y }, 1);
        if let Some(arguments) = arguments {
            walk.parts[0].arguments = arguments;
            walk.rows_a_call = 3 * kernel.rows;
            let rows = walk.ends[walk.ends.len() - 1];
            walk.ends = (7 * kernel.rows..rows).step_by(7 * kernel.rows).chain([rows]).collect();
        }
        (0..walk.chunks()).for_each(|chunk| walk.chunk(chunk));
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
