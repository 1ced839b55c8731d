//! What a report says, before it is a page: of the entries of a cache, the limits of the machine, and what is known of kernels.

use std::collections::{BTreeMap, HashMap};

use quantloom::machine::{Ceilings, Facts, Steadiness};
use quantloom::measure::{Fraction, Limit, Work};
use quantloom::registry::Numerics;
use quantloom::tune::{Entry, Key, Time};

use super::limits::{Limits, Setting};
use super::numbers::median;
use crate::limit::work;

/// All of a page.
#[derive(Debug)]
pub struct Report {
    /// The machine that writes it.
    pub machine: Machine,
    /// The cache that it is about.
    pub cache: Cache,
    /// What was found, by format.
    pub groups: Vec<Group>,
    /// The highest limits for each number of threads that there are problems of, and whether they were measured.
    pub limits: BTreeMap<usize, Option<Ceilings>>,
    /// Of which settings the limits varied much while they were measured, and how much.
    pub unsteady: Vec<(Setting, Steadiness)>,
    /// Kernels that gave wrong bits here, and what is known of it.
    pub quarantined: Vec<(String, String)>,
    /// Entries that are torn, edited or foreign.
    pub unreadable: usize,
}

/// The machine and the program that write a report.
#[derive(Debug)]
pub struct Machine {
    /// Its processor.
    pub facts: Facts,
    /// The instruction sets that it has, lowest rank first.
    pub isas: Vec<&'static str>,
    /// What the best instruction set reaches on all threads, if that was measured.
    pub ceilings: Option<Ceilings>,
    /// The program and the system.
    pub system: &'static str,
    /// When: a time as RFC 3339 has it, in whole seconds and UTC.
    pub written: String,
}

/// The cache that a report is about.
#[derive(Debug)]
pub struct Cache {
    /// Where it is.
    pub path: String,
    /// What its entries depend on.
    pub environment: String,
    /// Whether that is the environment of this machine and program.
    pub own: bool,
}

/// The problems of one format.
#[derive(Debug)]
pub struct Group {
    /// Name of the format.
    pub format: String,
    /// In the order of the cache: by class, instruction set, shape and batch.
    pub problems: Vec<Problem>,
}

/// A problem, what was measured, and what came of it.
#[derive(Debug)]
pub struct Problem {
    /// Its place among all problems of the page.
    pub number: usize,
    /// What the cache holds.
    pub entry: Entry,
    /// Whether multiplications follow the choice: not if it is of another build.
    pub followed: bool,
    /// Bytes and operations of the batch that was measured, if this build knows the weights' form.
    pub work: Option<Work>,
    /// The time that no kernel goes below, if the machine's limits are known.
    pub bound: Option<Bound>,
    /// What was measured, in card order.
    pub variants: Vec<Variant>,
}

/// The shortest time that the machine allows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bound {
    /// Nanoseconds.
    pub ns: f64,
    /// What takes so long.
    pub limit: Limit,
    /// The rate at which it goes: GB/s of memory, or Gop/s.
    pub rate: f64,
}

/// What one kernel took.
#[derive(Debug)]
pub struct Variant {
    /// The kernel, without what it shares with others of the problem.
    pub name: String,
    /// What was measured.
    pub time: Time,
    /// Whether it was chosen.
    pub chosen: bool,
    /// Whether it is what runs when nothing was measured.
    pub default: bool,
    /// Whether others went on when it was out.
    pub dropped: bool,
    /// Operations in 10⁹ per second, if they are known.
    pub gops: Option<f64>,
    /// The bound over its time, if there is one.
    pub of_limit: Option<Fraction>,
}

/// What some problems come to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Totals {
    /// How many they are.
    pub problems: usize,
    /// In how many of them another kernel than the default was chosen.
    pub changed: usize,
    /// The median of the ratios of these choices to the defaults.
    pub ratio: Option<f64>,
    /// The lowest of them.
    pub best: Option<f64>,
    /// The median of the parts of the limit that choices reach.
    pub of_limit: Option<Fraction>,
}

impl Report {
    /// What the mark of parts of limits means, if any has it.
    pub fn above(&self) -> Option<&'static str> {
        let variants = self.problems().flat_map(|problem| &problem.variants);
        Fraction::explained(variants.filter_map(|variant| variant.of_limit))
    }

    /// All problems, format by format.
    pub fn problems(&self) -> impl Iterator<Item = &Problem> + Clone {
        self.groups.iter().flat_map(|group| &group.problems)
    }
}

