//! Language models: what they compute, what they write, and what is refused.

mod architectures;
mod bits;
mod common;
mod evaluation;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod floats;
mod generation;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[path = "../../../tests/support/mode.rs"]
mod mode;
mod refused;
mod rustbook;
mod saved;
mod text;
mod tiny;
