//! Multiplication on a graphics processor: its kernels are made for the format when they are needed.

use quantloom::gpu::wgpu::panels::Module;
use quantloom::gpu::wgpu::{Device, Held};
use quantloom::gpu::{Error, PanelKernels};
use quantloom::matmul::{Context, Request, Used, matmul};
use quantloom::pool::Pool;
use quantloom::registry::{self, Format, Numerics};
use quantloom::weights::Weights;
use quantloom_codegen::emit::device::{self, COLUMNS};
use quantloom_codegen::lower::class::Class;
use quantloom_codegen::lower::panels::interleave;

use super::failure::tell;

/// Multiplies on the device, or else on the processor, and says why. With what it ran, and on what.
pub fn multiply(
    weights: &Weights,
    x: &[f32],
    batch: usize,
    y: &mut [f32],
    request: &Request,
    pool: &Pool,
) -> quantloom::Result<(Used, Option<String>)> {
    match on_device(weights, x, batch, y, request, pool) {
        Ok(done) => done,
        Err(why) => {
            tell(&instead(&why));
            Ok((matmul(weights, x, batch, y, request, pool)?, None))
        }
    }
}

/// The line that says why the processor multiplies.
fn instead(why: &Error) -> String {
    // What compilers say has lines of its own.
    let why = why.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
    format!("the processor multiplies: {why}")
}

type Done = quantloom::Result<(Used, Option<String>)>;

/// What was done once the device holds the weights.
fn on_device(
    weights: &Weights,
    x: &[f32],
    batch: usize,
    y: &mut [f32],
    request: &Request,
    pool: &Pool,
) -> quantloom::gpu::Result<Done> {
    let device = Device::open()?;
    let module = Module::new(&device, kernels(weights.format())?)?;
    let mut held = Held::default();
    held.add(weights, &module)?;
    let used = matmul(weights, x, batch, y, request, Context::from(pool).on(&held));
    if let Some(why) = held.failure() {
        tell(&instead(&why));
    }
    Ok(used.map(|used| (used, used.on_device.then(|| device.name().to_owned()))))
}

/// The kernels of a format.
fn kernels(format: &'static Format) -> quantloom::gpu::Result<PanelKernels> {
    let refused = |log: String| Error::Compile { log };
    let card = registry::model(format).map_err(|why| refused(why.to_string()))?;
    let class = Class::of(card).map_err(|why| refused(why.to_string()))?;
    let made = device::module(card, "wgsl").map_err(|why| refused(why.to_string()))?;
    let activations = &made.manifest.activations;
    Ok(PanelKernels {
        interleave: interleave(&class),
        numerics: Numerics::ALL.into_iter().filter(|numerics| class.has(*numerics)).collect(),
        span: activations.span,
        step: activations.step,
        columns: COLUMNS.to_vec(),
        source: made.text,
    })
}
