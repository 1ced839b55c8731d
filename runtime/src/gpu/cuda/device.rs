//! A device, and what is asked of it.

use std::sync::Arc;

use cudarc::driver::{CudaContext, CudaSlice, CudaStream, DeviceRepr, DriverError, ValidAsZeroBits, sys};

use crate::gpu::{Error, Result};

/// An open device.
#[derive(Debug)]
pub struct Device {
    name: String,
    pub(super) context: Arc<CudaContext>,
    pub(super) stream: Arc<CudaStream>,
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
        let name = context.name().map_err(failed("say what it is"))?;
        let stream = context.default_stream();
        Ok(Self { name, context, stream })
    }

    /// What the device calls itself.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The architecture to compile for.
    ///
    /// # Errors
    /// [`Error::Device`] if the device fails.
    pub fn architecture(&self) -> Result<String> {
        let (major, minor) = self.context.compute_capability().map_err(failed("say what it is"))?;
        Ok(format!("sm_{major}{minor}"))
    }

    /// A copy of `values`.
    pub(super) fn upload<T: DeviceRepr>(&self, values: &[T]) -> Result<CudaSlice<T>> {
        self.stream.clone_htod(values).map_err(failed("take the data"))
    }

    /// Room for at least so many values in a place where it is kept.
    pub(super) fn room<'s, T: DeviceRepr + ValidAsZeroBits>(
        &self,
        kept: &'s mut Option<CudaSlice<T>>,
        values: usize,
    ) -> Result<&'s mut CudaSlice<T>> {
        // What is too small goes before there is a larger one.
        kept.take_if(|kept| kept.len() < values);
        match kept {
            Some(kept) => Ok(kept),
            none => Ok(none.insert(self.stream.alloc_zeros(values).map_err(failed("allocate memory"))?)),
        }
    }
}

pub(super) fn failed(action: &'static str) -> impl FnOnce(DriverError) -> Error {
    move |why| Error::Device { action, detail: why.to_string() }
}
