//! What generated code refers to: the types of the registry, and the words that kernels are written in. The crate `quantloom-kernels`
//! documents them.

#[doc(inline)]
pub use quantloom_kernels::abi;
#[doc(hidden)]
pub use quantloom_kernels::bytemuck;
#[doc(no_inline)]
pub use quantloom_kernels::{FORMATS, ISAS, OPERATIONS, PROCESSORS, VOCABULARY, activations, isas, lanes, scalar, stored};
