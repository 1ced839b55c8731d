//! Ceilings, measured in rounds, so that what is compared with them runs between these rounds, on the same machine at the same time:
//! one that others use gave 36 and 62 GB/s minutes apart.
//!
//! A ceiling of arithmetic is the best of many short passes, because everything that disturbs a pass makes it slower; that of reading
//! is what nine in ten passes stay below, because caches make some faster. Each pass does nothing but the one thing, in the best way
//! known for the instruction set.

use std::collections::BTreeMap;
use std::iter;
use std::time::{Duration, Instant};

use super::memory::Region;
use super::probe::{Usable, UsableChains};
use super::race::{Length, race};
use super::steadiness::{Spread, Steadiness};
use super::{Caches, Ceilings, logical_cores};

/// What is read in one pass, by each thread.
const WINDOW: usize = 4 << 20;

/// Distances, in bytes, at which lines are asked for ahead of reading them; the best counts. 0 leaves it to the processor.
const DISTANCES: [usize; 6] = [0, 1 << 10, 2 << 10, 4 << 10, 8 << 10, 16 << 10];

/// About how long a pass of arithmetic takes: long against the clock's grain, short against a time slice.
const PASS: Duration = Duration::from_micros(250);

/// About how long a round reads, and how long it does each kind of arithmetic.
const READING: Duration = Duration::from_millis(10);
const ARITHMETIC: Duration = Duration::from_millis(2);

/// How long memory to read is made real, at most: beyond what is needed.
const TOUCHING: Duration = Duration::from_millis(500);

/// The share of the passes that a ceiling of reading is not below. A cache of 260 MB keeps parts of a buffer of any size: one window
/// in twenty was read 10 to 20% faster than all others, in every round, and the best pass at up to 31 GB/s where memory gave 19.
const BELOW: f64 = 0.9;

/// Rounds that are made, however short the time.
const LEAST: usize = 3;

/// Measures ceilings in rounds of some 15 ms, between which what is compared with them can run.
#[derive(Debug)]
pub struct Gauge {
    regions: Vec<Region>,
    /// Bytes of each region that are read at least.
    floor: usize,
    /// Where in the regions the next round begins to read.
    window: usize,
    /// By instruction set: ways to do arithmetic, and how often each is done in a pass.
    arithmetic: BTreeMap<&'static str, Arithmetic>,
    rounds: Vec<Round>,
}

/// The ways to do both kinds of arithmetic.
#[derive(Debug)]
struct Arithmetic {
    int8: Vec<(UsableChains, u64)>,
    float: Vec<(UsableChains, u64)>,
}

impl Gauge {
    /// A gauge for `threads` threads, or as many as the processor can run at once; it holds memory to read, between 256 MiB and 2 GiB.
    ///
    /// # Panics
    /// If the system has not the memory: two thirds of it will do.
    #[must_use]
    pub fn new(threads: usize) -> Self {
        let threads = usable_threads(threads);
        let bytes = windows(buffer(&Caches::detect(), threads) / threads);
        let floor = windows(bytes * 2 / 3);
        let regions = (0..threads).map(|_| Region::new(bytes, floor)).collect();
        Self { regions, floor, window: 0, arithmetic: BTreeMap::new(), rounds: Vec::new() }
    }

    /// Makes a round: reads memory in the way of the widest instruction set, for how bytes reach a register is not what bounds that, and
    /// does arithmetic in the best ways of the one called `isa`, as [`Ceilings::measure`] has it.
    pub fn round(&mut self, isa: &str) {
        let usable = Usable::named(isa);
        let read = self.read();
        let threads = self.regions.len();
        let arithmetic = self.arithmetic.entry(usable.isa()).or_insert_with(|| Arithmetic::of(usable));
        let [int8, float] = [&arithmetic.int8, &arithmetic.float].map(|ways| calculate(ways, threads));
        self.rounds.push(Round { isa: usable.isa(), read, int8, float });
    }

    /// Makes rounds for about so long, and for longer the first time: the memory has to be made real.
    pub fn rounds_for(&mut self, isa: &str, time: Duration) {
        if self.rounds.is_empty() {
            self.round(isa);
        }
        let (start, first) = (Instant::now(), self.rounds());
        while self.rounds() < first + LEAST || start.elapsed() < time {
            self.round(isa);
        }
    }

    /// The rounds so far.
    #[must_use]
    pub fn rounds(&self) -> usize {
        self.rounds.len()
    }

    /// The ceilings of an instruction set over all rounds so far, at least one of which must have been for it.
    #[must_use]
    pub fn ceilings(&self, isa: &str) -> Ceilings {
        self.ceilings_since(0, isa)
    }

    /// The ceilings of an instruction set over the rounds from `first` on, counted from 0.
    #[must_use]
    pub fn ceilings_since(&self, first: usize, isa: &str) -> Ceilings {
        let isa = Usable::named(isa).isa();
        let rounds = self.rounds.iter().skip(first);
        let of_isa = rounds.clone().filter(|round| round.isa == isa);
        Ceilings {
            isa,
            threads: self.regions.len(),
            read_gbps: Passes::ceiling(rounds.map(|round| &round.read)),
            int8_gops: Passes::ceiling(of_isa.clone().map(|round| &round.int8)),
            f32_gflops: Passes::ceiling(of_isa.map(|round| &round.float)),
        }
    }

