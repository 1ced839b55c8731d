//! From neutral form to source text, one module per kind of target.

pub mod device;
pub mod rust;
