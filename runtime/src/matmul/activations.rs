//! Activations in the layout of a kernel: quantised or not, columns side by side.

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
    group_bytes: usize,
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
        let mut memory = Buffer::zeroed(count * group_bytes).map_err(|_| Error::OutOfMemory { bytes: count * group_bytes })?;
        let finite = AtomicBool::new(true);
        let groups = memory.bytes_mut().chunks_mut(group_bytes).zip(x.chunks(kernel.cols * k));
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
            Ok(Self { memory, group_bytes })
        } else {
            let index = x.iter().position(|value| !value.is_finite()).unwrap_or_default();
            Err(Error::NotFinite { index })
        }
    }

    /// How many groups there are.
    pub fn count(&self) -> usize {
        self.memory.bytes().len() / self.group_bytes
    }

    /// Bytes of one group.
    pub fn group_bytes(&self) -> usize {
        self.group_bytes
    }

    /// The groups of a range.
    pub fn range(&self, range: std::ops::Range<usize>) -> &[u8] {
        &self.memory.bytes()[range.start * self.group_bytes..range.end * self.group_bytes]
    }
}

/// Fills one column group from up to `cols` rows of activations; whether every value is finite, where that matters.
fn fill_group(kernel: &Kernel, class: &Class, columns: &[f32], k: usize, group: &mut [u8]) -> bool {
    let Activations { unit_bytes, parts } = kernel.activations;
    let layout = Layout { cols: kernel.cols, unit_bytes, unit_weights: class.unit_weights };
    match parts {
        Parts::Floats => {
            for (column, values) in columns.chunks_exact(k).enumerate() {
                layout.scatter(group, 0, column, values, class.unit_weights, |value| value.to_bits());
            }
            true
        }
        Parts::Int8 { quants, scales, bias, sums } => {
            let padded = k.next_multiple_of(class.unit_weights);
            let mut row = QuantisedRow::new(padded, class.span);
            let mut finite = true;
            for (column, values) in columns.chunks_exact(k).enumerate() {
                finite &= row.fill(kernel, class, values);
                layout.scatter(group, quants, column, row.quads(), class.unit_weights / 4, |quad| u32::from_le_bytes(*quad));
                layout.scatter(group, scales, column, &row.scales, class.unit_weights / class.span, |scale| scale.to_bits());
                if bias.is_some() || sums.is_some() {
                    row.sum_steps(class.step);
                }
                if let Some((at, factor)) = bias {
                    let per_unit = class.unit_weights / class.step;
                    layout.scatter(group, at, column, &row.sums, per_unit, |sum| (factor * sum).cast_unsigned());
                }
                if let Some((at, sums)) = sums {
                    layout.scatter_sums(group, at, column, &row, class, sums);
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
    unit_weights: usize,
}

impl Layout {
    /// Writes `per_unit` words a unit of one column into the array at byte `at` of each unit, whose fastest axis is the column.
    fn scatter<T>(&self, group: &mut [u8], at: usize, column: usize, values: &[T], per_unit: usize, word: impl Fn(&T) -> u32) {
        for (unit, values) in group.chunks_exact_mut(self.unit_bytes).zip(values.chunks(per_unit)) {
            let (words, _) = unit[at..].as_chunks_mut::<4>();
            for (place, value) in words[column..].iter_mut().step_by(self.cols).zip(values) {
                *place = word(value).to_ne_bytes();
            }
        }
    }

    /// Writes the sums of steps as the class's mins want them.
    fn scatter_sums(&self, group: &mut [u8], at: usize, column: usize, row: &QuantisedRow, class: &Class, sums: Sums) {
        let steps = self.unit_weights / class.step;
        match sums {
            Sums::Whole => self.scatter(group, at, column, &row.sums, steps, |sum| sum.cast_unsigned()),
            Sums::Pairs => {
                let span_steps = class.span / class.step;
                let pairs = row.sums.chunks(span_steps).flat_map(|span| span.chunks(2)).map(pair).collect::<Vec<_>>();
                let per_unit = self.unit_weights / class.span * span_steps.div_ceil(2);
                self.scatter(group, at, column, &pairs, per_unit, |pair| *pair);
            }
        }
    }
}

/// Two sums as halves of a word; a sum of up to 256 quants fits 16 bits.
fn pair(sums: &[i32]) -> u32 {
    let half = |index: usize| sums.get(index).map_or(0, |&sum| u32::from((sum as i16).cast_unsigned()));
    half(0) | half(1) << 16
}

/// One row of activations on its way into a group.
struct QuantisedRow {
    values: Vec<f32>,
    quants: Vec<i8>,
    scales: Vec<f32>,
    sums: Vec<i32>,
}

impl QuantisedRow {
    fn new(padded: usize, span: usize) -> Self {
        Self { values: vec![0.0; padded], quants: vec![0; padded], scales: vec![0.0; padded / span], sums: Vec::new() }
    }

    /// Quantises a row, padded with zeros; whether every value is finite.
    fn fill(&mut self, kernel: &Kernel, class: &Class, values: &[f32]) -> bool {
        self.values[..values.len()].copy_from_slice(values);
        // SAFETY: the kernel was chosen because its instruction set is available.
        unsafe { (kernel.isa.quantize)(&self.values, class.span, &mut self.quants, &mut self.scales) }
    }

    fn quads(&self) -> &[[u8; 4]] {
        bytemuck::cast_slice(&self.quants)
    }

    fn sum_steps(&mut self, step: usize) {
        self.sums.clear();
        self.sums.extend(self.quants.chunks_exact(step).map(|step| step.iter().map(|&quant| i32::from(quant)).sum::<i32>()));
    }
}
