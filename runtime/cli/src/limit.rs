//! The limits of multiplications: what sets them, and what falls far short of them.

use quantloom::kernels::abi::Pipes;
use quantloom::machine::{Ceilings, Facts, processor};
use quantloom::measure::{Limit, Work, mix};
use quantloom::registry::{self, Kernel};
use quantloom::tune::cost::Problem;
use quantloom::tune::{Entry, Key};
use quantloom::weights::{Layout, Weights};

use super::Failure;
use super::failure::tell;

/// What reaches less than this part of its limit is far below it.
pub const FAR_BELOW: f64 = 0.75;

/// The shortest time that the machine allows a kernel, and what takes so long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bound {
    /// Seconds.
    pub seconds: f64,
    /// What sets it.
    pub by: By,
}

/// What sets a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Reading the weights.
    Read,
    /// Products and their sums, if they were all that there is to do.
    Dots,
    /// All instructions of the kernel, as many as the processor card says begin in a cycle.
    Mix,
}

impl By {
    /// The word that is printed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Dots => "dots",
            Self::Mix => "mix",
        }
    }

    /// It, as part of a sentence.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Read => "what reading allows",
            Self::Dots => "what its products allow",
            Self::Mix => "what its instructions allow",
        }
    }
}

impl Bound {
    /// Of a kernel on a processor with such pipes; none, if nothing is known of them.
    pub fn of(kernel: &Kernel, problem: &Problem, work: &Work, ceilings: &Ceilings, pipes: &[Pipes]) -> Self {
        let share = mix::share(kernel, problem, &Facts::detect().caches, pipes).unwrap_or(1.0);
        let (seconds, limit) = work.ideal_of(kernel.numerics, ceilings, share);
        let by = match limit {
            Limit::Memory => By::Read,
            Limit::Arithmetic if share < 1.0 => By::Mix,
            Limit::Arithmetic => By::Dots,
        };
        Self { seconds, by }
    }
}

/// The pipes of this processor; none, if it has no card.
///
/// # Errors
/// The user names a card that does not exist.
pub fn pipes() -> Result<&'static [Pipes], Failure> {
    Ok(processor::here()?.card.map_or(&[], |card| card.pipes))
}

/// Warns whoever measures with a program that was built without optimisation, but for its kernels.
pub fn warn_of_debug_build() {
    if cfg!(debug_assertions) {
        tell("warning: this is a debug build, whose limits are too low and whose times are too long: cargo build --release");
    }
}

/// What was measured of an entry, if it is of this build: another may have held the weights in another way.
pub fn work(entry: &Entry) -> Option<Work> {
    let Key { format, code, layout, n, k, .. } = &entry.key;
    let format = registry::formats().find(|known| known.name == format && Key::code_of(known) == *code)?;
    let stored_bytes = format.stored_bytes(*n, *k)?;
    let packed_bytes = match layout {
        Layout::Packed => Weights::bytes_packed(format, *n, *k).ok()?,
        Layout::Stored => stored_bytes,
    };
    let operations = 2.0 * *n as f64 * *k as f64 * entry.measured as f64;
    Some(Work { stored_bytes, packed_bytes, operations })
}

#[cfg(test)]
mod tests {
    use quantloom::kernels::abi::Kind;

    use super::*;

    #[test]
    fn a_limit_is_set_by_what_takes_longest() {
        let kernel = registry::formats().find_map(|format| registry::kernels(format).first()).unwrap();
        let problem = Problem { n: 64, k: 1024, batch: 1, threads: 1 };
        let ceilings = Ceilings { isa: "any", threads: 1, read_gbps: 10.0, int8_gops: 100.0, f32_gflops: 100.0 };
        let pipes = |of| [Pipes { vector_bits: kernel.isa().vector_bits, of, a_cycle: 1.0 }];
        let bound = |operations, pipes: &[Pipes]| {
            let work = Work { stored_bytes: 1, packed_bytes: 10_000_000_000, operations };
            Bound::of(kernel, &problem, &work, &ceilings, pipes)
        };
        assert_eq!(bound(1e10, &[]), Bound { seconds: 1.0, by: By::Read });
        assert_eq!(bound(2e11, &[]), Bound { seconds: 2.0, by: By::Dots });
        assert_eq!(bound(2e11, &pipes(&[Kind::Products])), Bound { seconds: 2.0, by: By::Dots });
        let mixed = bound(2e11, &pipes(&[Kind::Products, Kind::Broadcasts, Kind::Loads, Kind::Floats]));
        assert!(mixed.by == By::Mix && mixed.seconds > 2.0, "{mixed:?}");
    }
}
