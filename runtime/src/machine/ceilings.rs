//! How fast this machine can read memory, multiply and add: what a kernel's speed is a fraction of.
//!
//! A ceiling of arithmetic is the best of many short passes, because everything that disturbs a pass makes it slower; that of reading
//! is what nine in ten passes stay below, because caches make some faster. The median beside it tells how disturbed the machine is. Each pass does nothing but the one thing, in the best way known for the instruction set.

use std::time::Duration;

use super::memory::Region;
use super::probe::{Usable, UsableChains};
use super::race::{Length, race};
use super::{Caches, logical_cores};

/// A time for [`Ceilings::measure`] that gives steady results.
pub const BUDGET: Duration = Duration::from_millis(1500);

/// What is read in one pass, by each thread.
const WINDOW: usize = 4 << 20;

/// Distances, in bytes, at which lines are asked for ahead of reading them; the best counts. 0 leaves it to the processor.
const DISTANCES: [usize; 6] = [0, 1 << 10, 2 << 10, 4 << 10, 8 << 10, 16 << 10];

/// About how long a pass of arithmetic takes: long against the clock's grain, short against a time slice.
const PASS: Duration = Duration::from_micros(250);

/// The share of the passes that a ceiling of reading is not below. A cache of 260 MB keeps parts of a buffer of any size: one window
/// in twenty was read 10 to 20% faster than all others, in every round, and the best pass at up to 31 GB/s where memory gave 19.
const BELOW: f64 = 0.9;

/// Passes that are made of each way to do something, however short the time.
const LEAST: usize = 3;

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
    /// Measures for the instruction set called `isa`, on `threads` threads, taking about `budget`; [`BUDGET`] is a good one.
    ///
    /// A name that is unknown here, or that this processor lacks, is measured as `scalar`; threads beyond what the processor can
    /// run at once are not used. The result says what was measured.
    ///
    /// # Panics
    /// If the system has no memory to read: see [`read`].
    #[must_use]
    pub fn measure(isa: &str, threads: usize, budget: Duration) -> Self {
        let threads = usable_threads(threads);
        Self {
            isa: Usable::named(isa).isa(),
            threads,
            read_gbps: read(isa, threads, budget * 2 / 3).best,
            int8_gops: int8(isa, threads, budget / 6).best,
            f32_gflops: float(isa, threads, budget / 6).best,
        }
    }
}

/// The instruction sets that can be measured here, the widest last.
#[must_use]
pub fn isas() -> Vec<&'static str> {
    Usable::all().map(Usable::isa).collect()
}

/// What one probe found, in 10⁹ units per second.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Rate {
    /// The ceiling.
    pub best: f64,
    /// The median pass made in the same way.
    pub median: f64,
}

impl Rate {
    /// Of passes at these rates, in units per second, `below` of which are not above the ceiling; none if there are none.
    fn of(rates: impl Iterator<Item = f64>, below: f64) -> Option<Self> {
        let mut rates: Vec<f64> = rates.map(|rate| rate / 1e9).collect();
        rates.sort_unstable_by(f64::total_cmp);
        let last = rates.len().checked_sub(1)?;
        Some(Self { best: rates[(last as f64 * below).ceil() as usize], median: rates[rates.len() / 2] })
    }

    /// Of passes that take turns among `ways`: the way with the highest ceiling.
    fn of_best(rates: &[f64], ways: usize, below: f64) -> Self {
        (0..ways)
            .filter_map(|way| Self::of(rates.iter().skip(way).step_by(ways).copied(), below))
            .max_by(|a, b| a.best.total_cmp(&b.best))
            .expect("passes were made")
    }
}

