//! A device, a module on it, and weights in its memory, with the interface that the WGSL host has.

use std::sync::Arc;

use bytemuck::Zeroable;
use cudarc::driver::{
    CudaContext, CudaFunction, CudaSlice, CudaStream, DeviceRepr, DriverError, LaunchConfig, PushKernelArg, sys,
};
use cudarc::nvrtc::Ptx;

use crate::gpu::{Error, Kernels, Result, Shape};

/// Most groups along the second axis of a launch; the first may have more.
const MAX_GROUPS: u32 = 65_535;

/// An open device.
#[derive(Debug)]
pub struct Device {
    context: Arc<CudaContext>,
    stream: Arc<CudaStream>,
}

impl Device {
    /// Opens the first device.
    ///
    /// # Errors
    /// [`Error::Missing`] if there is no driver, [`Error::Device`] if there is no device or it cannot be opened.
    pub fn open() -> Result<Self> {
        // SAFETY: it runs the library's initialisation, and the driver's has no requirements.
        if !unsafe { sys::is_culib_present() } {
            return Err(Error::Missing { what: "CUDA driver", remedy: "install the driver of an NVIDIA device" });
        }
        let context = CudaContext::new(0).map_err(failed("be opened"))?;
        let stream = context.default_stream();
        Ok(Self { context, stream })
    }

    /// The architecture to compile for.
    ///
    /// # Errors
    /// [`Error::Device`] if the device fails.
    pub fn architecture(&self) -> Result<String> {
        let (major, minor) = self.context.compute_capability().map_err(failed("say what it is"))?;
        Ok(format!("sm_{major}{minor}"))
    }

    /// A copy of `values`; none is copied as one zero, because devices have no empty buffers.
    fn upload<T: DeviceRepr + Zeroable>(&self, values: &[T]) -> Result<CudaSlice<T>> {
        let zero = [T::zeroed()];
        let values = if values.is_empty() { &zero } else { values };
        self.stream.clone_htod(values).map_err(failed("take the data"))
    }

    fn room(&self, values: usize) -> Result<CudaSlice<f32>> {
        self.stream.alloc_zeros(values.max(1)).map_err(failed("allocate memory"))
    }
}

/// A module on a device.
#[derive(Debug)]
pub struct Module<'a> {
    device: &'a Device,
    kernels: Kernels<'a>,
    decode: CudaFunction,
    gemv: CudaFunction,
    reduce: CudaFunction,
}

impl<'a> Module<'a> {
    /// Loads the machine code of `kernels`.
    ///
    /// # Errors
    /// [`Error::Device`] if it was compiled for another device or lacks an entry point.
    pub fn new(device: &'a Device, kernels: &Kernels<'a>, cubin: &[u8]) -> Result<Self> {
        let module = device.context.load_module(Ptx::from_binary(cubin.to_vec())).map_err(failed("load the module"))?;
        let entry = |name| module.load_function(name).map_err(failed("find a kernel"));
        let (decode, gemv, reduce) = (entry("decode")?, entry("gemv_exact")?, entry("reduce")?);
        Ok(Self { device, kernels: *kernels, decode, gemv, reduce })
    }

    /// Brings `rows` rows of `k` stored weights to the device.
    ///
    /// # Errors
    /// [`Error::Size`] if `bytes` are not that many, [`Error::Device`] if the device has no room.
    pub fn load(&self, bytes: &[u8], rows: usize, k: usize) -> Result<Matrix<'_>> {
        let shape = Shape::new(&self.kernels, rows, k, bytes.len())?;
        Ok(Matrix { module: self, shape, weights: self.device.upload(bytes)? })
    }

    /// A launch of groups along both axes; devices have no launches of none.
    fn launch(&self, groups: (u32, u32)) -> LaunchConfig {
        let workgroup = self.kernels.workgroup as u32;
        LaunchConfig { grid_dim: (groups.0.max(1), groups.1, 1), block_dim: (workgroup, 1, 1), shared_mem_bytes: 0 }
    }
}

/// Weights on a device.
#[derive(Debug)]
pub struct Matrix<'a> {
    module: &'a Module<'a>,
    shape: Shape,
    weights: CudaSlice<u8>,
}

impl Matrix<'_> {
    /// All weights as f32, row after row.
    ///
    /// # Errors
    /// [`Error::Device`] if the device has no room or fails.
    pub fn decode(&self) -> Result<Vec<f32>> {
        let stream = &self.module.device.stream;
        let blocks = self.shape.rows * self.shape.blocks;
        let groups = blocks.div_ceil(self.module.kernels.workgroup as u32).min(MAX_GROUPS);
        let mut output = self.module.device.room(self.shape.weights())?;
        let mut launch = stream.launch_builder(&self.module.decode);
        launch.arg(&self.weights).arg(&mut output).arg(&blocks);
        // SAFETY: the kernel reads `blocks` blocks of weights and writes as many to the output; both have room for them.
        unsafe { launch.launch(self.module.launch((groups, 1))) }.map_err(failed("run"))?;
        self.values(&output, self.shape.weights())
    }

    /// The weights times one vector, in the numerics class `exact`. `splitk` is how many groups share a row: it changes the
    /// speed, never the result.
    ///
    /// # Errors
    /// [`Error::Size`] if `x` is not one vector or the launch would have too many groups, [`Error::Device`] if the device has no
    /// room or fails.
    pub fn gemv(&self, x: &[f32], splitk: usize) -> Result<Vec<f32>> {
        self.shape.check_vector(x)?;
        let groups = self.shape.product_groups(self.module.kernels.workgroup, splitk, MAX_GROUPS)?;
        let (device, Shape { rows, blocks, .. }) = (self.module.device, self.shape);
        let x = device.upload(x)?;
        let mut partials = device.room(self.shape.partials())?;
        let mut output = device.room(rows as usize)?;
        let mut gemv = device.stream.launch_builder(&self.module.gemv);
        gemv.arg(&self.weights).arg(&x).arg(&mut partials).arg(&rows).arg(&blocks);
        // SAFETY: the kernel reads `rows` rows of weights and one vector and writes a sum per row and segment; all fit.
        unsafe { gemv.launch(self.module.launch(groups)) }.map_err(failed("run"))?;
        let mut reduce = device.stream.launch_builder(&self.module.reduce);
        reduce.arg(&partials).arg(&mut output).arg(&rows).arg(&blocks);
        // SAFETY: the kernel reads what the one before wrote, and writes a sum per row.
        unsafe { reduce.launch(self.module.launch((groups.0, 1))) }.map_err(failed("run"))?;
        self.values(&output, rows as usize)
    }

    fn values(&self, output: &CudaSlice<f32>, count: usize) -> Result<Vec<f32>> {
        let mut values = self.module.device.stream.clone_dtoh(output).map_err(failed("give its results back"))?;
        values.truncate(count);
        Ok(values)
    }
}

fn failed(action: &'static str) -> impl FnOnce(DriverError) -> Error {
    move |why| Error::Device { action, detail: why.to_string() }
}
