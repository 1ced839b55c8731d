//! What a device is asked to do: compile, hold bytes, run, give bytes back. Whatever it reports meanwhile becomes an error.

use std::sync::mpsc;

use ::wgpu::{
    BindGroupDescriptor, BindGroupEntry, BindGroupLayout, BindGroupLayoutDescriptor, BindGroupLayoutEntry, BindingType, Buffer,
    BufferBindingType, BufferDescriptor, BufferUsages, CommandEncoder, ComputePipeline, ComputePipelineDescriptor, ErrorFilter,
    MapMode, PipelineCompilationOptions, PipelineLayoutDescriptor, PollType, ShaderModule, ShaderModuleDescriptor,
    ShaderSource, ShaderStages,
};
use pollster::block_on;

use super::Device;
use crate::gpu::{Error, Result};

/// Bytes that sizes of buffers are a multiple of.
const WORD: usize = 4;

/// A kernel that is bound to memory, from binding 0 on, and to its numbers behind that.
#[derive(Debug)]
pub(super) struct Pipeline {
    pipeline: ComputePipeline,
    layout: BindGroupLayout,
}

impl Device {
    /// Compiles one entry point that writes some of the memory that it is bound to.
    pub(super) fn pipeline(
        &self,
        shader: &ShaderModule,
        entry: &str,
        written: &[bool],
        constants: &[(&str, f64)],
    ) -> Result<Pipeline> {
        let memory = written.iter().map(|written| BufferBindingType::Storage { read_only: !written });
        let entries = memory.chain([BufferBindingType::Uniform]).zip(0..).map(|(ty, binding)| BindGroupLayoutEntry {
            binding,
            visibility: ShaderStages::COMPUTE,
            ty: BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None },
            count: None,
        });
        let entries = entries.collect::<Vec<_>>();
        let made = self.checked(|| {
            let layout = self.device.create_bind_group_layout(&BindGroupLayoutDescriptor { label: None, entries: &entries });
            let bound = PipelineLayoutDescriptor { label: None, bind_group_layouts: &[Some(&layout)], immediate_size: 0 };
            let pipeline = self.device.create_compute_pipeline(&ComputePipelineDescriptor {
                label: Some(entry),
                layout: Some(&self.device.create_pipeline_layout(&bound)),
                module: shader,
                entry_point: Some(entry),
                compilation_options: PipelineCompilationOptions { constants, ..PipelineCompilationOptions::default() },
                cache: None,
            });
            Pipeline { pipeline, layout }
        });
        made.map_err(|log| Error::Compile { log })
    }

    /// Records a launch of such a kernel.
    pub(super) fn record(
        &self,
        encoder: &mut CommandEncoder,
        kernel: &Pipeline,
        memory: &[&Buffer],
        numbers: &Buffer,
        groups: [u32; 3],
    ) {
        let bound = memory.iter().copied().chain([numbers]).zip(0..);
        let entries = bound.map(|(buffer, binding)| BindGroupEntry { binding, resource: buffer.as_entire_binding() });
        let entries = entries.collect::<Vec<_>>();
        let descriptor = BindGroupDescriptor { label: None, layout: &kernel.layout, entries: &entries };
        let group = self.device.create_bind_group(&descriptor);
        let mut pass = encoder.begin_compute_pass(&Default::default());
        pass.set_pipeline(&kernel.pipeline);
        pass.set_bind_group(0, &group, &[]);
        pass.dispatch_workgroups(groups[0], groups[1], groups[2]);
    }

    /// Submits what is recorded.
    pub(super) fn submit(&self, record: impl FnOnce(&mut CommandEncoder)) -> Result<()> {
        let run = self.checked(|| {
            let mut encoder = self.device.create_command_encoder(&Default::default());
            record(&mut encoder);
            self.queue.submit([encoder.finish()]);
        });
        run.map_err(failed("run"))
    }

    /// The first `count` values of a buffer that is kept: it can be written again afterwards.
    pub(super) fn take(&self, buffer: &Buffer, count: usize) -> Result<Vec<f32>> {
        let values = self.read(buffer, count).map_err(failed("give its results back"));
        buffer.unmap();
        values
    }

    /// Writes whole words to the beginning of a buffer, before what is submitted next.
    pub(super) fn write(&self, buffer: &Buffer, words: &[u8]) -> Result<()> {
        self.checked(|| self.queue.write_buffer(buffer, 0, words)).map_err(failed("take the data"))
    }

    /// Most bytes of memory that a kernel is bound to.
    pub(super) fn most_bytes(&self) -> usize {
        let limits = self.device.limits();
        usize::try_from(limits.max_buffer_size.min(limits.max_storage_buffer_binding_size)).unwrap_or(usize::MAX)
    }

    /// Parses and checks source text.
    pub(super) fn shader(&self, source: &str) -> Result<ShaderModule> {
        let descriptor = ShaderModuleDescriptor { label: None, source: ShaderSource::Wgsl(source.into()) };
        self.checked(|| self.device.create_shader_module(descriptor)).map_err(|log| Error::Compile { log })
    }

    /// Room for `words` words of 4 bytes; none is room for one, because devices have no empty buffers.
    pub(super) fn room(&self, words: usize, usage: BufferUsages) -> Result<Buffer> {
        let size = (words.max(1) * WORD) as u64;
        let descriptor = BufferDescriptor { label: None, size, usage, mapped_at_creation: false };
        self.checked(|| self.device.create_buffer(&descriptor)).map_err(failed("allocate memory"))
    }

    /// A copy of `bytes`, filled up with zeros to whole words.
    pub(super) fn upload(&self, bytes: &[u8], usage: BufferUsages) -> Result<Buffer> {
        let buffer = self.room(bytes.len().div_ceil(WORD), usage | BufferUsages::COPY_DST)?;
        let (whole, rest) = bytes.split_at(bytes.len() / WORD * WORD);
        let mut last = [0; WORD];
        last[..rest.len()].copy_from_slice(rest);
        let written = self.checked(|| {
            self.queue.write_buffer(&buffer, 0, whole);
            if !rest.is_empty() {
                self.queue.write_buffer(&buffer, whole.len() as u64, &last);
            }
        });
        written.map_err(failed("take the data"))?;
        Ok(buffer)
    }

    fn read(&self, buffer: &Buffer, count: usize) -> Result<Vec<f32>, String> {
        let (send, receive) = mpsc::channel();
        buffer.slice(..).map_async(MapMode::Read, move |mapped| drop(send.send(mapped)));
        // It waits for all work, so the answer is there before it is asked for.
        self.device.poll(PollType::wait_indefinitely()).map_err(|why| why.to_string())?;
        receive.recv().map_err(|why| why.to_string())?.map_err(|why| why.to_string())?;
        let bytes = buffer.slice(..).get_mapped_range().map_err(|why| why.to_string())?;
        // Mapped memory is aligned for any value, but nothing promises it.
        Ok(bytemuck::pod_collect_to_vec(&bytes[..count * WORD]))
    }

    /// Runs `work`, and turns what the device reports meanwhile into an error.
    fn checked<T>(&self, work: impl FnOnce() -> T) -> Result<T, String> {
        let internal = self.device.push_error_scope(ErrorFilter::Internal);
        let memory = self.device.push_error_scope(ErrorFilter::OutOfMemory);
        let validation = self.device.push_error_scope(ErrorFilter::Validation);
        let value = work();
        let invalid = block_on(validation.pop());
        let full = block_on(memory.pop());
        let failed = block_on(internal.pop());
        invalid.or(full).or(failed).map_or(Ok(value), |why| Err(why.to_string()))
    }
}

fn failed(action: &'static str) -> impl FnOnce(String) -> Error {
    move |detail| Error::Device { action, detail }
}
