//! Activations in the layouts of kernels: quantised or not, columns side by side.

use std::borrow::Cow;
use std::cell::RefCell;
use std::iter;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use quantloom_kernels::abi::{ALIGNMENT, Activations, Isa, Kernel, Parts, Sums};
use quantloom_kernels::squares::transpose;

use crate::buffer::Buffer;
use crate::error::{Error, Result};
use crate::pool::Pool;
use crate::registry::{self, Class};

/// RMSNorm of rows of activations: `(x * r) * w` with `r = 1 / sqrt(mean of x^2 + eps)`.
#[derive(Clone, Copy, Debug)]
pub struct Norm<'a> {
    /// w: one number for each of the K activations of a row.
    pub weights: &'a [f32],
    /// What is added to the mean of the squares.
    pub eps: f32,
}

impl Norm<'_> {
    /// The norm of a row.
    fn of(&self, row: &[f32], isa: &Isa, out: &mut [f32]) {
        // SAFETY: the instruction set is that of a kernel, which was chosen because it is available, or plain code.
        unsafe { (isa.rows().rms_norm)(row, self.weights, self.eps, out) };
    }
}

/// Rows of activations, and what becomes of them before they are multiplied.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// `[batch, K]`, K not being 0.
    pub x: &'a [f32],
    /// K.
    pub k: usize,
    /// The norm that they are taken through first, if any.
    pub norm: Option<Norm<'a>>,
}

impl Input<'_> {
    /// The place of the first value that cannot be quantised.
    fn not_finite(&self) -> usize {
        let Some(norm) = self.norm else {
            return self.x.iter().position(|value| !value.is_finite()).unwrap_or_default();
        };
        let mut row = vec![0.0; self.k];
        let in_row = |x: &[f32]| {
            norm.of(x, registry::isas()[0], &mut row);
            row.iter().position(|value| !value.is_finite())
        };
        let mut rows = self.x.chunks_exact(self.k).map(in_row).enumerate();
        rows.find_map(|(row, index)| Some(row * self.k + index?)).unwrap_or_default()
    }
}

/// A kernel and the class of its weights: together they say in which layout it reads activations.
#[derive(Clone, Copy, Debug)]
pub struct Reader {
    /// The kernel.
    pub kernel: &'static Kernel,
    /// The class.
    pub class: &'static Class,
}

impl Reader {
    /// Whether another reads the same bytes.
    fn shares_with(&self, other: &Self) -> bool {
        let layout = |reader: &Self| {
            let Class { unit_weights, span, step, .. } = *reader.class;
            (reader.kernel.cols, reader.kernel.activations, unit_weights, span, step)
        };
        layout(self) == layout(other)
    }
}

/// The activations of a call, once in each layout that its kernels read.
pub struct Prepared {
    memory: Buffer,
    /// For each reader the layout that it shares.
    shared: Vec<usize>,
    layouts: Vec<Place>,
}

/// Where column groups of one layout lie.
struct Place {
    reader: Reader,
    bytes: Range<usize>,
    group_bytes: usize,
}

/// The column groups of a batch, in one layout.
#[derive(Clone, Copy)]
pub struct Groups<'a> {
    bytes: &'a [u8],
    group_bytes: usize,
}

thread_local! {
    /// Memory of the last multiplication that this thread asked for: to map it anew costs 2% of one of 512 columns.
    static SPARE: RefCell<Option<Buffer>> = const { RefCell::new(None) };
}

impl Prepared {
    /// Brings rows of activations into the layouts of readers, in one job of the pool.
    ///
    /// # Errors
    /// [`Error::NotFinite`] if they are to be quantised and one is infinite or not a number, [`Error::OutOfMemory`].
    pub fn new(readers: &[Reader], input: &Input<'_>, threads: usize, pool: &Pool) -> Result<Self> {
        let batch = input.x.len() / input.k;
        let (mut shared, mut layouts) = (Vec::with_capacity(readers.len()), Vec::<Place>::new());
        let mut end = 0;
        for reader in readers {
            let known = layouts.iter().position(|place| place.reader.shares_with(reader));
            shared.push(known.unwrap_or(layouts.len()));
            if known.is_none() {
                let group_bytes = input.k.div_ceil(reader.class.unit_weights) * reader.kernel.activations.unit_bytes;
                let bytes = end..end + batch.div_ceil(reader.kernel.cols) * group_bytes;
                end = bytes.end.next_multiple_of(ALIGNMENT);
                layouts.push(Place { reader: *reader, bytes, group_bytes });
            }
        }
        let mut memory = buffer(end)?;
        fill(&mut memory, &layouts, input, threads, pool)?;
        Ok(Self { memory, shared, layouts })
    }

