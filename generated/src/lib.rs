//! The kernels that quantloom generates from its cards, and the registry that lists them.
//!
//! All of it is generated at build time; `tests/golden/` holds a readable sample. The types of the registry are those of [`abi`], the words
//! that kernels are written in those of [`lanes`].

/// The generated modules: one per format, per packed class, and per class, instruction set and numerics class.
#[allow(missing_docs, unused, clippy::all, clippy::pedantic)]
#[rustfmt::skip]
mod kernels {
    include!(concat!(env!("OUT_DIR"), "/root.rs"));
}

#[doc(hidden)]
pub use bytemuck;
pub use kernels::operations::OPERATIONS;
pub use kernels::registry::{FORMATS, ISAS, PROCESSORS, isas};
pub use quantloom_abi as abi;
pub use quantloom_abi::stored;
#[doc(hidden)]
pub use quantloom_simd::compiled_rows;
pub use quantloom_simd::{VOCABULARY, activations, lanes, rows, scalar, squares};