    /// How the ceilings of an instruction set varied over all rounds so far.
    #[must_use]
    pub fn steadiness(&self, isa: &str) -> Steadiness {
        let isa = Usable::named(isa).isa();
        let spread = |rounds: &mut dyn Iterator<Item = &Passes>| {
            Spread::of(rounds.map(|passes| Passes::ceiling(iter::once(passes))).collect())
        };
        let of_isa = || self.rounds.iter().filter(|round| round.isa == isa);
        Steadiness {
            rounds: self.rounds.len(),
            read_gbps: spread(&mut self.rounds.iter().map(|round| &round.read)),
            int8_gops: spread(&mut of_isa().map(|round| &round.int8)),
            f32_gflops: spread(&mut of_isa().map(|round| &round.float)),
        }
    }

    /// Reads main memory, each thread its own part of a buffer larger than the last-level caches, from where the last round ended.
    fn read(&mut self) -> Passes {
        let probes = Usable::all().last().unwrap_or(Usable::named(""));
        let (first, floor) = (self.window, self.floor);
        let touch = |region: &mut &mut Region| {
            if region.bytes().is_empty() {
                region.touch(floor, TOUCHING);
            }
        };
        let length = Length { time: READING, passes: DISTANCES.len() };
        let rates = race(self.regions.iter_mut().collect(), length, touch, |region, pass| {
            let mut windows = region.bytes().chunks_exact(WINDOW);
            let at = (first + pass) % windows.len();
            probes.read(windows.nth(at).expect("a whole window"), DISTANCES[pass % DISTANCES.len()]);
            WINDOW as f64
        });
        self.window += rates.len();
        Passes::new(rates, DISTANCES.len(), BELOW)
    }
}

impl Arithmetic {
    fn of(usable: Usable) -> Self {
        let timed = |way: UsableChains| (way, way.rounds_for(PASS));
        Self { int8: usable.int8().map(timed).collect(), float: vec![timed(usable.float())] }
    }
}

/// Some ways to do arithmetic, taking turns.
fn calculate(ways: &[(UsableChains, u64)], threads: usize) -> Passes {
    let length = Length { time: ARITHMETIC, passes: ways.len() };
    let rates = race(
        vec![(); threads],
        length,
        |()| (),
        |(), pass| {
            let (way, rounds) = ways[pass % ways.len()];
            way.run(rounds)
        },
    );
    Passes::new(rates, ways.len(), 1.0)
}

/// What was reached in one round, in passes that take turns among the ways to do it: 10⁹ units per second.
#[derive(Clone, Debug)]
struct Passes {
    rates: Vec<f64>,
    ways: usize,
    /// The share of the passes of a way that its ceiling is not below.
    below: f64,
}

impl Passes {
    /// Of passes at these rates, in units per second.
    fn new(rates: Vec<f64>, ways: usize, below: f64) -> Self {
        Self { rates: rates.into_iter().map(|rate| rate / 1e9).collect(), ways, below }
    }

    fn of_way(&self, way: usize) -> impl Iterator<Item = f64> {
        self.rates.iter().skip(way).step_by(self.ways).copied()
    }

    /// The ceiling over some rounds: that of the way which has the highest. 0 if there are no passes.
    fn ceiling<'p>(rounds: impl Iterator<Item = &'p Self> + Clone) -> f64 {
        let Some(Self { ways, below, .. }) = rounds.clone().next() else { return 0.0 };
        let of_way = |way| {
            let mut rates = rounds.clone().flat_map(|round| round.of_way(way)).collect::<Vec<_>>();
            rates.sort_unstable_by(f64::total_cmp);
            rates.get((rates.len().saturating_sub(1) as f64 * below).ceil() as usize).copied()
        };
        (0..*ways).filter_map(of_way).fold(0.0, f64::max)
    }
}

/// One round, all of it.
#[derive(Clone, Debug)]
struct Round {
    isa: &'static str,
    read: Passes,
    int8: Passes,
    float: Passes,
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
    fn a_ceiling_is_of_the_way_with_the_highest() {
        let of = |rates: &[f64], ways, below| {
            let rates = rates.iter().map(|rate| rate * 1e9).collect::<Vec<_>>();
            Passes::ceiling([Passes::new(rates, ways, below)].iter())
        };
        let rates = [1.0, 5.0, 2.0, 4.0, 3.0, 0.5, 2.0];
        assert_eq!(of(&rates, 2, 1.0), 5.0);
        assert_eq!(of(&rates[..1], 3, 1.0), 1.0);
        assert_eq!(of(&rates, 1, 0.8), 4.0, "one pass in five may be above");
        assert_eq!(of(&rates[..2], 1, 0.8), 5.0, "of few passes none is");
        assert_eq!(of(&[], 1, 0.8), 0.0);
        let rounds = [Passes::new(vec![1e9, 9e9], 2, 1.0), Passes::new(vec![8e9, 2e9], 2, 1.0)];
        assert_eq!(Passes::ceiling(rounds.iter()), 9.0, "ways stay apart, rounds do not");
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
