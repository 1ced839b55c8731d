//! WGSL modules on any device that speaks Vulkan, emulations on the processor included.

pub mod panels;
mod work;

use ::wgpu::{Adapter, Backends, BufferUsages, DeviceDescriptor, DeviceType, Instance, InstanceDescriptor, Limits, Queue};
use pollster::block_on;

use super::{Error, Result};

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
    keeps_subnormals: bool,
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
        let name = format!("{}, {}", info.name, info.driver_info);
        let mut opened = Self { name, fma: Fma::Integer, keeps_subnormals: false, device, queue };
        let (rounds_once, keeps_subnormals) = opened.probe()?;
        opened.keeps_subnormals = keeps_subnormals;
        if rounds_once {
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

    /// Whether it keeps numbers that are subnormal. One that takes them for 0 gives other bits where activations, scales or sums are so small.
    #[must_use]
    pub const fn keeps_subnormals(&self) -> bool {
        self.keeps_subnormals
    }

    /// Whether the device's `fma` rounds once, and whether it keeps subnormals: takes from a square, which needs more bits than f32 has, what f32
    /// keeps of it, and computes with the smallest numbers.
    fn probe(&self) -> Result<(bool, bool)> {
        let root = 1.0 + f32::EPSILON;
        let square = root * root;
        let (small, tiny, factor) = (2_f32.powi(-70), 2_f32.powi(-140), 4.0);
        let probe = self.pipeline(&self.shader(include_str!("wgpu/probe.wgsl"))?, "probe", &[false, true], &[])?;
        let input = self.upload(bytemuck::cast_slice(&[root, -square, tiny, factor, small]), BufferUsages::STORAGE)?;
        let output = self.room(4, BufferUsages::STORAGE | BufferUsages::COPY_SRC)?;
        let numbers = self.room(4, BufferUsages::UNIFORM)?;
        let copy = self.room(4, BufferUsages::MAP_READ | BufferUsages::COPY_DST)?;
        self.submit(|encoder| {
            self.record(encoder, &probe, &[&input, &output], &numbers, [1; 3]);
            encoder.copy_buffer_to_buffer(&output, 0, &copy, 0, copy.size());
        })?;
        let found = self.take(&copy, 4)?;
        let kept = [tiny * factor, tiny + tiny, small * small];
        Ok((found[0] == root.mul_add(root, -square), found[1..] == kept))
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