    /// The column groups that a reader reads.
    pub fn groups(&self, reader: usize) -> Groups<'_> {
        let place = &self.layouts[self.shared[reader]];
        Groups { bytes: &self.memory.bytes()[place.bytes.clone()], group_bytes: place.group_bytes }
    }
}

impl<'a> Groups<'a> {
    /// How many groups there are.
    pub fn count(&self) -> usize {
        self.bytes.len() / self.group_bytes
    }

    /// The groups of a range.
    pub fn range(&self, range: Range<usize>) -> &'a [u8] {
        &self.bytes[range.start * self.group_bytes..range.end * self.group_bytes]
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        let memory = std::mem::take(&mut self.memory);
        // A thread that is ending keeps nothing.
        let _ = SPARE.try_with(|spare| spare.replace(Some(memory)));
    }
}

/// At least `len` bytes, with anything in them.
fn buffer(len: usize) -> Result<Buffer> {
    match SPARE.take() {
        Some(buffer) if buffer.bytes().len() >= len => Ok(buffer),
        _ => Buffer::zeroed(len).map_err(|_| Error::OutOfMemory { bytes: len }),
    }
}

/// Fills all layouts, group by group.
fn fill(memory: &mut Buffer, layouts: &[Place], input: &Input<'_>, threads: usize, pool: &Pool) -> Result<()> {
    let mut rest = memory.bytes_mut();
    let mut start = 0;
    let mut jobs = Vec::new();
    for Place { reader, bytes, group_bytes } in layouts {
        let (before, after) = std::mem::take(&mut rest).split_at_mut(bytes.end - start);
        let groups = before[bytes.start - start..].chunks_exact_mut(*group_bytes);
        let columns = input.x.chunks(reader.kernel.cols * input.k);
        // Each group is taken once, by one thread: the locks are never contended.
        jobs.extend(iter::repeat(reader).zip(groups.zip(columns)).map(|job| Mutex::new(Some(job))));
        (rest, start) = (after, bytes.end);
    }
    // As many threads as a single layout keeps busy: one group is made in no time, and nobody need wait for it.
    let most = layouts.iter().map(|place| place.bytes.len() / place.group_bytes).max().unwrap_or_default();
    let finite = AtomicBool::new(true);
    pool.run_limited(threads.min(most), jobs.len(), |index| {
        let job = jobs[index].lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some((Reader { kernel, class }, (group, columns))) = job
            && !fill_group(kernel, class, columns, input.k, input.norm, group)
        {
            finite.store(false, Ordering::Relaxed);
        }
    });
    if finite.into_inner() { Ok(()) } else { Err(Error::NotFinite { index: input.not_finite() }) }
}

/// Fills one column group from up to `cols` rows of activations, which go through a norm first, if there is one; whether every
/// value is finite, where that matters.
pub fn fill_group(kernel: &Kernel, class: &Class, columns: &[f32], k: usize, norm: Option<Norm<'_>>, group: &mut [u8]) -> bool {
    let Activations { unit_bytes, parts } = kernel.activations;
    let layout = Layout { cols: kernel.cols, unit_bytes };
    let padded = k.next_multiple_of(class.unit_weights);
    match parts {
        Parts::Floats => {
            let mut values = Cow::Borrowed(columns);
            if norm.is_some() || columns.len() < kernel.cols * padded {
                let mut padding = vec![0.0; kernel.cols * padded];
                for (padded, values) in padding.chunks_exact_mut(padded).zip(columns.chunks_exact(k)) {
                    match norm {
                        Some(norm) => norm.of(values, kernel.isa(), &mut padded[..k]),
                        None => padded[..k].copy_from_slice(values),
                    }
                }
                values = Cow::Owned(padding);
            }
            layout.weave(group, 0, class.unit_weights, bytemuck::cast_slice(&values));
            true
        }
        Parts::Int8 { quants, scales, bias, sums } => {
            let mut rows = QuantisedRows::new(kernel.cols, padded, class);
            let finite = rows.fill(kernel, columns, k, norm);
            layout.weave(group, quants, class.unit_weights / 4, bytemuck::cast_slice(&rows.quants));
            layout.weave(group, scales, class.unit_weights / class.span, bytemuck::cast_slice(&rows.scales));
            if let Some((at, factor)) = bias {
                let biases = rows.sums.iter().map(|sum| (factor * sum).cast_unsigned()).collect::<Vec<_>>();
                layout.weave(group, at, class.unit_weights / class.step, &biases);
            }
            match sums {
                None => {}
                Some((at, Sums::Whole)) => {
                    layout.weave(group, at, class.unit_weights / class.step, bytemuck::cast_slice(&rows.sums));
                }
                Some((at, Sums::Pairs)) => {
                    let span_steps = class.span / class.step;
                    let pairs = rows.sums.chunks(span_steps).flat_map(|span| span.chunks(2)).map(pair);
                    let per_unit = class.unit_weights / class.span * span_steps.div_ceil(2);
                    layout.weave(group, at, per_unit, &pairs.collect::<Vec<_>>());
                }
            }
            finite
        }
    }
}

