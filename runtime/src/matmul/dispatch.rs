//! Which kernel runs: the caller's, or what a look-up finds.

use super::{Request, Source, Used};
use crate::error::{Error, Result};
use crate::machine::processor;
use crate::pool::Pool;
use crate::registry::{self, Format, Isa, Kernel, Numerics};
use crate::tune::{self, Key, Lookup};
use crate::weights::Weights;

/// Chooses the kernel for a batch on a pool.
///
/// # Errors
/// [`Error::NoClass`] if the format lacks the numerics class, [`Error::NoKernel`] if nothing on this processor does what was asked,
/// [`Error::Unfit`] if the kernel that is named does not, [`Error::Setting`] if the user's environment says what cannot be followed.
pub fn select(weights: &Weights, batch: usize, request: &Request<'_>, pool: &Pool) -> Result<Used> {
    let format = weights.format();
    let numerics = request.numerics_of(format);
    if let Some(launch) = request.launch {
        return match unfit(launch.kernel, format, numerics, request.isa) {
            None => Ok(Used { launch, source: Source::Pin }),
            Some(why) => Err(Error::Unfit { kernel: launch.kernel.name.to_owned(), why }),
        };
    }
    processor::here()?;
    let isa = request.isa_of(format);
    let choices = request.choices.unwrap_or_else(|| tune::choices());
    let key = Key::new(weights, batch, numerics, isa, request.threads_of(pool));
    // Pins depend on more than the key.
    let remembers = isa.is_available() && choices.pins()?.is_empty();
    if let Some((launch, source)) = remembers.then(|| choices.answer(&key, batch)).flatten() {
        return Ok(Used { launch, source });
    }
    let candidates = candidates(weights, numerics, isa)?;
    let (launch, source) = Lookup::new(choices, format, key.clone(), batch, request.isa, candidates).choose()?;
    if remembers {
        choices.keep_answer(&key, batch, (launch, source));
    }
    Ok(Used { launch, source })
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
