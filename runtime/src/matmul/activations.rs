//! Activations in the layout of a kernel: quantised or not, columns side by side.

use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use quantloom_kernels::abi::{Activations, Kernel, Parts, Sums};

use crate::buffer::Buffer;
use crate::error::{Error, Result};
use crate::pool::Pool;
use crate::registry::Class;

/// The column groups of a batch.
pub struct Groups {
    memory: Buffer,
    count: usize,
    group_bytes: usize,
}

thread_local! {
    /// Memory of the last multiplication that this thread asked for: to map it anew costs 2% of one of 512 columns.
    static SPARE: RefCell<Option<Buffer>> = const { RefCell::new(None) };
}

impl Groups {
    /// Brings `batch` rows of `k` activations into the layout of `kernel`.
    ///
    /// # Errors
    /// [`Error::NotFinite`] if they are to be quantised and one is infinite or not a number.
    pub fn new(kernel: &Kernel, class: &Class, x: &[f32], k: usize, threads: usize, pool: &Pool) -> Result<Self> {
        let units = k.div_ceil(class.unit_weights);
        let group_bytes = units * kernel.activations.unit_bytes;
        let count = (x.len() / k).div_ceil(kernel.cols);
        let mut memory = buffer(count * group_bytes)?;
        let finite = AtomicBool::new(true);
        let groups = memory.bytes_mut().chunks_exact_mut(group_bytes).zip(x.chunks(kernel.cols * k));
        // Each group is taken once, by one thread: the locks are never contended.
        let jobs = groups.map(|job| Mutex::new(Some(job))).collect::<Vec<_>>();
        pool.run_limited(threads, jobs.len(), |index| {
            let job = jobs[index].lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
            if let Some((group, columns)) = job
                && !fill_group(kernel, class, columns, k, group)
            {
                finite.store(false, Ordering::Relaxed);
            }
        });
        drop(jobs);
        if finite.into_inner() {
            Ok(Self { memory, count, group_bytes })
        } else {
            let index = x.iter().position(|value| !value.is_finite()).unwrap_or_default();
            Err(Error::NotFinite { index })
        }
    }

    /// How many groups there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The groups of a range.
    pub fn range(&self, range: std::ops::Range<usize>) -> &[u8] {
        &self.memory.bytes()[range.start * self.group_bytes..range.end * self.group_bytes]
    }
}

impl Drop for Groups {
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

/// Fills one column group from up to `cols` rows of activations; whether every value is finite, where that matters.
fn fill_group(kernel: &Kernel, class: &Class, columns: &[f32], k: usize, group: &mut [u8]) -> bool {
    let Activations { unit_bytes, parts } = kernel.activations;
    let layout = Layout { cols: kernel.cols, unit_bytes };
    let padded = k.next_multiple_of(class.unit_weights);
    match parts {
        Parts::Floats => {
            let mut values = Cow::Borrowed(columns);
            if columns.len() < kernel.cols * padded {
                let mut padding = vec![0.0; kernel.cols * padded];
                for (padded, values) in padding.chunks_exact_mut(padded).zip(columns.chunks_exact(k)) {
                    padded[..k].copy_from_slice(values);
                }
                values = Cow::Owned(padding);
            }
            layout.weave(group, 0, class.unit_weights, bytemuck::cast_slice(&values));
            true
        }
        Parts::Int8 { quants, scales, bias, sums } => {
            let mut rows = QuantisedRows::new(kernel.cols, padded, class);
            let finite = rows.fill(kernel, columns, k);
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
        /// With a constant number of columns every word is one load and one store; without closures, which other codegen units might call.
        fn weave<const COLS: usize>(group: &mut [u8], unit_bytes: usize, at: usize, per_unit: usize, columns: &[u32]) {
            let length = columns.len() / COLS;
            for (index, unit) in group.chunks_exact_mut(unit_bytes).enumerate() {
                let words: &mut [[[u8; 4]; COLS]] = bytemuck::cast_slice_mut(&mut unit[at..][..4 * COLS * per_unit]);
                for column in 0..COLS {
                    let values = &columns[column * length + index * per_unit..][..per_unit];
                    for (words, value) in words.iter_mut().zip(values) {
                        words[column] = value.to_ne_bytes();
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

    /// Quantises rows of `k` values, each padded with zeros; whether every value is finite.
    fn fill(&mut self, kernel: &Kernel, rows: &[f32], k: usize) -> bool {
        let &mut Self { padded, span, step, .. } = self;
        let mut row = vec![0.0; padded];
        let quants = self.quants.chunks_exact_mut(padded).zip(self.scales.chunks_exact_mut(padded / span));
        let places = quants.zip(self.sums.chunks_exact_mut(padded / step));
        let mut finite = true;
        for (values, ((quants, scales), sums)) in rows.chunks_exact(k).zip(places) {
            let values = if k == padded {
                values
            } else {
                row[..k].copy_from_slice(values);
                &row
            };
            // SAFETY: the kernel was chosen because its instruction set is available.
            finite &= unsafe { (kernel.isa().rows().quantize)(values, (span, step), quants, scales, sums) };
        }
        finite
    }
}
