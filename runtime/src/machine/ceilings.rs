//! How fast this machine can read memory, multiply and add: what a kernel's speed is a fraction of. A [`Gauge`] measures it.

use std::fmt;
use std::time::Duration;

use super::gauge::Gauge;
use super::probe::Usable;

/// A time for [`Ceilings::measure`] that gives steady results.
pub const BUDGET: Duration = Duration::from_millis(1500);

/// The speeds that no kernel exceeds, for one instruction set and a number of threads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ceilings {
    /// The instruction set.
    pub isa: &'static str,
    /// The threads, all together.
    pub threads: usize,
    /// Reading from main memory, in 10⁹ bytes per second.
    pub read_gbps: f64,
    /// Products of 8-bit integers and their sums, in 10⁹ operations per second; a multiply-and-add is two.
    pub int8_gops: f64,
    /// Products of f32 and their sums, in 10⁹ operations per second; a multiply-and-add is two.
    pub f32_gflops: f64,
}

impl Ceilings {
    /// Measures for the instruction set called `isa`, on `threads` threads, taking about `budget`; [`BUDGET`] is a good one. What is
    /// compared with it should be measured in turn with it: see [`Gauge`].
    ///
    /// A name that is unknown here, or that this processor lacks, is measured as `scalar`; threads beyond what the processor can
    /// run at once are not used. The result says what was measured.
    ///
    /// # Panics
    /// If the system has no memory to read: see [`Gauge::new`].
    #[must_use]
    pub fn measure(isa: &str, threads: usize, budget: Duration) -> Self {
        let mut gauge = Gauge::new(threads);
        gauge.rounds_for(isa, budget);
        gauge.ceilings(isa)
    }
}

impl fmt::Display for Ceilings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { read_gbps, int8_gops, f32_gflops, .. } = self;
        write!(f, "reads {read_gbps:.1} GB/s, int8 {int8_gops:.0} Gop/s, f32 {f32_gflops:.0} Gflop/s")
    }
}

/// The instruction sets that can be measured here, the widest last.
#[must_use]
pub fn isas() -> Vec<&'static str> {
    Usable::all().map(Usable::isa).collect()
}
