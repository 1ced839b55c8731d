//! Products by panels: a format's kernels, and weights that are uploaded packed, once. What else a product needs is kept between calls.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use ::wgpu::{Buffer, BufferUsages, CommandEncoder, ShaderModule};

use super::work::Pipeline;
use super::{Device, Fma};
use crate::gpu::shape::{COLUMNS, Shape};
use crate::gpu::{self, Around, Multiply, PanelKernels, Product, Result, Schedule};
use crate::kernels::abi::panels::{DEVICE_ROWS, HELPERS};
use crate::matmul::activations::Norm;
use crate::matmul::epilogue::Epilogue;
use crate::registry::Numerics;

/// A format's kernels on a device.
#[derive(Debug)]
pub struct Module<'a> {
    device: &'a Device,
    kernels: PanelKernels,
    fma: Fma,
    shader: ShaderModule,
    pipelines: Mutex<HashMap<String, Arc<Pipeline>>>,
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
    /// [`gpu::Error::Compile`] if the text is no module; [`gpu::Error::Device`] if the device does not keep subnormals: its bits would be others.
    pub fn new(device: &'a Device, kernels: PanelKernels) -> Result<Self> {
        if !device.keeps_subnormals() {
            let detail = "it takes them for 0, and results would have other bits; multiply on the processor".to_owned();
            return Err(gpu::Error::Device { action: "compute with subnormal numbers", detail });
        }
        Self::with_fma(device, kernels, device.fma())
    }

    /// With a multiply-add of one's choice: sums are those of the numerics classes only with the device's [`Device::fma`], or made of integers.
    ///
    /// # Errors
    /// [`gpu::Error::Compile`] if the text is no module.
    pub fn with_fma(device: &'a Device, kernels: PanelKernels, fma: Fma) -> Result<Self> {
        let shader = device.shader(&kernels.source)?;
        Ok(Self { device, kernels, fma, shader, pipelines: Mutex::default() })
    }

    /// Brings `n` rows of `k` weights to the device: `packed` has the panels of 16 rows that a processor multiplies by.
    ///
    /// # Errors
    /// [`gpu::Error::Size`] if they are fewer, or more than the device takes; [`gpu::Error::Device`] if it has no room.
    pub fn load(&self, packed: &[u8], n: usize, k: usize) -> Result<Matrix<'_>> {
        let (shape, panels) = Shape::panels(&self.kernels, packed, n, k, self.device.most_bytes())?;
        let weights = self.device.upload(&panels, BufferUsages::STORAGE)?;
        Ok(Matrix { module: self, shape, weights, room: Mutex::default() })
    }

    /// The pipeline of an entry point, which writes some of the memory that it is bound to.
    fn pipeline(&self, entry: &str, written: &[bool]) -> Result<Arc<Pipeline>> {
        let mut pipelines = self.pipelines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = pipelines.get(entry) {
            return Ok(Arc::clone(known));
        }
        let native = if self.fma == Fma::Native { 1.0 } else { 0.0 };
        let made = Arc::new(self.device.pipeline(&self.shader, entry, written, &[("NATIVE_FMA", native)])?);
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
    shape: Shape,
    weights: Buffer,
    room: Mutex<Room>,
}

