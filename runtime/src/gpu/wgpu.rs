//! WGSL modules on any device that speaks Vulkan, emulations on the processor included.
//!
//! ```no_run
//! use quantloom::gguf::BlockShape;
//! use quantloom::gpu::{Kernels, wgpu::{Device, Module}};
//!
//! # fn main() -> quantloom::gpu::Result<()> {
//! # let (source, bytes, x) = ("", [0], [0.0]);
//! let device = Device::open()?;
//! let block = BlockShape { header: 0, weights: 32, bytes: 18 };
//! let kernels = Kernels { source, tables: &[], block, workgroup: 64, segment: 512 };
//! let module = Module::new(&device, &kernels, device.fma())?;
//! let weights = module.load(&bytes, 4096, 4096)?;
//! let y = weights.gemv(&x, 4)?;
//! # Ok(())
//! # }
//! ```

mod held;
mod matrix;
pub mod panels;
mod work;

use ::wgpu::{Adapter, Backends, BufferUsages, DeviceDescriptor, DeviceType, Instance, InstanceDescriptor, Limits, Queue};
use pollster::block_on;

use super::{Error, Result};
pub use held::Held;
pub use matrix::{Matrix, Module};
use work::Launch;

/// The multiply-add that a module uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fma {
    /// The device's own, which is right where it rounds once.
    Native,
    /// One made of integers, which is right everywhere and slow.
    Integer,
}

/// An open device.
#[derive(Debug)]
pub struct Device {
    name: String,
    fma: Fma,
    device: ::wgpu::Device,
    queue: Queue,
}

impl Device {
    /// Opens the best device: a card before a graphics unit of the processor before an emulation.
    ///
    /// # Errors
    /// [`Error::Missing`] if there is none, [`Error::Device`] if it cannot be opened.
    pub fn open() -> Result<Self> {
        let mut descriptor = InstanceDescriptor::new_without_display_handle();
        descriptor.backends = Backends::VULKAN;
        let adapters = block_on(Instance::new(descriptor).enumerate_adapters(Backends::VULKAN));
        let best = adapters.iter().min_by_key(|adapter| preference(adapter.get_info().device_type));
        let remedy = "install a Vulkan driver; Mesa's lavapipe needs no graphics card";
        Self::of(best.ok_or(Error::Missing { what: "Vulkan device", remedy })?)
    }

    /// Everything but the size of buffers is held to what every device has.
    fn of(adapter: &Adapter) -> Result<Self> {
        let has = adapter.limits();
        let required_limits = Limits {
            max_buffer_size: has.max_buffer_size,
            max_storage_buffer_binding_size: has.max_storage_buffer_binding_size,
            ..Limits::default()
        };
        let opened = block_on(adapter.request_device(&DeviceDescriptor { required_limits, ..Default::default() }));
        let (device, queue) = opened.map_err(|why| Error::Device { action: "be opened", detail: why.to_string() })?;
        let info = adapter.get_info();
        let mut opened = Self { name: format!("{}, {}", info.name, info.driver_info), fma: Fma::Integer, device, queue };
        if opened.rounds_once()? {
            opened.fma = Fma::Native;
        }
        Ok(opened)
    }

    /// What the device and its driver call themselves.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The multiply-add that gives the sums of the class `exact` on this device.
    #[must_use]
    pub const fn fma(&self) -> Fma {
        self.fma
    }

    /// Whether the device's `fma` rounds once: takes from a square, which needs more bits than f32 has, what f32 keeps of it.
    fn rounds_once(&self) -> Result<bool> {
        let root = 1.0 + f32::EPSILON;
        let square = root * root;
        let pipeline = self.pipeline(&self.shader(include_str!("wgpu/probe.wgsl"))?, "probe", &[])?;
        let input = self.upload(bytemuck::cast_slice(&[root, -square]), BufferUsages::STORAGE)?;
        let output = self.room(1, BufferUsages::STORAGE | BufferUsages::COPY_SRC)?;
        let launch = Launch { pipeline: &pipeline, buffers: &[(0, &input), (1, &output)], groups: (1, 1) };
        Ok(self.run(&[launch], &output, 1)? == [root.mul_add(root, -square)])
    }
}

/// Where a kind of device stands in the order of preference.
const fn preference(kind: DeviceType) -> u8 {
    match kind {
        DeviceType::DiscreteGpu => 0,
        DeviceType::IntegratedGpu => 1,
        DeviceType::VirtualGpu => 2,
        DeviceType::Other => 3,
        DeviceType::Cpu => 4,
    }
}
