//! What is asked of an instruction set: code that does nothing but read, or nothing but multiply and add.

use std::time::{Duration, Instant};

#[cfg(target_arch = "aarch64")]
use super::arm::ALL;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
use super::portable::ALL;
#[cfg(target_arch = "x86_64")]
use super::x86::ALL;

/// Bytes of a cache line.
pub(super) const LINE: usize = 64;

/// The probes of one instruction set.
pub(super) struct Probes {
    /// Its name.
    pub(super) isa: &'static str,
    /// Whether this processor has it: what the other fields require.
    pub(super) available: fn() -> bool,
    /// Reads a slice once, front to back, asking for lines so many bytes ahead; 0 is not asking.
    pub(super) read: unsafe fn(&[u8], usize),
    /// Ways to sum products of 8-bit integers; the fastest counts.
    pub(super) int8: &'static [Chains],
    /// Sums of f32 products.
    pub(super) float: Chains,
}

/// Independent chains of multiply-and-adds, long enough to keep the units busy.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chains {
    /// Additions and multiplications in a round.
    pub(super) ops: f64,
    /// Runs so many rounds. The processor must have the instruction set.
    pub(super) run: unsafe fn(u64),
}

/// Probes that this processor can run: there is no other way to get at their functions.
#[derive(Clone, Copy)]
pub(super) struct Usable(&'static Probes);

impl Usable {
    /// All that this processor can run, the widest last.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        ALL.iter().filter(|probes| (probes.available)()).map(Self)
    }

    /// Those of the instruction set called `isa`, or the scalar ones.
    pub(super) fn named(isa: &str) -> Self {
        Self::all().find(|probes| probes.isa() == isa).unwrap_or(Self(&ALL[0]))
    }

    pub(super) fn isa(self) -> &'static str {
        self.0.isa
    }

    /// Reads `data` once, asking for lines `ahead` bytes in advance.
    pub(super) fn read(self, data: &[u8], ahead: usize) {
        // SAFETY: the processor has the instruction set, else there were no `Usable`.
        unsafe { (self.0.read)(data, ahead) }
    }

    /// Ways to sum products of 8-bit integers.
    pub(super) fn int8(self) -> impl ExactSizeIterator<Item = UsableChains> {
        self.0.int8.iter().copied().map(UsableChains)
    }

    /// Sums of f32 products.
    pub(super) fn float(self) -> UsableChains {
        UsableChains(self.0.float)
    }
}

/// Chains that this processor can run.
#[derive(Clone, Copy, Debug)]
pub(super) struct UsableChains(Chains);

impl UsableChains {
    /// Does `rounds` rounds; returns the operations that these are.
    pub(super) fn run(self, rounds: u64) -> f64 {
        // SAFETY: the processor has the instruction set, else there were no `UsableChains`.
        unsafe { (self.0.run)(rounds) };
        self.0.ops * rounds as f64
    }

    /// Rounds that take about as long as `time`, at most twice that.
    pub(super) fn rounds_for(self, time: Duration) -> u64 {
        let lasts = |rounds| {
            // The shorter of two runs: one may be interrupted.
            let runs = [(); 2].map(|()| {
                let start = Instant::now();
                self.run(rounds);
                start.elapsed()
            });
            runs[0].min(runs[1])
        };
        let mut rounds = 64;
        while lasts(rounds) < time {
            rounds *= 2;
        }
        rounds
    }
}
