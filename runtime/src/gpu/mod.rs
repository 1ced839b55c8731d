//! Graphics processors: hosts that run generated modules.
//!
//! A module is source text with three entry points, `decode`, `gemv_exact` and `reduce`; [`Kernels`] is that text with the sizes
//! it was generated with. The hosts compile it when the program runs, so no compiler of a vendor is needed to build this crate.

#[cfg(feature = "cuda")]
pub mod cuda;
mod shape;
#[cfg(feature = "wgpu")]
pub mod wgpu;

use crate::gguf::BlockShape;
pub use crate::kernels::abi::panels::PanelKernels;

pub use shape::Shape;

/// A result of a graphics processor's host.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A generated module and the sizes it was generated with.
#[derive(Clone, Copy, Debug)]
pub struct Kernels<'a> {
    /// The source text.
    pub source: &'a str,
    /// The words of its lookup tables, if the language binds them from outside and the format has any.
    pub tables: &'a [u32],
    /// The stored block.
    pub block: BlockShape,
    /// Threads of a group.
    pub workgroup: usize,
    /// Weights of a segment: a multiple of the block's.
    pub segment: usize,
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
