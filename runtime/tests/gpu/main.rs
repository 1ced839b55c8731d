//! Generated modules on graphics processors, or on what stands in for one.
//!
//! The tests are ignored where neither a device nor a compiler need be: `.ci/gpu` installs what they need, and runs them.
#![cfg(any(feature = "wgpu", feature = "cuda"))]

#[cfg(feature = "cuda")]
mod cuda;
#[path = "../support/matrices.rs"]
mod inputs;
#[cfg(feature = "cuda")]
mod panels;
#[cfg(feature = "cuda")]
#[path = "../simt/part.rs"]
mod part;
#[cfg(feature = "wgpu")]
mod products;
#[cfg(feature = "cuda")]
mod sass;
#[cfg(feature = "wgpu")]
mod support;
#[cfg(feature = "wgpu")]
mod wgpu;
