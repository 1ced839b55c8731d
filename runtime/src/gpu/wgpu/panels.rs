//! Products by panels: a format's kernels, and weights that are uploaded packed, once. What else a product needs is kept between calls.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use ::wgpu::{Buffer, BufferUsages, CommandEncoder, ShaderModule};

use super::work::Pipeline;
use super::{Device, Fma};
use crate::gpu::{Error, PanelKernels, Result};
use crate::kernels::abi::SEGMENT;
use crate::kernels::abi::panels::DEVICE_ROWS;
use crate::registry::Numerics;

/// Most groups along an axis of a launch on any device.
const MAX_GROUPS: usize = 65_535;
/// Threads of a group of the kernels beside products.
const HELPERS: usize = 256;
/// Columns of one submission.
const COLUMNS: usize = 64;
/// Groups that are wanted at least: K is shared out where there are fewer.
const GROUPS: usize = 128;
/// Most sums of segments that are kept.
const PARTIALS: usize = 1 << 24;

/// A format's kernels on a device.
#[derive(Debug)]
pub struct Module<'a> {
    device: &'a Device,
    kernels: PanelKernels,
    fma: Fma,
    shader: ShaderModule,
    pipelines: Mutex<HashMap<String, Arc<Pipeline>>>,
}

/// How a product is computed. No bit depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Columns that a kernel takes at a time: one of [`PanelKernels::columns`].
    pub columns: usize,
    /// Groups that share K: at least 1.
    pub splits: usize,
}

/// A kernel that runs, what it is bound to, and how many groups.
struct Step<'a> {
    pipeline: Arc<Pipeline>,
    memory: Vec<&'a Buffer>,
    numbers: &'a Buffer,
    groups: [usize; 3],
}

impl<'a> Module<'a> {
    /// Parses the text. Kernels are compiled when they are needed first.
    ///
    /// # Errors
    /// [`Error::Compile`] if the text is no module.
    pub fn new(device: &'a Device, kernels: PanelKernels) -> Result<Self> {
        Self::with_fma(device, kernels, device.fma())
    }

    /// With a multiply-add of one's choice: sums are those of the numerics classes only with the device's [`Device::fma`], or made of integers.
    ///
    /// # Errors
    /// As [`Module::new`].
    pub fn with_fma(device: &'a Device, kernels: PanelKernels, fma: Fma) -> Result<Self> {
        let shader = device.shader(&kernels.source)?;
        Ok(Self { device, kernels, fma, shader, pipelines: Mutex::default() })
    }

    /// Brings `n` rows of `k` weights to the device: `packed` has the panels of 16 rows that a processor multiplies by.
    ///
    /// # Errors
    /// [`Error::Size`] if they are fewer, or more than the device takes; [`Error::Device`] if it has no room.
    pub fn load(&self, packed: &[u8], n: usize, k: usize) -> Result<Matrix<'_>> {
        let too_large = |what, found, most: usize| Error::Size { what, found, wanted: format!("at most {most} possible") };
        let most = MAX_GROUPS * DEVICE_ROWS;
        if n > most {
            return Err(too_large("the rows", n, most));
        }
        let most = (u32::MAX as usize / COLUMNS).min(MAX_GROUPS * HELPERS);
        if k > most - self.kernels.interleave.to.weights {
            return Err(too_large("the length of a row", k, most - self.kernels.interleave.to.weights));
        }
        let bytes = self.kernels.interleave.bytes(n, k).unwrap_or(usize::MAX);
        let most = self.device.most_bytes();
        if bytes > most {
            return Err(too_large("the bytes of the weights", bytes, most));
        }
        let panels = self.kernels.interleave.panels(packed, n, k);
        let panels = panels.ok_or_else(|| Error::Size {
            what: "the packed weights",
            found: packed.len(),
            wanted: format!("{n} rows of {k} weights needed"),
        })?;
        let weights = self.device.upload(&panels, BufferUsages::STORAGE)?;
        Ok(Matrix { module: self, n, k, weights, room: Mutex::default() })
    }

    /// The pipeline of an entry point, which writes some of the memory that it is bound to.
    fn pipeline(&self, entry: &str, written: &[bool]) -> Result<Arc<Pipeline>> {
        let mut pipelines = self.pipelines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = pipelines.get(entry) {
            return Ok(Arc::clone(known));
        }
        let native = if self.fma == Fma::Native { 1.0 } else { 0.0 };
        let made = Arc::new(self.device.bound_pipeline(&self.shader, entry, written, &[("NATIVE_FMA", native)])?);
        pipelines.insert(entry.to_owned(), Arc::clone(&made));
        Ok(made)
    }
}