/// Groups entries, which are sorted by key, and works out what belongs to each.
pub fn groups(entries: Vec<Entry>, limits: &Limits) -> Vec<Group> {
    let mut groups = Vec::<Group>::new();
    let mut places = HashMap::<String, usize>::new();
    for (number, entry) in entries.into_iter().enumerate() {
        let problem = Problem::new(number, entry, limits);
        let format = problem.entry.key.format.to_string();
        let place = *places.entry(format.clone()).or_insert_with(|| {
            groups.push(Group { format, problems: Vec::new() });
            groups.len() - 1
        });
        groups[place].problems.push(problem);
    }
    groups
}

impl Problem {
    fn new(number: usize, entry: Entry, limits: &Limits) -> Self {
        let work = work(&entry);
        let bound =
            work.zip(limits.of(entry.key.threads, &entry.key.isa)).map(|(work, ceilings)| bound(&work, &entry.key, ceilings));
        let most = entry.times.iter().map(|time| time.rounds).max().unwrap_or_default();
        let variant = |time: &Time| Variant {
            name: short_of(&entry.key, &time.kernel),
            chosen: time.kernel == entry.kernel,
            default: time.kernel == entry.default,
            dropped: time.rounds < most,
            gops: work.filter(|_| time.ns > 0).map(|work| work.operations / time.ns as f64),
            of_limit: bound.filter(|_| time.ns > 0).map(|bound| Fraction(bound.ns / time.ns as f64)),
            time: time.clone(),
        };
        let variants = entry.times.iter().map(variant).collect();
        Self { number, followed: entry.launch().is_some(), work, bound, variants, entry }
    }

    /// What was measured of the choice.
    pub fn chosen(&self) -> Option<&Variant> {
        self.variants.iter().find(|variant| variant.chosen)
    }

    /// The bound over the time of the default: where the limit lies on a scale on which the default is 1.
    pub fn bound_ratio(&self) -> Option<f64> {
        let default = self.variants.iter().find(|variant| variant.default)?;
        Some(default.of_limit?.0)
    }

    /// Whether another kernel than the default was chosen.
    pub fn changed(&self) -> bool {
        self.entry.kernel != self.entry.default
    }

    /// Operations for each byte of the weights in memory.
    pub fn intensity(&self) -> Option<f64> {
        self.work.filter(|work| work.packed_bytes > 0).map(|work| work.operations / work.packed_bytes as f64)
    }

    /// The kernel that was chosen, as [`Variant::name`] has it.
    pub fn kernel(&self) -> String {
        short_of(&self.entry.key, &self.entry.kernel)
    }
}

impl Totals {
    /// Of some problems.
    pub fn of<'a>(problems: impl Iterator<Item = &'a Problem> + Clone) -> Self {
        let changed = problems.clone().filter(|problem| problem.changed());
        let ratios = changed.clone().filter_map(|problem| Some(problem.chosen()?.time.ratio)).collect::<Vec<_>>();
        let of_limit = problems.clone().filter_map(|problem| Some(problem.chosen()?.of_limit?.0)).collect();
        Self {
            problems: problems.count(),
            changed: changed.count(),
            best: ratios.iter().copied().reduce(f64::min),
            ratio: median(ratios),
            of_limit: median(of_limit).map(Fraction),
        }
    }
}

fn bound(work: &Work, key: &Key, ceilings: &Ceilings) -> Bound {
    let (seconds, limit) = work.ideal(key.numerics, ceilings);
    let rate = match (limit, key.numerics) {
        (Limit::Memory, _) => ceilings.read_gbps,
        (Limit::Arithmetic, Numerics::Int8) => ceilings.int8_gops,
        (Limit::Arithmetic, Numerics::Exact) => ceilings.f32_gflops,
    };
    Bound { ns: seconds * 1e9, limit, rate }
}

/// A kernel's name without format, class and instruction set, if they are these.
pub fn short(kernel: &str, format: &str, numerics: Numerics, isa: &str) -> String {
    let name = kernel.strip_prefix(format).and_then(|rest| rest.strip_prefix('.')).unwrap_or_default();
    match name.splitn(4, '.').collect::<Vec<_>>()[..] {
        [schedule, class, of_isa, tile] if class == numerics.name() && of_isa == isa => format!("{schedule} {tile}"),
        _ => kernel.to_owned(),
    }
}

/// The same, of a problem.
fn short_of(key: &Key, kernel: &str) -> String {
    short(kernel, &key.format, key.numerics, &key.isa)
}
