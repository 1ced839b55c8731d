//! Which kernel runs: the caller's, or what somebody chooses.

use super::{Context, Request, Source, Used};
use crate::error::{Error, Result};
use crate::registry::{self, Format, Isa, Kernel, Numerics};
use crate::weights::{Shape, Weights};

/// Chooses the kernel for a batch: by some weights, or by what such weights would be.
///
/// # Errors
/// [`Error::NoClass`] if the format lacks the numerics class, [`Error::NoKernel`] if nothing on this processor does what was asked,
/// [`Error::Unfit`] if the kernel that is named does not, [`Error::Setting`] if the user's environment says what cannot be followed.
pub fn select<'c>(shape: impl Into<Shape>, batch: usize, request: &Request, context: impl Into<Context<'c>>) -> Result<Used> {
    let (shape, context) = (shape.into(), context.into());
    let format = shape.format;
    let (launch, source, asked) = match request.launch {
        Some(launch) => (launch, Source::Pin, request.isa),
        // Who chooses may fall back to another instruction set, but not to one that is not here.
        None => context.choose(shape, batch, request).map(|(launch, source)| (launch, source, None))?,
    };
    match unfit(launch.kernel, format, request.numerics_of(format), asked) {
        None => Ok(Used { launch, source, on_device: false }),
        Some(why) => Err(Error::Unfit { kernel: launch.kernel.name.to_owned(), why }),
    }
}

/// Every kernel of a class that an instruction set runs on these weights on this processor, in card order: its own, or those of its
/// base. Never empty.
///
/// # Errors
/// [`Error::NoClass`] if the format lacks the class, [`Error::NoKernel`] if the processor lacks the instruction set.
pub fn candidates(weights: &Weights, numerics: Numerics, isa: &'static Isa) -> Result<Vec<&'static Kernel>> {
    candidates_of(weights.format(), numerics, isa)
}

/// As [`candidates`], for any weights of a format.
///
/// # Errors
/// As [`candidates`].
pub fn candidates_of(format: &'static Format, numerics: Numerics, isa: &'static Isa) -> Result<Vec<&'static Kernel>> {
    let owner = registry::kernel_isa(format, numerics, isa);
    let kernels = registry::kernels(format).iter();
    let kernels = kernels.filter(|kernel| kernel.numerics == numerics && kernel.isa().name == owner.name).collect::<Vec<_>>();
    if kernels.is_empty() || !isa.is_available() {
        return Err(no_kernel(format, &format!("{numerics} on {} here", isa.name), numerics));
    }
    Ok(kernels)
}

/// Why a kernel that is named cannot do what is asked, if so: a class, for a format, on the instruction set that the caller names, if any.
fn unfit(kernel: &Kernel, format: &'static Format, numerics: Numerics, asked: Option<&'static Isa>) -> Option<String> {
    let (isa, class) = (kernel.isa().name, kernel.numerics);
    if kernel.format != format.name {
        return Some(format!("is for weights in {}, and these are in {}; name one of theirs", kernel.format, format.name));
    }
    if class != numerics {
        return Some(format!("computes {class}, and {numerics} was asked for; ask for one of the two alone"));
    }
    if let Some(asked) = asked.filter(|asked| registry::kernel_isa(format, class, asked).name != isa) {
        return Some(format!("is for {isa}, and {} was asked for; ask for one of the two alone", asked.name));
    }
    let missing = || format!("needs {isa}, which this processor lacks; name one of {} that runs here", format.name);
    (!kernel.isa().is_available()).then(missing)
}

fn no_kernel(format: &Format, wanted: &str, numerics: Numerics) -> Error {
    let classes = registry::numerics(format);
    if !classes.is_empty() && !classes.contains(&numerics) {
        let classes = classes.into_iter().map(|class| class.name().to_owned()).collect();
        return Error::NoClass { format: format.name.to_owned(), wanted: numerics.name().to_owned(), classes };
    }
    let available = || registry::kernels(format).iter().filter(|kernel| kernel.isa().is_available());
    let of_class = available().filter(|kernel| kernel.numerics == numerics).collect::<Vec<_>>();
    let instead = if of_class.is_empty() { available().collect() } else { of_class };
    registry::no_kernel(format, wanted, instead)
}