/// Buffers that are kept between calls, by what they are for.
#[derive(Debug, Default)]
struct Room(HashMap<&'static str, Buffer>);

impl Room {
    /// A buffer for at least so many words.
    fn of(&mut self, device: &Device, name: &'static str, words: usize, usage: BufferUsages) -> Result<Buffer> {
        let fits = |buffer: &&Buffer| buffer.size() >= 4 * words as u64;
        if let Some(kept) = self.0.get(name).filter(fits) {
            return Ok(kept.clone());
        }
        // What is too small goes before there is a larger one.
        self.0.remove(name);
        let made = device.room(words, usage)?;
        self.0.insert(name, made.clone());
        Ok(made)
    }

    /// A buffer on the device that kernels read and write.
    fn memory(&mut self, device: &Device, name: &'static str, words: usize) -> Result<Buffer> {
        self.of(device, name, words, BufferUsages::STORAGE | BufferUsages::COPY_DST | BufferUsages::COPY_SRC)
    }

    /// The numbers of a launch, and the zero behind them.
    fn numbers(&mut self, device: &Device, name: &'static str, numbers: &[usize]) -> Result<Buffer> {
        let mut words = numbers.iter().map(|number| *number as u32).collect::<Vec<_>>();
        words.resize(8, 0);
        let buffer = self.of(device, name, words.len(), BufferUsages::UNIFORM | BufferUsages::COPY_DST)?;
        device.write(&buffer, bytemuck::cast_slice(&words))?;
        Ok(buffer)
    }
}

/// Weights on a device.
#[derive(Debug)]
pub struct Matrix<'a> {
    module: &'a Module<'a>,
    n: usize,
    k: usize,
    weights: Buffer,
    room: Mutex<Room>,
}

