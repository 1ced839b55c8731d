//! What generated kernels, packers and decoders are written in: vector instructions by instruction set, numbers from stored bits, and the
//! quantising of activations, which is compiled for each instruction set.
//!
//! Almost every function is inlined into its caller, and needs the features that the caller has.

pub mod activations;
pub mod lanes;
pub mod rows;
pub mod scalar;
pub mod squares;

#[doc(hidden)]
pub use quantloom_abi as abi;

/// Changes when the sources of this crate change: the words that kernels are made of.
pub const VOCABULARY: u64 = match u64::from_str_radix(env!("QUANTLOOM_VOCABULARY"), 16) {
    Ok(hash) => hash,
    Err(_) => panic!("the build script writes hexadecimal digits"),
};
