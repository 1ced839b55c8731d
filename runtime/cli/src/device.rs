//! Multiplication on a graphics processor: its kernels are made for the format when they are needed.

#[cfg(feature = "cuda")]
use quantloom::gpu::cuda;
#[cfg(feature = "wgpu")]
use quantloom::gpu::wgpu;
use quantloom::gpu::{Error, Held, Module, PanelKernels};
use quantloom::matmul::{Context, Used};
use quantloom::pool::Pool;
use quantloom::registry::{self, Format};
use quantloom::weights::Weights;
use quantloom_codegen::emit::device;

use super::failure::tell;

/// What may multiply.
pub const NAMES: &[&str] = &[
    "cpu",
    #[cfg(feature = "wgpu")]
    "wgpu",
    #[cfg(feature = "cuda")]
    "cuda",
];

/// What ran, and on which device, if one did.
pub type Done = quantloom::Result<(Used, Option<String>)>;

/// Multiplies on the device that holds the weights, or else on the processor, and says why. The product is asked for in a context.
pub fn multiply(
    device: &str,
    weights: &Weights,
    pool: &Pool,
    mut product: impl FnMut(Context<'_>) -> quantloom::Result<Used>,
) -> Done {
    on_device(device, weights, pool, &mut product).unwrap_or_else(|why| {
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

/// What was done once a device of that name held the weights.
fn on_device(
    device: &str,
    weights: &Weights,
    pool: &Pool,
    product: &mut impl FnMut(Context<'_>) -> quantloom::Result<Used>,
) -> quantloom::gpu::Result<Done> {
    match device {
        #[cfg(feature = "wgpu")]
        "wgpu" => {
            let device = wgpu::Device::open()?;
            let module = wgpu::panels::Module::new(&device, kernels(weights.format(), "wgsl")?)?;
            by_module(&module, device.name(), weights, pool, product)
        }
        #[cfg(feature = "cuda")]
        "cuda" => {
            let (device, compiler) = (cuda::Device::open()?, cuda::Compiler::load()?);
            let kernels = kernels(weights.format(), "cuda")?;
            // SAFETY: they are as the generator has written them.
            let module = unsafe { cuda::panels::Module::new(&device, &compiler, kernels) }?;
            by_module(&module, device.name(), weights, pool, product)
        }
        other => unreachable!("no device is called {other}"),
    }
}

/// What was done once the device of a module, which is called so, held the weights.
fn by_module(
    module: &impl Module,
    name: &str,
    weights: &Weights,
    pool: &Pool,
    product: &mut impl FnMut(Context<'_>) -> quantloom::Result<Used>,
) -> quantloom::gpu::Result<Done> {
    let mut held = Held::default();
    held.add(weights, module)?;
    let used = product(Context::from(pool).on(&held));
    if let Some(why) = held.failure() {
        tell(&instead(&why));
    }
    Ok(used.map(|used| (used, used.on_device.then(|| name.to_owned()))))
}

/// The kernels of a format in a language.
fn kernels(format: &'static Format, language: &str) -> quantloom::gpu::Result<PanelKernels> {
    let refused = |log: String| Error::Compile { log };
    let card = registry::model(format).map_err(|why| refused(why.to_string()))?;
    device::panel_kernels(card, language).map_err(|why| refused(why.to_string()))
}
