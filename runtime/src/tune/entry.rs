//! What the tuner found out about one problem, and its text in the cache file.

use serde::{Deserialize, Serialize};

use super::{Digest, Key};
use crate::registry::{self, Kernel};

/// A choice, and the measurements behind it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The problem.
    #[serde(flatten)]
    pub key: Key,
    /// Name of the kernel that was chosen.
    pub kernel: String,
    /// The kernel's text when it was measured.
    pub kernel_hash: Digest,
    /// Median time of the kernel, in nanoseconds for all rows.
    pub median_ns: u64,
    /// Name of the kernel that runs when nothing has been measured.
    pub default: String,
    /// Median time of that kernel, in nanoseconds for all rows.
    pub default_ns: u64,
    /// How restless the machine was: of the default's times, the ninth decile over the first.
    pub spread: f64,
    /// Rounds that both were measured in.
    pub rounds: usize,
    /// Where the entry comes from.
    pub origin: Origin,
    /// Names of the kernels that gave wrong bits and may not be chosen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quarantined: Vec<String>,
}

/// Where an entry comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// Measured on this machine.
    Local,
    /// Taken over from another user's cache.
    Imported,
    /// Part of the program.
    Shipped,
}

impl Entry {
    /// The kernel that was chosen, if this build still has it with the same text and this processor runs it.
    #[must_use]
    pub fn kernel(&self) -> Option<&'static Kernel> {
        let Key { format, format_hash, numerics, isa, .. } = &self.key;
        let format = registry::formats().find(|known| known.name == format && Digest(known.hash) == *format_hash)?;
        registry::kernels(format).iter().find(|kernel| {
            kernel.name == self.kernel
                && Digest(kernel.hash) == self.kernel_hash
                && kernel.numerics == *numerics
                && kernel.isa.name == isa
                && (kernel.isa.available)()
        })
    }

    /// The entry's lines in the file of an environment.
    ///
    /// # Errors
    /// A number that TOML cannot hold.
    pub(super) fn to_toml(&self, environment: &str) -> Result<String, toml::ser::Error> {
        let text = toml::to_string(self)?;
        let check = Digest::of(&[environment, &text]);
        Ok(format!("{text}check = \"{check}\"\n"))
    }

    /// The entry of some lines, if they are as [`Entry::to_toml`] wrote them for this environment: not torn, edited or foreign.
    pub(super) fn from_toml(text: &str, environment: &str) -> Option<Self> {
        let Checked { entry, check } = toml::from_str(text).ok()?;
        let written = toml::to_string(&entry).ok()?;
        (Digest::of(&[environment, &written]) == check).then_some(entry)
    }
}

/// An entry as it is read.
#[derive(Deserialize)]
struct Checked {
    #[serde(flatten)]
    entry: Entry,
    check: Digest,
}
