//! Products by panels, as the host for WGSL computes them: weights are uploaded packed, once, and what else a product needs is kept between calls.

use std::sync::{Mutex, PoisonError};

use cudarc::driver::{CudaFunction, CudaSlice, LaunchArgs, LaunchConfig, PushKernelArg};
use cudarc::nvrtc::Ptx;

use super::device::failed;
use super::{Compiler, Device};
use crate::gpu::shape::{COLUMNS, Shape};
use crate::gpu::{self, Error, Multiply, PanelKernels, Product, Result, Schedule};
use crate::kernels::abi::panels::{DEVICE_ROWS, HELPERS};
use crate::registry::Numerics;

/// A format's kernels on a device.
#[derive(Debug)]
pub struct Module<'a> {
    device: &'a Device,
    kernels: PanelKernels,
    pad: CudaFunction,
    /// In the class `int8`.
    quantise: Option<CudaFunction>,
    decode: CudaFunction,
    reduce: CudaFunction,
    /// Of each class, for each number of columns.
    products: Vec<(Numerics, usize, CudaFunction)>,
}

impl<'a> Module<'a> {
    /// Compiles the text for the device.
    ///
    /// # Errors
    /// [`Error::Compile`] if NVRTC rejects it; [`Error::Device`] if the device does.
    ///
    /// # Safety
    /// The kernels are as the generator has written them: what is launched reads and writes memory as their text says.
    pub unsafe fn new(device: &'a Device, compiler: &Compiler, kernels: PanelKernels) -> Result<Self> {
        let compiled = compiler.compile(&kernels.source, &device.architecture()?)?;
        let module = device.context.load_module(Ptx::from_binary(compiled.cubin)).map_err(failed("load the module"))?;
        let entry = |name: &str| module.load_function(name).map_err(failed("find a kernel"));
        let mut products = Vec::new();
        for &numerics in &kernels.numerics {
            for &columns in &kernels.columns {
                products.push((numerics, columns, entry(&format!("gemv_{}_{columns}", numerics.name()))?));
            }
        }
        let has_int8 = kernels.numerics.contains(&Numerics::Int8);
        let quantise = has_int8.then(|| entry("quantise")).transpose()?;
        let (pad, decode, reduce) = (entry("pad")?, entry("decode")?, entry("reduce")?);
        Ok(Self { device, kernels, pad, quantise, decode, reduce, products })
    }

    /// Brings `n` rows of `k` weights to the device: `packed` has the panels of 16 rows that a processor multiplies by.
    ///
    /// # Errors
    /// [`Error::Size`] if they are fewer, or more than the device takes; [`Error::Device`] if it has no room.
    pub fn load(&self, packed: &[u8], n: usize, k: usize) -> Result<Matrix<'_>> {
        let (shape, panels) = Shape::panels(&self.kernels, packed, n, k, usize::MAX)?;
        // There are no buffers of nothing.
        let panels = if panels.is_empty() { vec![0] } else { panels };
        Ok(Matrix { module: self, shape, weights: self.device.upload(&panels)?, room: Mutex::default() })
    }

    /// The kernel of a class that takes so many columns at a time.
    fn kernel(&self, numerics: Numerics, columns: usize) -> Result<&CudaFunction> {
        let found = self.products.iter().find(|(of, at_once, _)| (*of, *at_once) == (numerics, columns));
        let none = || Error::Size { what: "the columns at a time", found: columns, wanted: "another number needed".to_owned() };
        found.map(|(_, _, product)| product).ok_or_else(none)
    }

    /// A launch of groups of products, or of what is beside them.
    fn launch(threads: usize, groups: [usize; 3]) -> LaunchConfig {
        // Each axis has been held to what devices have, or follows from a size that was.
        let [x, y, z] = groups.map(|groups| groups as u32);
        LaunchConfig { grid_dim: (x, y, z), block_dim: (threads as u32, 1, 1), shared_mem_bytes: 0 }
    }

    /// Threads of a group of products.
    fn threads(&self) -> usize {
        self.kernels.warps * DEVICE_ROWS
    }
}

