//! Multiplication on a graphics processor: its kernels are made for the format when they are needed.

use quantloom::gpu::wgpu::panels::Module;
use quantloom::gpu::wgpu::{Device, Held};
use quantloom::gpu::{Error, PanelKernels};
use quantloom::matmul::{Context, Used};
use quantloom::pool::Pool;
use quantloom::registry::{self, Format};
use quantloom::weights::Weights;
use quantloom_codegen::emit::device;

use super::failure::tell;

/// What ran, and on which device, if one did.
pub type Done = quantloom::Result<(Used, Option<String>)>;

/// Multiplies on the device that holds the weights, or else on the processor, and says why. The product is asked for in a context.
pub fn multiply(weights: &Weights, pool: &Pool, mut product: impl FnMut(Context<'_>) -> quantloom::Result<Used>) -> Done {
    on_device(weights, pool, &mut product).unwrap_or_else(|why| {
        tell(&instead(&why));
        Ok((product(pool.into())?, None))
    })
}

/// The line that says why the processor multiplies.
fn instead(why: &Error) -> String {
    // What compilers say has lines of its own.
    let why = why.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
    format!("the processor multiplies: {why}")
}

/// What was done once the device held the weights.
fn on_device(
    weights: &Weights,
    pool: &Pool,
    product: &mut impl FnMut(Context<'_>) -> quantloom::Result<Used>,
) -> quantloom::gpu::Result<Done> {
    let device = Device::open()?;
    let module = Module::new(&device, kernels(weights.format())?)?;
    let mut held = Held::default();
    held.add(weights, &module)?;
    let used = product(Context::from(pool).on(&held));
    if let Some(why) = held.failure() {
        tell(&instead(&why));
    }
    Ok(used.map(|used| (used, used.on_device.then(|| device.name().to_owned()))))
}

/// The kernels of a format.
fn kernels(format: &'static Format) -> quantloom::gpu::Result<PanelKernels> {
    let refused = |log: String| Error::Compile { log };
    let card = registry::model(format).map_err(|why| refused(why.to_string()))?;
    device::panel_kernels(card, "wgsl").map_err(|why| refused(why.to_string()))
}
