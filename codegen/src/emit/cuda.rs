//! CUDA C++, for NVRTC without any header.
//!
//! `__fmul_rn`, `__fadd_rn` and `__fsub_rn` are never contracted, `__fmaf_rn` always rounds once, and without `--ftz=true`
//! subnormals are kept: nothing else is needed for equal bits.

use quantloom_spec::gpu::Dialect;

use super::gpu::{self, FloatOp, Language};
use crate::Error;
use crate::plan::PlannedFormat;

/// The skeleton of a module.
const TEMPLATE: &str = include_str!("../../templates/cuda.tera");

/// The CUDA C++ module of a format: see [`super::gpu`] for its entry points.
///
/// # Errors
/// The format's blocks straddle segments, or it stores integers of more than 32 bits.
pub fn module(format: &PlannedFormat, dialect: &Dialect) -> Result<String, Error> {
    gpu::module(format, dialect, &Cuda, TEMPLATE).map(|module| module.text)
}

struct Cuda;

impl Language for Cuda {
    fn bind(&self, kind: &str, name: &str, value: &str) -> String {
        format!("const {kind} {name} = {value};")
    }

    fn open_loop(&self, counter: &str, size: usize) -> String {
        format!("for (u32 {counter} = 0u; {counter} < {size}u; ++{counter}) {{")
    }

    fn float(&self, op: FloatOp, a: &str, b: &str) -> String {
        let function = match op {
            FloatOp::Mul => "__fmul_rn",
            FloatOp::Add => "__fadd_rn",
            FloatOp::Sub => "__fsub_rn",
        };
        format!("{function}({a}, {b})")
    }

    fn rounded(&self, value: &str) -> String {
        value.to_owned()
    }
}
