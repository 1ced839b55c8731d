//! Which kernel runs: the caller's, the tuner's, or the kernel card's default.

use super::{Request, Source, Used};
use crate::error::{Error, Result};
use crate::registry::{self, Isa, Kernel, Numerics};
use crate::tune;
use crate::weights::Weights;

/// Chooses the kernel for a batch.
///
/// # Errors
/// [`Error::NoKernel`] if nothing on this processor does what was asked.
pub fn select(weights: &Weights, batch: usize, request: &Request) -> Result<Used> {
    if let Some(kernel) = request.kernel {
        return if runs(kernel, weights, request) {
            Ok(Used { kernel, source: Source::Pin })
        } else {
            Err(no_kernel(weights, &format!("the variant {} here", kernel.name), request.numerics))
        };
    }
    let isa = request.isa.unwrap_or_else(registry::best_isa);
    let all = candidates(weights, request.numerics, isa)?;
    let threads = request.threads;
    if let Some((name, source)) = tune::choices().find(weights, batch, request.numerics, isa, threads)
        && let Some(kernel) = all.iter().copied().find(|kernel| kernel.name == name)
    {
        return Ok(Used { kernel, source });
    }
    Ok(Used { kernel: default(&all, batch), source: Source::Default })
}

/// Every kernel of a class and instruction set that runs on these weights on this processor, in card order; never empty.
///
/// # Errors
/// [`Error::NoKernel`] if there is none, or the processor lacks the instruction set.
pub fn candidates(weights: &Weights, numerics: Numerics, isa: &'static Isa) -> Result<Vec<&'static Kernel>> {
    let kernels = registry::kernels(weights.format()).iter();
    let kernels = kernels.filter(|kernel| kernel.numerics == numerics && kernel.isa.name == isa.name).collect::<Vec<_>>();
    if kernels.is_empty() || !(isa.available)() {
        return Err(no_kernel(weights, &format!("{numerics} on {} here", isa.name), numerics));
    }
    Ok(kernels)
}

/// The kernel that the card says is the default from the largest batch that is not larger than this one.
fn default(kernels: &[&'static Kernel], batch: usize) -> &'static Kernel {
    let reached = kernels.iter().filter(|kernel| kernel.batch.is_some_and(|from| from <= batch));
    reached.max_by_key(|kernel| kernel.batch).unwrap_or(&kernels[0])
}

fn runs(kernel: &Kernel, weights: &Weights, request: &Request) -> bool {
    let isa = request.isa.is_none_or(|isa| isa.name == kernel.isa.name);
    isa && kernel.format == weights.format().name && kernel.numerics == request.numerics && (kernel.isa.available)()
}

fn no_kernel(weights: &Weights, wanted: &str, numerics: Numerics) -> Error {
    let kernels = registry::kernels(weights.format()).iter();
    let available = kernels.filter(|kernel| kernel.numerics == numerics && (kernel.isa.available)());
    Error::NoKernel {
        format: weights.format().name.to_owned(),
        wanted: wanted.to_owned(),
        available: available.map(|kernel| kernel.name.to_owned()).collect(),
    }
}
