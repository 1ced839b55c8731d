//! How fast this machine can go at best, for each number of threads and instruction set that a report is about.

use std::collections::{BTreeMap, BTreeSet};

use quantloom::machine::{Ceilings, ceilings};
use quantloom::registry;

use crate::progress::bar;

/// Threads, and the name of an instruction set.
pub type Setting = (usize, &'static str);

/// Ceilings by setting. There are none if nothing was measured.
#[derive(Clone, Debug, Default)]
pub struct Limits(BTreeMap<Setting, Ceilings>);

impl Limits {
    /// Measures them. Memory is read once for each number of threads, in the way of the best instruction set: how bytes reach a
    /// register is not what bounds that.
    pub fn measure(settings: &BTreeSet<Setting>) -> Self {
        let progress = bar(settings.len() as u64, "measuring the limits");
        let (mut reads, mut measured) = (BTreeMap::new(), BTreeMap::new());
        let budget = ceilings::BUDGET;
        for &(threads, isa) in settings {
            let read = || ceilings::read(registry::best_isa().name, threads, budget * 2 / 3).best;
            let ceilings = Ceilings {
                isa,
                threads,
                read_gbps: *reads.entry(threads).or_insert_with(read),
                int8_gops: ceilings::int8(isa, threads, budget / 6).best,
                f32_gflops: ceilings::float(isa, threads, budget / 6).best,
            };
            measured.insert((threads, isa), ceilings);
            progress.inc(1);
        }
        progress.finish_and_clear();
        Self(measured)
    }

    /// Those of a setting, if they were measured.
    pub fn of(&self, threads: usize, isa: &str) -> Option<&Ceilings> {
        self.0.values().find(|ceilings| ceilings.threads == threads && ceilings.isa == isa)
    }

    /// The highest of each kind for a number of threads, of whatever instruction set.
    pub fn highest(&self, threads: usize) -> Option<Ceilings> {
        let of_these = self.0.values().copied().filter(|ceilings| ceilings.threads == threads);
        of_these.reduce(|one, other| Ceilings {
            isa: other.isa,
            threads,
            read_gbps: one.read_gbps.max(other.read_gbps),
            int8_gops: one.int8_gops.max(other.int8_gops),
            f32_gflops: one.f32_gflops.max(other.f32_gflops),
        })
    }
}
