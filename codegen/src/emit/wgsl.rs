//! WGSL, the shading language of WebGPU.
//!
//! WGSL promises little of f32: an operation rounds either way, operations may be fused or put in another order if that is at
//! least as accurate, zeros may lose their sign and subnormals become zeros, and `fma` may round twice, which it does on Mesa's
//! processor emulation. Devices round to nearest even. The rest is forced:
//!
//! - a rounded value passes through an integer operation with a number of the launch before it is used again;
//! - sums start from a zero of the launch;
//! - half precision is converted by its bits;
//! - where `fma` rounds twice, the host asks for one made of integers with the pipeline constant `NATIVE_FMA`.
//!
//! What cannot be forced is that products and sums below 2^-126 keep their bits: a device that flushes them differs there.

use quantloom_spec::gpu::Dialect;

use super::gpu::{self, FloatOp, Language, Module};
use crate::Error;
use crate::plan::PlannedFormat;

/// The skeleton of a module.
const TEMPLATE: &str = concat!(include_str!("../../templates/wgsl.tera"), include_str!("../../templates/wgsl_fma.tera"));

/// The WGSL module of a format: see [`super::gpu`] for its entry points.
///
/// # Errors
/// The format's blocks straddle segments, or it stores integers of more than 32 bits.
pub fn module(format: &PlannedFormat, dialect: &Dialect) -> Result<Module, Error> {
    gpu::module(format, dialect, &Wgsl, TEMPLATE)
}

struct Wgsl;

impl Language for Wgsl {
    fn bind(&self, _kind: &str, name: &str, value: &str) -> String {
        format!("let {name} = {value};")
    }

    fn open_loop(&self, counter: &str, size: usize) -> String {
        format!("for (var {counter} = 0u; {counter} < {size}u; {counter}++) {{")
    }

    fn float(&self, op: FloatOp, a: &str, b: &str) -> String {
        let sign = match op {
            FloatOp::Mul => '*',
            FloatOp::Add => '+',
            FloatOp::Sub => '-',
        };
        format!("{a} {sign} {b}")
    }

    fn rounded(&self, value: &str) -> String {
        format!("rounded({value})")
    }
}
