//! An OpenCL device, and what is asked of it.

use std::ffi::c_void;
use std::sync::{Mutex, MutexGuard, PoisonError};

use opencl3::command_queue::CommandQueue;
use opencl3::context::Context;
use opencl3::device::{CL_DEVICE_TYPE_ALL, Device, get_all_devices};
use opencl3::kernel::{ExecuteKernel, Kernel};
use opencl3::memory::{Buffer, CL_MEM_COPY_HOST_PTR, CL_MEM_READ_WRITE};
use opencl3::program::Program;
use opencl3::types::CL_TRUE;

/// One test at a time: PoCL's compiler is not to be called by several threads.
static TURN: Mutex<()> = Mutex::new(());

/// The first device.
pub struct Cl {
    _turn: MutexGuard<'static, ()>,
    context: Context,
    queue: CommandQueue,
}

/// A compiled module.
pub struct Compiled<'a> {
    cl: &'a Cl,
    program: Program,
}

/// What a kernel is given.
pub enum Argument<'a> {
    Memory(&'a Memory),
    Number(usize),
}

/// Bytes on the device.
pub struct Memory {
    buffer: Buffer<u8>,
    bytes: usize,
}

impl Cl {
    pub fn open() -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let devices = get_all_devices(CL_DEVICE_TYPE_ALL).unwrap_or_default();
        let first = *devices.first().expect("an OpenCL runtime, as the Debian package pocl-opencl-icd is one");
        let device = Device::new(first);
        println!("{}", device.name().unwrap());
        let context = Context::from_device(&device).unwrap();
        let queue = CommandQueue::create_default(&context, 0).unwrap();
        Self { _turn: turn, context, queue }
    }

    pub fn compile(&self, text: &str) -> Compiled<'_> {
        self.try_compile(text).unwrap_or_else(|log| panic!("{log}"))
    }

    /// Compiles a text, or says what the compiler said.
    pub fn try_compile(&self, text: &str) -> Result<Compiled<'_>, String> {
        let program = Program::create_and_build_from_source(&self.context, text, "-cl-std=CL1.2")?;
        Ok(Compiled { cl: self, program })
    }

    /// Memory with these items.
    pub fn put<T: bytemuck::Pod>(&self, items: &[T]) -> Memory {
        let mut bytes = bytemuck::cast_slice::<T, u8>(items).to_vec();
        // A buffer is never empty.
        bytes.resize(bytes.len().max(16), 0);
        let (flags, from) = (CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, bytes.as_mut_ptr().cast::<c_void>());
        // SAFETY: `from` points to as many bytes, which are copied before the call returns.
        let buffer = unsafe { Buffer::create(&self.context, flags, bytes.len(), from) }.unwrap();
        Memory { buffer, bytes: size_of_val(items) }
    }

    /// Memory for so many items, all bits set.
    pub fn room<T: bytemuck::Pod>(&self, items: usize) -> Memory {
        self.put(&vec![0xff_u8; items * size_of::<T>()])
    }

    pub fn get<T: bytemuck::Pod>(&self, memory: &Memory) -> Vec<T> {
        let mut bytes = vec![0_u8; memory.bytes];
        if !bytes.is_empty() {
            // SAFETY: the read has ended when the call returns, and the buffer has at least as many bytes.
            unsafe { self.queue.enqueue_read_buffer(&memory.buffer, CL_TRUE, 0, &mut bytes, &[]) }.unwrap();
        }
        bytes.chunks_exact(size_of::<T>()).map(bytemuck::pod_read_unaligned).collect()
    }
}

impl Compiled<'_> {
    /// Runs a kernel with so many groups along each axis.
    pub fn run(&self, name: &str, block: usize, groups: [usize; 3], arguments: &[Argument<'_>]) {
        let kernel = Kernel::create(&self.program, name).unwrap_or_else(|why| panic!("{name}: {why}"));
        let mut call = ExecuteKernel::new(&kernel);
        for argument in arguments {
            match argument {
                // SAFETY: the kernel's parameter is a pointer to memory of the device.
                Argument::Memory(memory) => unsafe { call.set_arg(&memory.buffer) },
                // SAFETY: the kernel's parameter is an unsigned integer of 32 bits.
                Argument::Number(number) => unsafe { call.set_arg(&u32::try_from(*number).unwrap()) },
            };
        }
        call.set_global_work_sizes(&[groups[0] * block, groups[1], groups[2]]).set_local_work_sizes(&[block, 1, 1]);
        // SAFETY: the buffers have what the manifest says that the kernel reads and writes; tests that read what others wrote see it if they do not.
        unsafe { call.enqueue_nd_range(&self.cl.queue) }.unwrap_or_else(|why| panic!("{name}: {why}"));
        self.cl.queue.finish().unwrap();
    }
}
