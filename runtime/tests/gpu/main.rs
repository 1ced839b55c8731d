//! Generated modules on graphics processors, or on what stands in for one.
//!
//! Without a device or a compiler a test says so and passes, unless `QUANTLOOM_REQUIRE_GPU_TESTS` is set.
#![cfg(any(feature = "wgpu", feature = "cuda"))]

#[cfg(feature = "cuda")]
mod cuda;
mod support;
#[cfg(feature = "wgpu")]
mod wgpu;
