//! What the tuner found out about one problem, and its text in the cache file.

use quantloom_spec::text::is_unseen;
use serde::{Deserialize, Serialize};

use super::{Digest, Key, Record};
use crate::limits::{BATCH, COLUMNS, ROWS, THREADS};
use crate::matmul::Launch;
use crate::registry;

/// A choice, and the measurements behind it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The problem.
    #[serde(flatten)]
    pub key: Key,
    /// The kernel that was chosen and its arguments: see [`Launch`].
    pub kernel: String,
    /// The kernel's text when it was measured.
    pub kernel_hash: Digest,
    /// What runs when nothing has been measured.
    pub default: String,
    /// The batch size that was measured.
    pub measured: usize,
    /// How restless the machine was: of the default's times, the ninth decile over the first.
    pub spread: f64,
    /// How thoroughly it was measured.
    pub effort: Effort,
    /// Where the entry comes from.
    pub origin: Origin,
    /// The program and the system that measured: see [`super::system`]. Another one is no reason to measure again at once.
    pub system: String,
    /// What was measured, in card order.
    pub times: Vec<Time>,
}

/// How thoroughly a problem is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effort {
    /// The candidates that the cost model thinks best, the default, and one besides.
    Quick,
    /// Every candidate, and more rounds.
    Full,
}

impl Effort {
    /// All levels, the least first.
    pub const ALL: [Self; 2] = [Self::Quick, Self::Full];

    /// Rounds of a race that goes to its end.
    #[must_use]
    pub const fn rounds(self) -> usize {
        match self {
            Self::Quick => 4,
            Self::Full => 6,
        }
    }

    /// The word that is read and printed.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Full => "full",
        }
    }
}

/// What one candidate took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Time {
    /// The kernel and its arguments.
    pub kernel: String,
    /// Its median, in nanoseconds for all rows.
    pub ns: u64,
    /// The median of its times over those of the default in the same rounds, to three decimals: below 1 is faster.
    pub ratio: f64,
    /// Rounds until it dropped out.
    pub rounds: usize,
}

impl Time {
    /// The name of the kernel.
    #[must_use]
    pub fn name(&self) -> &str {
        Launch::split(&self.kernel).0
    }
}

impl From<Time> for String {
    /// One line: a whole entry stays readable.
    fn from(Time { kernel, ns, ratio, rounds }: Time) -> Self {
        format!("{kernel} {ns} ns {ratio:.3} {rounds}")
    }
}

impl TryFrom<String> for Time {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let parse = || {
            let [kernel, ns, "ns", ratio, rounds] = text.split(' ').collect::<Vec<_>>()[..] else { return None };
            let ratio = ratio.parse().ok().filter(|ratio: &f64| ratio.is_finite() && *ratio > 0.0)?;
            Some(Self { kernel: kernel.to_owned(), ns: ns.parse().ok()?, ratio, rounds: rounds.parse().ok()? })
        };
        parse().ok_or("not a kernel and its times")
    }
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

impl Origin {
    /// The word that is read and printed.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Imported => "imported",
            Self::Shipped => "shipped",
        }
    }
}

impl Entry {
    /// What the kernel that was chosen took, unless it could not be measured.
    #[must_use]
    pub fn time(&self) -> Option<&Time> {
        self.time_of(&self.kernel)
    }

    /// What a kernel took with some arguments, if that was measured.
    #[must_use]
    pub fn time_of(&self, kernel: &str) -> Option<&Time> {
        self.times.iter().find(|time| time.kernel == kernel)
    }

    /// What a kernel took: with the arguments that were chosen, if it was, or else with those of its card, which come first.
    #[must_use]
    pub fn time_of_kernel(&self, name: &str) -> Option<&Time> {
        let first = || self.times.iter().find(|time| time.name() == name);
        self.time().filter(|time| time.name() == name).or_else(first)
    }

    /// The name of the kernel that was chosen.
    #[must_use]
    pub fn name(&self) -> &str {
        Launch::split(&self.kernel).0
    }

    /// What was chosen, if this build still has the kernel with the same text and this processor runs it.
    #[must_use]
    pub fn launch(&self) -> Option<Launch> {
        let (name, arguments) = Launch::split(&self.kernel);
        let Key { format, code, numerics, isa, .. } = &self.key;
        let format = registry::formats().find(|known| known.name == format && Key::code_of(known) == *code)?;
        let kernel = registry::kernels(format).iter().find(|kernel| {
            kernel.name == name
                && Digest(kernel.hash) == self.kernel_hash
                && kernel.numerics == *numerics
                && kernel.isa().name == isa
                && kernel.isa().is_available()
        })?;
        Launch::parse(kernel, arguments).ok()
    }
}

/// The longest name and the longest list of times that an entry has, the longest time, in nanoseconds: an hour, and the largest
/// quotient of times: many times what was ever seen of each.
const LONGEST: usize = 1024;
const MOST_TIMES: usize = 10_000;
const MOST_NS: u64 = 3_600_000_000_000;
const MOST_RATIO: f64 = 1e9;
const MOST_ROUNDS: usize = 1_000_000;
/// The activations of a batch, about: more are not measured with.
const MOST_ACTIVATIONS: usize = 1 << 31;

/// Whether this can be the name of a kernel, a format or a system.
fn is_name(text: &str) -> bool {
    text.len() <= LONGEST && !text.chars().any(is_unseen)
}

fn is_ratio(ratio: f64) -> bool {
    0.0 < ratio && ratio <= MOST_RATIO
}

impl Time {
    fn is_sound(&self) -> bool {
        is_name(&self.kernel) && (1..=MOST_NS).contains(&self.ns) && is_ratio(self.ratio) && self.rounds <= MOST_ROUNDS
    }
}

impl Record for Entry {
    type Key = Key;

    const FILE: &'static str = "entries";
    const MARK: &'static str = "[[entry]]";
    const PREFACE: &'static str =
        "# The fastest kernels on this machine, as measured by quantloom. May be deleted at any time.";

    fn key(&self) -> &Key {
        &self.key
    }

    fn is_sound(&self) -> bool {
        let Self { key, kernel, default, measured, spread, system, times, .. } = self;
        let Key { operation, format, isa, n, k, batch, threads, .. } = key;
        [kernel, default, system, &**operation, &**format, &**isa].into_iter().all(is_name)
            && ROWS.allows(*n)
            && COLUMNS.allows(*k)
            && THREADS.allows(*threads)
            && BATCH.allows(*measured)
            && batch.contains(*measured)
            && measured * k <= MOST_ACTIVATIONS
            && is_ratio(*spread)
            && times.len() <= MOST_TIMES
            && times.iter().all(Time::is_sound)
    }
}
