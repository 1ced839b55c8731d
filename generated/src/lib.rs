//! The kernels that quantloom generates from its cards, and the registry that lists them.
//!
//! Everything but the vocabulary of [`lanes`] and the types of [`abi`] is generated at build time; `tests/golden/`
//! holds a readable sample.

pub mod abi;
pub mod activations;
pub mod lanes;
pub mod rows;
pub mod scalar;
pub mod stored;

/// The generated modules: one per format, per packed class, and per class, instruction set and numerics class.
#[allow(missing_docs, unused, clippy::all, clippy::pedantic)]
#[rustfmt::skip]
mod kernels {
    include!(concat!(env!("OUT_DIR"), "/root.rs"));
}

/// Changes when this crate's hand-written sources change: the words that kernels are made of.
pub const VOCABULARY: u64 = match u64::from_str_radix(env!("QUANTLOOM_VOCABULARY"), 16) {
    Ok(hash) => hash,
    Err(_) => panic!("the build script writes hexadecimal digits"),
};

#[doc(hidden)]
pub use bytemuck;
pub use kernels::operations::OPERATIONS;
pub use kernels::registry::{FORMATS, ISAS, PROCESSORS, isas};