/// The unit structure of a column group.
struct Layout {
    cols: usize,
    unit_bytes: usize,
}

impl Layout {
    /// Writes `per_unit` words a unit and column into the array at byte `at` of each unit, whose fastest axis is the column. `columns`
    /// are `cols` columns of words, one after the other.
    fn weave(&self, group: &mut [u8], at: usize, per_unit: usize, columns: &[u32]) {
        /// Squares of four columns and four words at a time, a third of the time of word by word, and what is left of either. Without
        /// closures, which other codegen units might call.
        fn weave<const COLS: usize>(group: &mut [u8], unit_bytes: usize, at: usize, per_unit: usize, columns: &[u32]) {
            let length = columns.len() / COLS;
            let square_words = per_unit / 4 * 4;
            for (index, unit) in group.chunks_exact_mut(unit_bytes).enumerate() {
                let words: &mut [[[u8; 4]; COLS]] = bytemuck::cast_slice_mut(&mut unit[at..][..4 * COLS * per_unit]);
                let mut column = 0;
                while column + 4 <= COLS {
                    for first in (0..square_words).step_by(4) {
                        let mut square = [[0; 4]; 4];
                        for (offset, row) in square.iter_mut().enumerate() {
                            row.copy_from_slice(&columns[(column + offset) * length + index * per_unit + first..][..4]);
                        }
                        for (words, square) in words[first..][..4].iter_mut().zip(&transpose(square)) {
                            words[column..][..4].copy_from_slice(bytemuck::cast_slice(square));
                        }
                    }
                    column += 4;
                }
                for other in 0..COLS {
                    let done = if other < column { square_words } else { 0 };
                    let values = &columns[other * length + index * per_unit..][..per_unit];
                    for (words, value) in words[done..].iter_mut().zip(&values[done..]) {
                        words[other] = value.to_ne_bytes();
                    }
                }
            }
        }
        macro_rules! by_columns {
            ($($cols:literal)*) => {
                match self.cols {
                    $($cols => weave::<$cols>(group, self.unit_bytes, at, per_unit, columns),)*
                    cols => unreachable!("a tile has at most 16 columns, not {cols}"),
                }
            };
        }
        by_columns!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16);
    }
}

/// Two sums as halves of a word; a sum of up to 256 quants fits 16 bits.
fn pair(sums: &[i32]) -> u32 {
    let half = |index: usize| sums.get(index).map_or(0, |&sum| u32::from((sum as i16).cast_unsigned()));
    half(0) | half(1) << 16
}

/// The rows of activations of a column group, quantised; rows beyond the batch are zeros.
struct QuantisedRows {
    padded: usize,
    span: usize,
    step: usize,
    quants: Vec<i8>,
    scales: Vec<f32>,
    sums: Vec<i32>,
}

impl QuantisedRows {
    fn new(rows: usize, padded: usize, class: &Class) -> Self {
        let (span, step, count) = (class.span, class.step, rows * padded);
        Self { padded, span, step, quants: vec![0; count], scales: vec![0.0; count / span], sums: vec![0; count / step] }
    }

    /// Quantises rows of activations, each padded with zeros; whether every value is finite.
    fn fill(&mut self, kernel: &Kernel, rows: &[f32], k: usize, norm: Option<Norm<'_>>) -> bool {
        let &mut Self { padded, span, step, .. } = self;
        let mut row = vec![0.0; padded];
        let quants = self.quants.chunks_exact_mut(padded).zip(self.scales.chunks_exact_mut(padded / span));
        let places = quants.zip(self.sums.chunks_exact_mut(padded / step));
        let mut finite = true;
        for (values, ((quants, scales), sums)) in rows.chunks_exact(k).zip(places) {
            let values = match norm {
                None if k == padded => values,
                None => {
                    row[..k].copy_from_slice(values);
                    &row
                }
                Some(norm) => {
                    norm.of(values, kernel.isa(), &mut row[..k]);
                    &row
                }
            };
            // SAFETY: the kernel was chosen because its instruction set is available.
            finite &= unsafe { (kernel.isa().rows().quantize)(values, (span, step), quants, scales, sums) };
        }
        finite
    }
}
