//! CUDA modules: compiled at run time by NVRTC, which needs no device, and run where there is one.
//!
//! NVRTC is loaded when [`Compiler::load`] asks for it. The program starts and builds without it.

mod device;
pub mod panels;
mod report;

use std::ffi::{CStr, CString};

use cudarc::nvrtc::result::{self, NvrtcError};
use cudarc::nvrtc::sys;

use super::{Error, Result};
pub use device::Device;
pub use report::Resources;

/// Proof that NVRTC is there.
#[derive(Clone, Copy, Debug)]
pub struct Compiler(());

/// A module as machine code.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// The machine code.
    pub cubin: Vec<u8>,
    /// What the compiler said.
    pub log: String,
    /// What each kernel needs of a device.
    pub kernels: Vec<Resources>,
}

impl Compiler {
    /// Loads NVRTC.
    ///
    /// # Errors
    /// [`Error::Missing`] if the library is not found.
    pub fn load() -> Result<Self> {
        // SAFETY: it runs the library's initialisation, and NVRTC's has no requirements.
        if unsafe { sys::is_culib_present() } {
            return Ok(Self(()));
        }
        let remedy = "install it, for example as the Python package nvidia-cuda-nvrtc, and name its folder in LD_LIBRARY_PATH";
        Err(Error::Missing { what: "NVRTC library", remedy })
    }

    /// Compiles a module for an architecture, such as `sm_90`.
    ///
    /// # Errors
    /// [`Error::Compile`] if NVRTC rejects the module or does not know the architecture.
    pub fn compile(&self, source: &str, architecture: &str) -> Result<Compiled> {
        let text = |text: &str| CString::new(text).map_err(|why| Error::Compile { log: why.to_string() });
        let source = text(source)?;
        let options = [&format!("--gpu-architecture={architecture}"), "--std=c++17", "--ptxas-options=-v"];
        let options = options.into_iter().map(text).collect::<Result<Vec<_>>>()?;
        let program = Program::new(&source)?;
        let compiled = program.compile(&options);
        let log = program.log()?;
        if let Err(why) = compiled {
            return Err(Error::Compile { log: format!("{why}\n{log}") });
        }
        Ok(Compiled { cubin: program.cubin()?, kernels: report::resources(&log), log })
    }
}

/// NVRTC's handle of a source text.
struct Program<'a> {
    handle: sys::nvrtcProgram,
    /// The handle may refer to it.
    _source: &'a CStr,
}

impl<'a> Program<'a> {
    fn new(source: &'a CStr) -> Result<Self> {
        let handle = result::create_program(source, Some(c"quantloom.cu")).map_err(failed)?;
        Ok(Self { handle, _source: source })
    }

    fn compile(&self, options: &[CString]) -> Result<(), NvrtcError> {
        let options: Vec<Vec<u8>> = options.iter().map(|option| option.as_bytes().to_vec()).collect();
        // SAFETY: the handle is alive until `self` is dropped.
        unsafe { result::compile_program(self.handle, &options) }
    }

    fn log(&self) -> Result<String> {
        // SAFETY: as in `compile`.
        let log = unsafe { result::get_program_log(self.handle) }.map_err(failed)?;
        let bytes: Vec<u8> = log.into_iter().map(|byte| byte as u8).take_while(|&byte| byte != 0).collect();
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn cubin(&self) -> Result<Vec<u8>> {
        let mut size = 0;
        // SAFETY: the handle is alive as in `compile`, and `size` is written before it is read.
        unsafe { sys::nvrtcGetCUBINSize(self.handle, &raw mut size) }.result().map_err(failed)?;
        let mut cubin = vec![0_u8; size];
        // SAFETY: NVRTC writes `size` bytes, which `cubin` has.
        unsafe { sys::nvrtcGetCUBIN(self.handle, cubin.as_mut_ptr().cast()) }.result().map_err(failed)?;
        Ok(cubin)
    }
}

impl Drop for Program<'_> {
    fn drop(&mut self) {
        // SAFETY: nobody uses the handle after this. It fails only for a handle that is not one.
        let destroyed = unsafe { result::destroy_program(self.handle) };
        debug_assert!(destroyed.is_ok(), "{destroyed:?}");
    }
}

fn failed(why: NvrtcError) -> Error {
    Error::Compile { log: why.to_string() }
}
