//! What is known of the machine: its processor ([`Facts`]), the card that describes it ([`processor`]), and how fast that can possibly
//! go ([`Ceilings`], which a [`Gauge`] measures).

#[cfg(target_arch = "aarch64")]
mod arm;
mod caches;
pub mod ceilings;
mod cores;
mod floats;
mod gauge;
mod identity;
mod memory;
#[cfg(any(test, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
mod portable;
mod probe;
pub mod processor;
mod race;
mod steadiness;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use caches::Caches;
pub use ceilings::Ceilings;
pub use floats::StandardFloats;
pub use gauge::Gauge;
pub use steadiness::{Spread, Steadiness};

use std::num::NonZero;
use std::thread;

use identity::Identity;

/// The processor that this process runs on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The name that its maker gave it, or `unknown`.
    pub processor: String,
    /// Its maker: `GenuineIntel` on x86, an implementer code such as `0x41` on ARM, `Apple` on macOS, or `unknown`.
    pub vendor: String,
    /// Its family; the architecture version on ARM; 0 where unknown.
    pub family: u32,
    /// Its model; the part number on ARM; 0 where unknown.
    pub model: u32,
    /// Its stepping; the variant (high nibble) and revision on ARM; 0 where unknown.
    pub stepping: u32,
    /// The caches of its first core.
    pub caches: Caches,
    /// Threads that it can run at once for this process.
    pub logical_cores: usize,
}

impl Facts {
    /// Asks the processor and the operating system. What neither tells is `unknown`, 0, or a modest guess.
    #[must_use]
    pub fn detect() -> Self {
        let identity = Identity::detect();
        Self {
            processor: identity.name,
            vendor: identity.vendor,
            family: identity.family,
            model: identity.model,
            stepping: identity.stepping,
            caches: Caches::detect(),
            logical_cores: logical_cores(),
        }
    }

    /// A key for results that hold on machines like this one: vendor, family, model, stepping, cache sizes, and the `isas` that
    /// the caller can use, in any order. One word without spaces, the same on every run.
    ///
    /// What may change without changing the speed of a kernel is left out: the name, the number of cores, the clock.
    #[must_use]
    pub fn fingerprint(&self, isas: &[&str]) -> String {
        let mut isas = isas.to_vec();
        isas.sort_unstable();
        isas.dedup();
        let Self { vendor, family, model, stepping, caches, .. } = self;
        let [l1d, l2, l3] = [caches.l1d, caches.l2, caches.l3].map(|bytes| bytes >> 10);
        let vendor: String = vendor.split_whitespace().collect();
        format!("{vendor}-{family}-{model}-{stepping};{l1d}K-{l2}K-{l3}K;{}", isas.join("+"))
    }
}

/// Threads that the processor can run at once for this process.
fn logical_cores() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}
