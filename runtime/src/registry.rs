//! Look-ups in the registry, the only list of formats, instruction sets and kernels: what quantloom was built with, and what
//! [`register`] added since.

use std::collections::BTreeMap;
use std::ptr;
use std::sync::{Mutex, PoisonError, RwLock};

pub use quantloom_kernels::abi::{Class, Dot, Format, Isa, Kernel, Numerics, Packed, Schedule};
use quantloom_kernels::{FORMATS, ISAS};
use quantloom_spec::{Diagnostics, model, read_member};

use crate::error::{Error, Result, suggest};

/// The environment variable that names formats to build kernels of, separated by commas, where not every build has them.
pub const ASKED: &str = "QUANTLOOM_FORMATS";

/// The formats of other crates, in the order of their registration.
static REGISTERED: RwLock<Vec<&'static Format>> = RwLock::new(Vec::new());

/// Every format: those that quantloom was built with in the order of their cards' file names, then those that were registered.
pub fn formats() -> impl Iterator<Item = &'static Format> {
    let registered = REGISTERED.read().unwrap_or_else(PoisonError::into_inner).clone();
    FORMATS.iter().copied().chain(registered)
}

/// Adds the formats of another crate: from now on look-ups find them, and the tuner's cache holds for them. Formats that have been
/// registered before may be given again.
///
/// # Errors
/// [`Error::AlreadyRegistered`] if one has the name, in any case, or the GGUF type number of another. Then none is added.
pub fn register(formats: &[&'static Format]) -> Result<()> {
    let mut registered = REGISTERED.write().unwrap_or_else(PoisonError::into_inner);
    let mut all = registered.clone();
    for &format in formats {
        let known = || FORMATS.iter().chain(&all).copied();
        if known().any(|known| std::ptr::eq(known, format)) {
            continue;
        }
        if let Some((other, key)) = known().find_map(|known| Some((known, shared_key(known, format)?))) {
            return Err(Error::AlreadyRegistered { format: format.name.to_owned(), other: other.name.to_owned(), key });
        }
        all.push(format);
    }
    *registered = all;
    Ok(())
}

/// The key that two formats must not share, but do.
fn shared_key(one: &Format, other: &Format) -> Option<&'static str> {
    if one.name.eq_ignore_ascii_case(other.name) {
        return Some("name");
    }
    (one.gguf.is_some() && one.gguf == other.gguf).then_some("gguf")
}

/// The checked card of a format, which says what its bits are and mean: what encoders are made from, and what tests hold everything to. It is
/// read from the texts that the row of the registry holds, once in a process. Nothing that multiplies, packs or decodes asks for it.
///
/// # Errors
/// Never for a row that was generated with this version: its card has been checked.
pub fn model(format: &'static Format) -> Result<&'static model::Format, Diagnostics> {
    /// By the place of their row.
    static READ: Mutex<BTreeMap<usize, &'static model::Format>> = Mutex::new(BTreeMap::new());
    let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
    let row = ptr::from_ref(format).addr();
    if let Some(known) = read.get(&row) {
        return Ok(known);
    }
    let tables = format.tables.iter().map(|table| (table.name.to_owned(), table.text.to_owned()));
    let model = read_member(format.name, format.card, format.name, &tables.collect::<BTreeMap<_, _>>())?;
    Ok(read.entry(row).or_insert(Box::leak(Box::new(model))))
}

/// Every instruction set that kernels exist for on this architecture, lowest rank first, whether this processor has it or not.
#[must_use]
pub fn isas() -> &'static [&'static Isa] {
    ISAS
}

/// The format of that name, without regard to case.
///
/// # Errors
/// [`Error::UnknownFormat`] with the nearest names.
pub fn format_by_name(name: &str) -> Result<&'static Format> {
    formats().find(|format| format.name.eq_ignore_ascii_case(name)).ok_or_else(|| Error::UnknownFormat {
        name: name.to_owned(),
        hint: suggest(name, formats().map(|format| format.name), "name one that is registered"),
    })
}

/// The format with that type number in GGUF files.
#[must_use]
pub fn format_by_gguf(kind: u32) -> Option<&'static Format> {
    formats().find(|format| format.gguf == Some(kind))
}

/// The kernel of that name, as `quantloom explain` prints it and [`Kernel::name`] has it.
///
/// ```
/// use quantloom::registry;
///
/// # fn main() -> quantloom::Result<()> {
/// let kernel = registry::formats().flat_map(registry::kernels).next().expect("a build with kernels");
/// assert!(std::ptr::eq(registry::kernel_by_name(kernel.name)?, kernel));
/// assert!(registry::kernel_by_name("no such kernel").is_err());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::UnknownKernel`] with the nearest names.
pub fn kernel_by_name(name: &str) -> Result<&'static Kernel> {
    let all = || formats().flat_map(kernels);
    all().find(|kernel| kernel.name == name).ok_or_else(|| Error::UnknownKernel {
        name: name.to_owned(),
        hint: suggest(name, all().map(|kernel| kernel.name), "name one of a format that is registered"),
    })
}