/// Memory that is kept between calls, by what it is for.
#[derive(Debug, Default)]
struct Room {
    x: Option<CudaSlice<f32>>,
    values: Option<CudaSlice<f32>>,
    quants: Option<CudaSlice<i8>>,
    scales: Option<CudaSlice<f32>>,
    sums: Option<CudaSlice<i32>>,
    status: Option<CudaSlice<u32>>,
    partials: Option<CudaSlice<f32>>,
    out: Option<CudaSlice<f32>>,
}

/// Weights on a device.
#[derive(Debug)]
pub struct Matrix<'a> {
    module: &'a Module<'a>,
    shape: Shape,
    weights: CudaSlice<u8>,
    room: Mutex<Room>,
}

impl Matrix<'_> {
    /// A product `[batch, N]`. `false` as [`Multiply::multiply`] says it.
    ///
    /// # Errors
    /// As [`Multiply::multiply`]; [`Error::Size`] if there is no such schedule.
    pub fn product(&self, product: &Product<'_>, y: &mut [f32]) -> Result<bool> {
        let mut room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
        self.shape.in_parts(&self.module.kernels, product, y, COLUMNS, |_, x, y, schedule| {
            self.columns(&mut room, (x, y), product.numerics, schedule)
        })
    }

    /// All weights as f32, row after row, with the bits that a processor decodes packed weights to: -0 is +0.
    ///
    /// # Errors
    /// [`Error::Size`] if they are more than the device takes at once; [`Error::Device`] if the device has no room, or fails.
    pub fn decode(&self) -> Result<Vec<f32>> {
        let (device, shape) = (self.module.device, &self.shape);
        let (count, groups) = shape.decoded(&self.module.kernels, usize::MAX)?;
        if count == 0 {
            return Ok(Vec::new());
        }
        let mut room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
        let out = device.room(&mut room.out, count)?;
        let [rows, units, k] = [shape.n, shape.units(), shape.k].map(|number| number as u32);
        let mut launch = device.stream.launch_builder(&self.module.decode);
        launch.arg(&self.weights).arg(&mut *out).arg(&rows).arg(&units).arg(&k);
        // SAFETY: `Module::new` demands the kernel that reads `rows` rows of `units` units, and writes `k` weights of each: both fit.
        unsafe { run(launch, Module::launch(self.module.threads(), [shape.n.div_ceil(DEVICE_ROWS), groups, 1])) }?;
        let mut weights = vec![0.0; count];
        device.stream.memcpy_dtoh(&out.slice(..count), &mut weights).map_err(failed("give its results back"))?;
        device.stream.synchronize().map_err(failed("give its results back"))?;
        Ok(weights)
    }

    /// The product with so many columns as are taken together.
    fn columns(&self, room: &mut Room, (x, y): (&[f32], &mut [f32]), numerics: Numerics, schedule: Schedule) -> Result<bool> {
        let (module, device, shape) = (self.module, self.module.device, &self.shape);
        let (stream, columns, count) = (&device.stream, y.len() / shape.n, y.len());
        let given = device.room(&mut room.x, x.len())?;
        stream.memcpy_htod(x, given).map_err(failed("take the data"))?;
        let values = columns * shape.padded();
        let partial = if schedule.splits > 1 { shape.segments() * count } else { 0 };
        let out = device.room(&mut room.out, count)?;
        let partials = device.room(&mut room.partials, partial.max(1))?;
        let status = device.room(&mut room.status, 1)?;
        stream.memset_zeros(status).map_err(failed("run"))?;
        let [k, padded, rows, units, batch, splits] =
            [shape.k, shape.padded(), shape.n, shape.units(), columns, schedule.splits].map(|number| number as u32);
        let fill = Module::launch(HELPERS, [shape.padded().div_ceil(HELPERS), columns, 1]);
        let groups = [shape.n.div_ceil(DEVICE_ROWS), schedule.splits, columns.div_ceil(schedule.columns)];
        let mut product = stream.launch_builder(module.kernel(numerics, schedule.columns)?);
        product.arg(&self.weights);
        match (numerics, &module.quantise) {
            (Numerics::Int8, Some(quantise)) => {
                let quants = device.room(&mut room.quants, values)?;
                let scales = device.room(&mut room.scales, values / module.kernels.span)?;
                let sums = device.room(&mut room.sums, values / module.kernels.step)?;
                let mut launch = stream.launch_builder(quantise);
                launch.arg(&*given).arg(&mut *quants).arg(&mut *scales).arg(&mut *sums).arg(&mut *status).arg(&k).arg(&padded);
                // SAFETY: `Module::new` demands the kernel that reads `k` activations of each column, and writes `padded` quants, their
                // scales and sums, and a status: all fit.
                unsafe { run(launch, fill) }?;
                product.arg(&*quants).arg(&*scales).arg(&*sums);
            }
            _ => {
                let own = device.room(&mut room.values, values)?;
                let mut launch = stream.launch_builder(&module.pad);
                launch.arg(&*given).arg(&mut *own).arg(&k).arg(&padded);
                // SAFETY: `Module::new` demands the kernel that reads `k` activations of each column, and writes `padded` values: all fit.
                unsafe { run(launch, fill) }?;
                product.arg(&*own);
            }
        }
        product.arg(if partial > 0 { &mut *partials } else { &mut *out });
        product.arg(&rows).arg(&units).arg(&batch).arg(&splits);
        // SAFETY: `Module::new` demands the kernel that reads `rows` rows of `units` units, and as many of each column, and writes a sum for each
        // row and column, or with `splits` for each segment of them: all fit.
        unsafe { run(product, Module::launch(module.threads(), groups)) }?;
        if partial > 0 {
            let (sums, segments, added) = (count as u32, shape.segments() as u32, 0_u32);
            let mut reduce = stream.launch_builder(&module.reduce);
            // What is not added is not read.
            reduce.arg(&*partials).arg(&*partials).arg(&*partials).arg(&mut *out);
            reduce.arg(&sums).arg(&segments).arg(&rows).arg(&added);
            // SAFETY: `Module::new` demands the kernel that reads what the one before wrote, and writes a sum for each row and column.
            unsafe { run(reduce, Module::launch(HELPERS, [count.div_ceil(HELPERS), 1, 1])) }?;
        }
        let mut found = [0];
        stream.memcpy_dtoh(&out.slice(..count), y).map_err(failed("give its results back"))?;
        stream.memcpy_dtoh(&status.slice(..1), &mut found).map_err(failed("give its results back"))?;
        stream.synchronize().map_err(failed("give its results back"))?;
        Ok(found == [0])
    }
}

/// Runs a kernel.
///
/// # Safety
/// Its arguments are those of the kernel, in order, and all memory that it reads and writes is within them.
unsafe fn run(mut launch: LaunchArgs<'_>, config: LaunchConfig) -> Result<()> {
    // SAFETY: the arguments fit the kernel, and memory what it does: so the caller says.
    unsafe { launch.launch(config) }.map(drop).map_err(failed("run"))
}

impl Multiply for Matrix<'_> {
    fn multiply(&self, x: &[f32], batch: usize, y: &mut [f32], numerics: Numerics) -> Result<bool> {
        self.product(&Product { x, batch, numerics, schedule: None }, y)
    }
}

impl gpu::Module for Module<'_> {
    fn bring(&self, packed: &[u8], n: usize, k: usize) -> Result<Box<dyn Multiply + '_>> {
        Ok(Box::new(self.load(packed, n, k)?))
    }
}