/// Reads main memory on `threads` threads, each its own part of a buffer larger than the last-level caches.
///
/// # Panics
/// If the system has not the memory for that buffer: between 256 MiB and 2 GiB, but two thirds of it will do.
#[must_use]
pub fn read(isa: &str, threads: usize, budget: Duration) -> Rate {
    let (probes, threads) = (Usable::named(isa), usable_threads(threads));
    let bytes = windows(buffer(&Caches::detect(), threads) / threads);
    let floor = windows(bytes * 2 / 3);
    let regions: Vec<_> = (0..threads).map(|_| Region::new(bytes, floor)).collect();
    let length = Length { time: budget / 2, passes: LEAST * DISTANCES.len() };
    let touch = |region: &mut Region| region.touch(floor, budget / 2);
    let rates = race(regions, length, touch, |region, pass| {
        let mut windows = region.bytes().chunks_exact(WINDOW);
        let at = pass % windows.len();
        probes.read(windows.nth(at).expect("a whole window"), DISTANCES[pass % DISTANCES.len()]);
        WINDOW as f64
    });
    Rate::of_best(&rates, DISTANCES.len(), BELOW)
}

/// Multiplies and adds 8-bit integers in registers, by the best instructions of the instruction set.
#[must_use]
pub fn int8(isa: &str, threads: usize, budget: Duration) -> Rate {
    let ways: Vec<_> = Usable::named(isa).int8().collect();
    arithmetic(&ways, threads, budget)
}

/// Multiplies and adds f32 in registers, fused where the instruction set can.
#[must_use]
pub fn float(isa: &str, threads: usize, budget: Duration) -> Rate {
    arithmetic(&[Usable::named(isa).float()], threads, budget)
}

/// The best of some ways to do arithmetic, taking turns.
fn arithmetic(ways: &[UsableChains], threads: usize, budget: Duration) -> Rate {
    let rounds: Vec<u64> = ways.iter().map(|way| way.rounds_for(PASS)).collect();
    let length = Length { time: budget, passes: LEAST * ways.len() };
    let threads = vec![(); usable_threads(threads)];
    let rates = race(
        threads,
        length,
        |()| (),
        |(), pass| {
            let way = pass % ways.len();
            ways[way].run(rounds[way])
        },
    );
    Rate::of_best(&rates, ways.len(), 1.0)
}

/// A number of threads that this processor can run at once.
fn usable_threads(threads: usize) -> usize {
    threads.clamp(1, logical_cores())
}

/// Bytes of which the last-level caches that so many threads can fill between them keep nothing until they are read again. (Of one and
/// a half times its size a cache of 260 MB kept enough to make the best pass 18 to 50% faster than main memory; of four times, no more
/// than where each line was flushed before.)
fn buffer(caches: &Caches, threads: usize) -> usize {
    const LEAST: usize = 256 << 20;
    const MOST: usize = 2 << 30;
    let last_levels = threads.min(logical_cores().div_ceil(caches.l3_sharers));
    caches.last_level().saturating_mul(4 * last_levels).clamp(LEAST, MOST)
}

/// `bytes` rounded up to whole windows.
const fn windows(bytes: usize) -> usize {
    bytes.next_multiple_of(WINDOW)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_of_the_way_with_the_highest_ceiling() {
        let rates = [1e9, 5e9, 2e9, 4e9, 3e9, 0.5e9, 2e9];
        assert_eq!(Rate::of_best(&rates, 2, 1.0), Rate { best: 5.0, median: 4.0 });
        assert_eq!(Rate::of_best(&rates[..1], 3, 1.0), Rate { best: 1.0, median: 1.0 });
        assert_eq!(Rate::of_best(&rates, 1, 0.8), Rate { best: 4.0, median: 2.0 }, "one pass in five may be above");
        assert_eq!(Rate::of_best(&rates[..2], 1, 0.8), Rate { best: 5.0, median: 5.0 }, "of few passes none is");
    }

    #[test]
    fn buffers_outgrow_the_caches_within_limits() {
        let with_l3 = |l3| Caches { l1d: 1, l2: 1, l3, l3_sharers: usize::MAX };
        assert_eq!(buffer(&with_l3(0), 1), 256 << 20);
        assert_eq!(buffer(&with_l3(260 << 20), 1), 1040 << 20);
        assert_eq!(buffer(&with_l3(1 << 30), 1), 2 << 30);
        assert_eq!(windows(WINDOW + 1), 2 * WINDOW);
    }
}
