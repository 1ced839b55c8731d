//! Kernels that the user names, whatever was measured.

use std::collections::BTreeSet;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::matmul::Launch;
use crate::operation;
use crate::registry::{self, Format, Kernel};

use super::settings::PIN;

/// Kernels by format and operation: `format/operation=kernel`, several of them with commas between. A kernel is named in full, or
/// by what follows the format in its name, perhaps with arguments: see [`Launch`]. One that computes another numerics class than a call
/// asks for, or runs on another instruction set than the call names, says nothing about that call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pins {
    text: String,
    pins: Vec<Pin>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pin {
    format: String,
    kernel: String,
}

impl FromStr for Pins {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let pins = text.split(',').map(str::trim).filter(|pin| !pin.is_empty()).map(str::parse).collect::<Result<_, _>>()?;
        Ok(Self { text: text.to_owned(), pins })
    }
}

impl FromStr for Pin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('=').and_then(|(problem, kernel)| Some((problem.split_once('/')?, kernel)));
        let ((format, operation), kernel) = parts.ok_or_else(|| format!("{text:?} is not format/operation=kernel"))?;
        let known = operation::all().iter().map(|operation| operation.kernels).collect::<BTreeSet<_>>();
        if !known.contains(operation) {
            let known = known.into_iter().collect::<Vec<_>>().join(", ");
            return Err(format!("no kernels are for an operation {operation:?}; there is {known}"));
        }
        Ok(Self { format: format.to_owned(), kernel: kernel.to_owned() })
    }
}

impl Pins {
    /// What is named for a format.
    ///
    /// # Errors
    /// [`Error::Setting`] if any of the pins names a format or a kernel that does not exist, or that this processor does not run: to
    /// pass over it would compare what nobody meant to compare.
    pub fn launches(&self, format: &Format) -> Result<Vec<Launch>> {
        let mut launches = self.all()?;
        launches.retain(|launch| launch.kernel.format == format.name);
        Ok(launches)
    }

    /// What is named, for whatever format.
    ///
    /// # Errors
    /// As [`Pins::launches`].
    pub fn all(&self) -> Result<Vec<Launch>> {
        self.pins.iter().map(|pin| pin.launch().map_err(|detail| self.wrong(detail))).collect()
    }

    /// Whether nothing is pinned.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pins.is_empty()
    }

    fn wrong(&self, detail: String) -> Error {
        Error::Setting { variable: PIN, value: self.text.clone(), detail }
    }
}

impl Pin {
    fn launch(&self) -> Result<Launch, String> {
        let format = registry::format_by_name(&self.format).map_err(|error| error.to_string())?;
        let (name, arguments) = Launch::split(&self.kernel);
        let named = |kernel: &&Kernel| {
            let short = kernel.name.strip_prefix(kernel.format).and_then(|rest| rest.strip_prefix('.'));
            kernel.name == name || short == Some(name)
        };
        let kernel = registry::kernels(format).iter().find(named);
        let kernel = kernel.ok_or_else(|| format!("{} has no kernel {name:?}; name one of those that it has", format.name))?;
        if !kernel.isa().is_available() {
            return Err(format!("this processor does not run {}", kernel.name));
        }
        Launch::parse(kernel, arguments)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a_kernel() -> (&'static Format, &'static Kernel) {
        let format = registry::formats().find(|format| !registry::kernels(format).is_empty()).unwrap();
        (format, registry::kernels(format).iter().find(|kernel| kernel.isa().is_available()).unwrap())
    }

    #[test]
    fn a_kernel_is_named_in_full_or_without_its_format() {
        let (format, kernel) = a_kernel();
        let short = &kernel.name[format.name.len() + 1..];
        for name in [kernel.name, short] {
            let pins = format!(" {}/matmul={name} ,", format.name.to_lowercase()).parse::<Pins>().unwrap();
            assert_eq!(pins.launches(format).unwrap(), [Launch::of(kernel)]);
        }
        assert!("".parse::<Pins>().unwrap().is_empty());
    }

    #[test]
    fn what_cannot_be_followed_is_refused() {
        for wrong in ["x", "a/b", "a=b", "a/mul=b"] {
            assert!(wrong.parse::<Pins>().is_err(), "{wrong}");
        }
        let (format, kernel) = a_kernel();
        for wrong in [format!("none/matmul={}", kernel.name), format!("{}/matmul=none", format.name)] {
            let error = wrong.parse::<Pins>().unwrap().launches(format).unwrap_err().to_string();
            assert!(error.starts_with(PIN) && error.lines().count() == 1, "{error}");
        }
    }
}
