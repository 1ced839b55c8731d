//! A compiled module, and weights on the device.

use ::wgpu::{Buffer, BufferUsages, ComputePipeline};

use super::work::Launch;
use super::{Device, Fma};
use crate::gpu::{Kernels, Result, Shape};

/// Numbers of the buffers in a module's text.
mod binding {
    pub const WEIGHTS: u32 = 0;
    pub const TABLES: u32 = 1;
    pub const X: u32 = 2;
    pub const PARTIALS: u32 = 3;
    pub const OUTPUT: u32 = 4;
    pub const PARAMS: u32 = 5;
}

/// Most groups along an axis of a launch on any device.
const MAX_GROUPS: u32 = 65_535;

/// A module that was compiled for a device.
#[derive(Debug)]
pub struct Module<'a> {
    device: &'a Device,
    kernels: Kernels<'a>,
    tables: Option<Buffer>,
    decode: ComputePipeline,
    gemv: ComputePipeline,
    reduce: ComputePipeline,
}

impl<'a> Module<'a> {
    /// Compiles `kernels`. Products belong to the class `exact` if `fma` is the device's [`Device::fma`].
    ///
    /// # Errors
    /// `Error::Compile` if the text is not a module, `Error::Device` if the device refuses.
    pub fn new(device: &'a Device, kernels: &Kernels<'a>, fma: Fma) -> Result<Self> {
        let shader = device.shader(kernels.source)?;
        let native = if fma == Fma::Native { 1.0 } else { 0.0 };
        let tables = (!kernels.tables.is_empty())
            .then(|| device.upload(bytemuck::cast_slice(kernels.tables), BufferUsages::STORAGE))
            .transpose()?;
        Ok(Self {
            device,
            kernels: *kernels,
            tables,
            decode: device.pipeline(&shader, "decode", &[])?,
            gemv: device.pipeline(&shader, "gemv_exact", &[("NATIVE_FMA", native)])?,
            reduce: device.pipeline(&shader, "reduce", &[])?,
        })
    }

    /// Brings `rows` rows of `k` stored weights to the device.
    ///
    /// # Errors
    /// `Error::Size` if `bytes` are not that many, `Error::Device` if the device has no room.
    pub fn load(&self, bytes: &[u8], rows: usize, k: usize) -> Result<Matrix<'_>> {
        let shape = Shape::new(&self.kernels, rows, k, bytes.len())?;
        // The third word is the zero that the text asks for; the last one fills up a uniform buffer.
        let params = [shape.rows, shape.blocks, 0, 0];
        Ok(Matrix {
            module: self,
            shape,
            weights: self.device.upload(bytes, BufferUsages::STORAGE)?,
            params: self.device.upload(bytemuck::cast_slice(&params), BufferUsages::UNIFORM)?,
        })
    }
}

/// Weights on a device.
#[derive(Debug)]
pub struct Matrix<'a> {
    module: &'a Module<'a>,
    shape: Shape,
    weights: Buffer,
    params: Buffer,
}

impl Matrix<'_> {
    /// All weights as f32, row after row.
    ///
    /// # Errors
    /// `Error::Device` if the device has no room or fails.
    pub fn decode(&self) -> Result<Vec<f32>> {
        let output = self.output(self.shape.weights())?;
        let blocks = self.shape.rows * self.shape.blocks;
        let groups = blocks.div_ceil(self.module.kernels.workgroup as u32).min(MAX_GROUPS);
        let buffers = self.weights_and(&[(binding::OUTPUT, &output)]);
        let launch = Launch { pipeline: &self.module.decode, buffers: &buffers, groups: (groups, 1) };
        self.module.device.run(&[launch], &output, self.shape.weights())
    }

    /// The weights times one vector, in the numerics class `exact`. `splitk` is how many groups share a row: it changes the
    /// speed, never the result.
    ///
    /// # Errors
    /// `Error::Size` if `x` is not one vector or the launch would have too many groups, `Error::Device` if the device has no
    /// room or fails.
    pub fn gemv(&self, x: &[f32], splitk: usize) -> Result<Vec<f32>> {
        self.shape.check_vector(x)?;
        let (rows, splits) = self.shape.product_groups(self.module.kernels.workgroup, splitk, MAX_GROUPS)?;
        let x = self.module.device.upload(bytemuck::cast_slice(x), BufferUsages::STORAGE)?;
        let partials = self.module.device.room(self.shape.partials(), BufferUsages::STORAGE)?;
        let output = self.output(self.shape.rows as usize)?;
        let factors = self.weights_and(&[(binding::X, &x), (binding::PARTIALS, &partials)]);
        let sums = [(binding::PARTIALS, &partials), (binding::OUTPUT, &output), (binding::PARAMS, &self.params)];
        let launches = [
            Launch { pipeline: &self.module.gemv, buffers: &factors, groups: (rows, splits) },
            Launch { pipeline: &self.module.reduce, buffers: &sums, groups: (rows, 1) },
        ];
        self.module.device.run(&launches, &output, self.shape.rows as usize)
    }

    /// The buffers of every kernel that reads weights, and others.
    fn weights_and<'b>(&'b self, others: &[(u32, &'b Buffer)]) -> Vec<(u32, &'b Buffer)> {
        let tables = self.module.tables.iter().map(|tables| (binding::TABLES, tables));
        let own = [(binding::WEIGHTS, &self.weights), (binding::PARAMS, &self.params)];
        own.into_iter().chain(tables).chain(others.iter().copied()).collect()
    }

    fn output(&self, values: usize) -> Result<Buffer> {
        self.module.device.room(values, BufferUsages::STORAGE | BufferUsages::COPY_SRC)
    }
}