impl Matrix<'_> {
    /// A product `[batch, N]`, and what surrounds it. `false` as [`Multiply::multiply`] says it.
    ///
    /// # Errors
    /// As [`Multiply::multiply`]; [`gpu::Error::Size`] if there is no such schedule.
    pub fn linear(&self, product: &Product<'_>, y: &mut [f32], around: Around<'_>) -> Result<bool> {
        let (kernels, shape) = (&self.module.kernels, &self.shape);
        shape.check_around(&around, y.len())?;
        // Made of integers, a multiply-add is so long that compilers have enough to do with one column.
        let most = if self.module.fma == Fma::Integer { 1 } else { COLUMNS };
        let mut room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
        let done = shape.in_parts(kernels, product, y, most, |place, x, y, schedule| {
            let residual = around.residual.map(|residual| &residual[place]);
            self.columns(&mut room, (x, y), product.numerics, schedule, Around { residual, ..around })
        })?;
        if shape.k == 0 {
            Epilogue { biases: [around.bias, None], gate: None, residual: around.residual }.finish_zeros(shape.n, y);
        }
        Ok(done)
    }

    /// All weights as f32, row after row, with the bits that a processor decodes packed weights to: -0 is +0.
    ///
    /// # Errors
    /// [`gpu::Error::Size`] if they are more than the device takes at once; [`gpu::Error::Compile`] if the kernel does not compile; [`gpu::Error::Device`] if the
    /// device has no room, or fails.
    pub fn decode(&self) -> Result<Vec<f32>> {
        let (device, kernels, shape) = (self.module.device, &self.module.kernels, &self.shape);
        let (count, groups) = shape.decoded(kernels, device.most_bytes())?;
        if count == 0 {
            return Ok(Vec::new());
        }
        let mut room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
        let out = room.memory(device, "decoded", count)?;
        let numbers = room.numbers(device, "decode", &[shape.n, shape.units(), shape.k])?;
        let step = Step {
            pipeline: self.module.pipeline("decode", &[false, true])?,
            memory: vec![&self.weights, &out],
            numbers: &numbers,
            groups: [shape.n.div_ceil(DEVICE_ROWS), groups, 1],
        };
        let copy = room.of(device, "copy", count, BufferUsages::MAP_READ | BufferUsages::COPY_DST)?;
        device.submit(|encoder| {
            step.record(device, encoder);
            encoder.copy_buffer_to_buffer(&out, 0, &copy, 0, 4 * count as u64);
        })?;
        device.take(&copy, count)
    }

    /// The product with so many columns as one submission takes.
    fn columns(
        &self,
        room: &mut Room,
        (x, y): (&[f32], &mut [f32]),
        numerics: Numerics,
        schedule: Schedule,
        around: Around<'_>,
    ) -> Result<bool> {
        let (device, shape) = (self.module.device, &self.shape);
        let (columns, count) = (y.len() / shape.n, y.len());
        let given = room.memory(device, "x", x.len())?;
        device.write(&given, bytemuck::cast_slice(x))?;
        let (out, status) = (room.memory(device, "out", count)?, room.memory(device, "status", 1)?);
        device.write(&status, &[0; 4])?;
        // A product that is not shared out leaves one sum.
        let segments = if schedule.splits == 1 { 1 } else { shape.segments() };
        let partials = match (schedule.splits, around.added()) {
            (1, 0) => None,
            _ => Some(room.memory(device, "partials", segments * count)?),
        };
        let norm = around.norm.map(|norm| self.norm(room, &norm, x.len())).transpose()?;
        let [bias, residual] = [("bias", around.bias), ("residual", around.residual)]
            .map(|(name, values)| values.map(|values| self.given(room, name, values)).transpose());
        let (bias, residual) = (bias?, residual?);
        let activations = self.activations(room, numerics, columns)?;
        let numbers = [
            room.numbers(device, "fill", &[shape.k, shape.padded()])?,
            room.numbers(device, "product", &[shape.n, shape.units(), columns, schedule.splits])?,
            room.numbers(device, "reduce", &[count, segments, shape.n, around.added()])?,
        ];
        let source = norm.as_ref().map_or(&given, |[_, normed, _]| normed);
        let prepared = [source].into_iter().chain(&activations).chain((numerics == Numerics::Int8).then_some(&status));
        let (entry, written) = match numerics {
            Numerics::Int8 => ("quantise", &[false, true, true, true, true][..]),
            Numerics::Exact => ("pad", &[false, true][..]),
        };
        let fill = Step {
            pipeline: self.module.pipeline(entry, written)?,
            memory: prepared.collect(),
            numbers: &numbers[0],
            groups: [shape.padded().div_ceil(HELPERS), columns, 1],
        };
        let factors =
            [&self.weights].into_iter().chain(&activations).chain([partials.as_ref().unwrap_or(&out)]).collect::<Vec<_>>();
        let written = (1..=factors.len()).map(|place| place == factors.len()).collect::<Vec<_>>();
        let product = Step {
            pipeline: self.module.pipeline(&format!("gemv_{}_{}", numerics.name(), schedule.columns), &written)?,
            memory: factors,
            numbers: &numbers[1],
            groups: [shape.n.div_ceil(DEVICE_ROWS), schedule.splits, columns.div_ceil(schedule.columns)],
        };
        let mut steps = Vec::new();
        if let Some([weights, normed, numbers]) = &norm {
            let pipeline = self.module.pipeline("rms_norm", &[false, false, true])?;
            steps.push(Step { pipeline, memory: vec![&given, weights, normed], numbers, groups: [columns, 1, 1] });
        }
        steps.extend([fill, product]);
        if let Some(partials) = &partials {
            let pipeline = self.module.pipeline("reduce", &[false, false, false, true])?;
            let groups = [count.div_ceil(HELPERS), 1, 1];
            // What is not added is not read.
            let added = [&bias, &residual].map(|memory| memory.as_ref().unwrap_or(partials));
            steps.push(Step { pipeline, memory: vec![partials, added[0], added[1], &out], numbers: &numbers[2], groups });
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

    /// Memory with these values.
    fn given(&self, room: &mut Room, name: &'static str, values: &[f32]) -> Result<Buffer> {
        let memory = room.memory(self.module.device, name, values.len())?;
        self.module.device.write(&memory, bytemuck::cast_slice(values))?;
        Ok(memory)
    }

    /// The weights of a norm, memory for so many normed activations, and the numbers of the kernel.
    fn norm(&self, room: &mut Room, norm: &Norm<'_>, count: usize) -> Result<[Buffer; 3]> {
        let device = self.module.device;
        let bits = |value: f32| value.to_bits() as usize;
        let numbers = room.numbers(device, "norm", &[self.shape.k, bits(self.shape.k as f32), bits(norm.eps)])?;
        Ok([self.given(room, "weights of the norm", norm.weights)?, room.memory(device, "normed", count)?, numbers])
    }

    /// Memory for activations, as the products of a class want them.
    fn activations(&self, room: &mut Room, numerics: Numerics, columns: usize) -> Result<Vec<Buffer>> {
        let (device, kernels, values) = (self.module.device, &self.module.kernels, columns * self.shape.padded());
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

impl Multiply for Matrix<'_> {
    fn multiply(&self, x: &[f32], batch: usize, y: &mut [f32], numerics: Numerics) -> Result<bool> {
        self.linear(&Product { x, batch, numerics, schedule: None }, y, Around::default())
    }
}

impl gpu::Module for Module<'_> {
    fn bring(&self, packed: &[u8], n: usize, k: usize) -> Result<Box<dyn Multiply + '_>> {
        Ok(Box::new(self.load(packed, n, k)?))
    }
}

impl Step<'_> {
    fn record(&self, device: &Device, encoder: &mut CommandEncoder) {
        // Each axis has been held to what devices have, or follows from a size that was.
        device.record(encoder, &self.pipeline, &self.memory, self.numbers, self.groups.map(|groups| groups as u32));
    }
}
