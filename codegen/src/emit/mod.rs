//! From neutral form to source text, one module per target language.

pub mod cuda;
pub mod device;
pub mod gpu;
pub mod rust;
pub mod wgsl;
