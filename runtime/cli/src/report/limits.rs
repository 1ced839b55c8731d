//! How fast this machine can go at best, for each number of threads and instruction set that a report is about.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use quantloom::machine::{Ceilings, Gauge, Steadiness};

use crate::progress::bar;

/// Threads, and the name of an instruction set.
pub type Setting = (usize, &'static str);

/// Time for each setting, and rounds at least.
const BUDGET: Duration = Duration::from_millis(750);
const LEAST: u64 = 5;

/// Ceilings by setting, and how they varied. There are none if nothing was measured.
#[derive(Clone, Debug, Default)]
pub struct Limits(BTreeMap<Setting, (Ceilings, Steadiness)>);

impl Limits {
    /// Measures them, a round of each in turn, so that what disturbs the machine meets all alike.
    pub fn measure(settings: &BTreeSet<Setting>) -> Self {
        let budget = BUDGET * settings.len() as u32;
        let progress = bar(budget.as_millis() as u64, "measuring the limits");
        let mut gauges = BTreeMap::new();
        let (start, mut rounds) = (Instant::now(), 0);
        while rounds < LEAST || start.elapsed() < budget {
            for &(threads, isa) in settings {
                gauges.entry(threads).or_insert_with(|| Gauge::new(threads)).round(isa);
            }
            rounds += 1;
            progress.set_position(start.elapsed().min(budget).as_millis() as u64);
        }
        progress.finish_and_clear();
        let of = |&(threads, isa): &Setting| {
            let gauge = &gauges[&threads];
            ((threads, isa), (Ceilings { isa, threads, ..gauge.ceilings(isa) }, gauge.steadiness(isa)))
        };
        Self(settings.iter().map(of).collect())
    }

    /// Those of a setting, if they were measured.
    pub fn of(&self, threads: usize, isa: &str) -> Option<&Ceilings> {
        self.0.values().map(|(ceilings, _)| ceilings).find(|ceilings| ceilings.threads == threads && ceilings.isa == isa)
    }

    /// Those that varied much from round to round, and how much.
    pub fn unsteady(&self) -> impl Iterator<Item = (Setting, Steadiness)> {
        let unsteady = self.0.iter().filter(|(_, (_, steadiness))| steadiness.is_unsteady());
        unsteady.map(|(setting, (_, steadiness))| (*setting, *steadiness))
    }

    /// The highest of each kind for a number of threads, of whatever instruction set.
    pub fn highest(&self, threads: usize) -> Option<Ceilings> {
        let of_these = self.0.values().map(|(ceilings, _)| *ceilings).filter(|ceilings| ceilings.threads == threads);
        of_these.reduce(|one, other| Ceilings {
            isa: other.isa,
            threads,
            read_gbps: one.read_gbps.max(other.read_gbps),
            int8_gops: one.int8_gops.max(other.int8_gops),
            f32_gflops: one.f32_gflops.max(other.f32_gflops),
        })
    }
}