impl Matrix<'_> {
    /// `y = x * weights^T`: `x` is `[batch, K]`, `y` is `[batch, N]`. `false` if an activation is not finite, and the class quantises them: then `y`
    /// has nothing of worth.
    ///
    /// # Errors
    /// [`Error::Size`] if an array has another size, or the format has no such class; [`Error::Compile`] if a kernel does not compile;
    /// [`Error::Device`] if the device has no room, or fails.
    pub fn multiply(&self, x: &[f32], batch: usize, y: &mut [f32], numerics: Numerics) -> Result<bool> {
        self.multiply_by(x, batch, y, numerics, None)
    }

    /// [`Matrix::multiply`], with a schedule of one's choice.
    ///
    /// # Errors
    /// As [`Matrix::multiply`]; [`Error::Size`] if there is no such schedule.
    pub fn multiply_by(
        &self,
        x: &[f32],
        batch: usize,
        y: &mut [f32],
        numerics: Numerics,
        schedule: Option<Schedule>,
    ) -> Result<bool> {
        self.check(x, batch, y, numerics, schedule)?;
        if y.is_empty() || self.k == 0 {
            y.fill(0.0);
            return Ok(true);
        }
        let mut room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
        for (x, y) in x.chunks(COLUMNS * self.k).zip(y.chunks_mut(COLUMNS * self.n)) {
            let columns = y.len() / self.n;
            let schedule = schedule.unwrap_or_else(|| self.schedule(columns));
            if !self.columns(&mut room, (x, y), numerics, schedule)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn check(&self, x: &[f32], batch: usize, y: &[f32], numerics: Numerics, schedule: Option<Schedule>) -> Result<()> {
        let kernels = &self.module.kernels;
        let size = |what, found: usize, wanted: String| Err(Error::Size { what, found, wanted });
        if batch.checked_mul(self.k) != Some(x.len()) {
            return size("the activations", x.len(), format!("{batch} rows of {} needed", self.k));
        }
        if batch.checked_mul(self.n) != Some(y.len()) {
            return size("the output", y.len(), format!("{batch} rows of {} needed", self.n));
        }
        if !kernels.numerics.contains(&numerics) {
            return size("the kernels of the class", 0, format!("the format has no class {numerics}"));
        }
        match schedule {
            Some(Schedule { columns, .. }) if !kernels.columns.contains(&columns) => {
                size("the columns at a time", columns, format!("one of {:?} possible", kernels.columns))
            }
            Some(Schedule { splits, .. }) if !(1..=MAX_GROUPS).contains(&splits) => {
                size("the groups that share K", splits, format!("1 to {MAX_GROUPS} possible"))
            }
            _ => Ok(()),
        }
    }

    /// As few columns at a time as do, and groups enough for a device to be busy.
    fn schedule(&self, columns: usize) -> Schedule {
        let kernels = &self.module.kernels.columns;
        // Made of integers, a multiply-add is so long that compilers have enough to do with one column.
        let most = if self.module.fma == Fma::Integer { 1 } else { columns };
        let at_once = kernels.iter().copied().find(|known| *known >= most).or(kernels.last().copied()).unwrap_or(1);
        let (panels, segments) = (self.n.div_ceil(DEVICE_ROWS), self.segments());
        let splits = (GROUPS / panels / columns.div_ceil(at_once)).clamp(1, segments.max(1));
        let splits = if segments * columns * self.n > PARTIALS { 1 } else { splits };
        Schedule { columns: at_once, splits }
    }

    fn units(&self) -> usize {
        self.k.div_ceil(self.module.kernels.interleave.to.weights)
    }

    fn padded(&self) -> usize {
        self.units() * self.module.kernels.interleave.to.weights
    }

    fn segments(&self) -> usize {
        self.padded().div_ceil(SEGMENT)
    }

    /// The product with so many columns as one submission takes.
    fn columns(&self, room: &mut Room, (x, y): (&[f32], &mut [f32]), numerics: Numerics, schedule: Schedule) -> Result<bool> {
        let device = self.module.device;
        let (columns, count) = (y.len() / self.n, y.len());
        let given = room.memory(device, "x", x.len())?;
        device.write(&given, bytemuck::cast_slice(x))?;
        let (out, status) = (room.memory(device, "out", count)?, room.memory(device, "status", 1)?);
        device.write(&status, &[0; 4])?;
        let partials = match schedule.splits {
            1 => None,
            _ => Some(room.memory(device, "partials", self.segments() * count)?),
        };
        let activations = self.activations(room, numerics, columns)?;
        let numbers = [
            room.numbers(device, "fill", &[self.k, self.padded()])?,
            room.numbers(device, "product", &[self.n, self.units(), columns, schedule.splits])?,
            room.numbers(device, "reduce", &[count, self.segments()])?,
        ];
        let prepared = [&given].into_iter().chain(&activations).chain((numerics == Numerics::Int8).then_some(&status));
        let (entry, written) = match numerics {
            Numerics::Int8 => ("quantise", &[false, true, true, true, true][..]),
            Numerics::Exact => ("pad", &[false, true][..]),
        };
        let fill = Step {
            pipeline: self.module.pipeline(entry, written)?,
            memory: prepared.collect(),
            numbers: &numbers[0],
            groups: [self.padded().div_ceil(HELPERS), columns, 1],
        };
        let factors =
            [&self.weights].into_iter().chain(&activations).chain([partials.as_ref().unwrap_or(&out)]).collect::<Vec<_>>();
        let written = (1..=factors.len()).map(|place| place == factors.len()).collect::<Vec<_>>();
        let product = Step {
            pipeline: self.module.pipeline(&format!("gemv_{}_{}", numerics.name(), schedule.columns), &written)?,
            memory: factors,
            numbers: &numbers[1],
            groups: [self.n.div_ceil(DEVICE_ROWS), schedule.splits, columns.div_ceil(schedule.columns)],
        };
        let mut steps = vec![fill, product];
        if let Some(partials) = &partials {
            let pipeline = self.module.pipeline("reduce", &[false, true])?;
            let groups = [count.div_ceil(HELPERS), 1, 1];
            steps.push(Step { pipeline, memory: vec![partials, &out], numbers: &numbers[2], groups });
        }
        let copy = room.of(device, "copy", count + 1, BufferUsages::MAP_READ | BufferUsages::COPY_DST)?;
        let bytes = 4 * count as u64;
        device.submit(|encoder| {
            steps.iter().for_each(|step| step.record(device, encoder));
            encoder.copy_buffer_to_buffer(&out, 0, &copy, 0, bytes);
            encoder.copy_buffer_to_buffer(&status, 0, &copy, bytes, 4);
        })?;
        let found = device.take(&copy, count + 1)?;
        y.copy_from_slice(&found[..count]);
        Ok(found[count].to_bits() == 0)
    }

    /// Memory for activations, as the products of a class want them.
    fn activations(&self, room: &mut Room, numerics: Numerics, columns: usize) -> Result<Vec<Buffer>> {
        let (device, kernels, values) = (self.module.device, &self.module.kernels, columns * self.padded());
        match numerics {
            Numerics::Exact => Ok(vec![room.memory(device, "values", values)?]),
            Numerics::Int8 => Ok(vec![
                room.memory(device, "quants", values / 4)?,
                room.memory(device, "scales", values / kernels.span)?,
                room.memory(device, "sums", values / kernels.step)?,
            ]),
        }
    }
}

impl Step<'_> {
    fn record(&self, device: &Device, encoder: &mut CommandEncoder) {
        // Each axis has been held to what devices have, or follows from a size that was.
        device.record_bound(encoder, &self.pipeline, &self.memory, self.numbers, self.groups.map(|groups| groups as u32));
    }
}