/// The instruction set of that name.
///
/// # Errors
/// [`Error::UnknownIsa`] with the names that exist.
pub fn isa_by_name(name: &str) -> Result<&'static Isa> {
    isas().iter().copied().find(|isa| isa.name.eq_ignore_ascii_case(name)).ok_or_else(|| {
        let names = isas().iter().map(|isa| isa.name).collect::<Vec<_>>();
        Error::UnknownIsa { name: name.to_owned(), hint: format!("there is {}", names.join(", ")) }
    })
}

/// The instruction set of the highest rank that this processor has.
#[must_use]
pub fn best_isa() -> &'static Isa {
    let available = isas().iter().rev().copied().find(|isa| isa.is_available());
    available.unwrap_or(isas()[0])
}

/// The instruction set of the highest rank that this processor has and the format has kernels for; [`best_isa`] if there is none.
#[must_use]
pub fn best_isa_of(format: &Format) -> &'static Isa {
    // Kernels are in the order of their instruction sets, so that the last one usually tells.
    let has_kernels = |isa: &Isa| kernels(format).iter().rev().any(|kernel| std::ptr::eq(kernel.isa(), isa));
    let available = isas().iter().rev().copied().find(|isa| isa.is_available() && has_kernels(isa));
    available.unwrap_or_else(best_isa)
}

/// The instruction set whose kernels `isa` runs for a format and numerics class: itself, or else the nearest of its bases that has any.
/// Itself if none has.
#[must_use]
pub fn kernel_isa(format: &Format, numerics: Numerics, isa: &'static Isa) -> &'static Isa {
    let has_kernels =
        |isa: &&Isa| kernels(format).iter().rev().any(|kernel| kernel.numerics == numerics && std::ptr::eq(kernel.isa(), *isa));
    isa.lineage().find(has_kernels).unwrap_or(isa)
}

/// The kernels of a format, in card order.
#[must_use]
pub fn kernels(format: &Format) -> &'static [Kernel] {
    format.packed.as_ref().map_or(&[], |packed| packed.kernels)
}

/// Kernels that a message lists, at most.
const LISTED: usize = 8;

/// The error about kernels of a format that there are not; `wanted` is a class or a name, `available` what could be asked for instead.
#[must_use]
pub fn no_kernel<'k>(format: &Format, wanted: impl Into<String>, available: impl IntoIterator<Item = &'k Kernel>) -> Error {
    let names = available.into_iter().map(|kernel| kernel.name).collect::<Vec<_>>();
    let name = format.name;
    let hint = match &names[..] {
        [] if format.on_demand => {
            format!("this build left its kernels out: build again with {ASKED}={name} in the environment")
        }
        [] => "it has none at all: take a format that has some".to_owned(),
        all if all.len() <= LISTED => format!("there is {}", all.join(", ")),
        all => {
            let (first, more) = all.split_at(LISTED);
            format!("there is {} and {} more of them", first.join(", "), more.len())
        }
    };
    Error::NoKernel { format: name.to_owned(), wanted: wanted.into(), hint }
}

/// The numerics classes that a format has kernels for.
#[must_use]
pub fn numerics(format: &Format) -> Vec<Numerics> {
    let has = |numerics: &Numerics| kernels(format).iter().any(|kernel| kernel.numerics == *numerics);
    Numerics::ALL.into_iter().filter(has).collect()
}

/// The class to use when nobody names one: `int8` if the format has it.
#[must_use]
pub fn default_numerics(format: &Format) -> Numerics {
    if numerics(format).contains(&Numerics::Int8) { Numerics::Int8 } else { Numerics::Exact }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_without_regard_to_case() {
        for format in formats() {
            assert!(std::ptr::eq(format_by_name(&format.name.to_lowercase()).unwrap(), format));
            assert!(std::ptr::eq(format_by_name(&format.name.to_uppercase()).unwrap(), format));
            assert!(format.gguf.is_none_or(|kind| std::ptr::eq(format_by_gguf(kind).unwrap(), format)));
        }
    }

    #[test]
    fn every_kernel_name_is_its_own_and_says_what_it_is() {
        let mut seen = std::collections::BTreeSet::new();
        for kernel in formats().flat_map(kernels) {
            assert!(seen.insert(kernel.name), "{} twice", kernel.name);
            let parts = kernel.name.split('.').collect::<Vec<_>>();
            assert_eq!(parts[..4], [kernel.format, parts[1], kernel.numerics.name(), kernel.isa().name]);
            assert!(parts[4].starts_with(&format!("r{}c{}", kernel.rows, kernel.cols)), "{}", kernel.name);
        }
    }

    #[test]
    fn what_there_is_instead_is_listed() {
        let format = formats().find(|format| !kernels(format).is_empty()).unwrap();
        let name = kernels(format)[0].name;
        let told = |count| no_kernel(format, "it", kernels(format).iter().cycle().take(count)).to_string();
        assert!(told(0).ends_with("has no kernel for it; it has none at all: take a format that has some"), "{}", told(0));
        assert!(told(1).ends_with(&format!("; there is {name}")), "{}", told(1));
        assert_eq!((told(8).split(", ").count(), told(10).split(", ").count()), (8, 8));
        assert!(told(10).ends_with(" and 2 more of them"), "{}", told(10));
    }

    #[test]
    fn the_lowest_instruction_set_runs_everywhere() {
        assert!(isas()[0].is_available());
        assert!(isas().is_sorted_by_key(|isa| isa.rank));
    }
}
