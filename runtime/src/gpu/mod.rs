//! Graphics processors: hosts that run generated modules.
//!
//! A module is source text and what a host must know of it, [`PanelKernels`]. The hosts compile it when the program runs, so no compiler of a vendor
//! is needed to build this crate. They differ in how a device is asked; [`Held`] is what a [`crate::matmul::Context`] takes of any of them.

#[cfg(feature = "cuda")]
pub mod cuda;
mod held;
mod shape;
#[cfg(feature = "wgpu")]
pub mod wgpu;

pub use crate::kernels::abi::panels::PanelKernels;
use crate::registry::Numerics;

pub use held::Held;
pub use shape::{Around, Product, Schedule};

/// A result of a graphics processor's host.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A format's kernels on a device, which weights can be brought to.
pub trait Module {
    /// Brings `n` rows of `k` weights to the device: `packed` has the panels of 16 rows that a processor multiplies by.
    ///
    /// # Errors
    /// [`Error::Size`] if they are fewer, or more than the device takes; [`Error::Device`] if it has no room.
    fn bring(&self, packed: &[u8], n: usize, k: usize) -> Result<Box<dyn Multiply + '_>>;
}

/// Weights on a device.
pub trait Multiply: std::fmt::Debug + Send + Sync {
    /// `y = x * weights^T`: `x` is `[batch, K]`, `y` is `[batch, N]`. `false` if an activation is not finite, and the class quantises them: then `y`
    /// has nothing of worth.
    ///
    /// # Errors
    /// [`Error::Size`] if an array has another size, or the format has no such class; [`Error::Compile`] if a kernel does not compile;
    /// [`Error::Device`] if the device has no room, or fails.
    fn multiply(&self, x: &[f32], batch: usize, y: &mut [f32], numerics: Numerics) -> Result<bool>;
}

/// What can go wrong on a graphics processor.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is nothing to run on.
    #[error("no {what} was found: {remedy}")]
    Missing {
        /// What was looked for.
        what: &'static str,
        /// What to install.
        remedy: &'static str,
    },

    /// A compiler rejected a module.
    #[error("the module does not compile: {log}")]
    Compile {
        /// What the compiler said.
        log: String,
    },

    /// A device refused to do something.
    #[error("the device could not {action}: {detail}")]
    Device {
        /// What it was asked to do.
        action: &'static str,
        /// What it said.
        detail: String,
    },

    /// The sizes of a call do not fit each other or the device.
    #[error("{what}: {found} given, {wanted}")]
    Size {
        /// What has the wrong size.
        what: &'static str,
        /// Its size.
        found: usize,
        /// What is needed.
        wanted: String,
    },
}
