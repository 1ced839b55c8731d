//! How far what was chosen here is from what the machine allows.

use std::collections::BTreeMap;
use std::time::Duration;

use quantloom::kernels::abi::Pipes;
use quantloom::machine::{Ceilings, Gauge, Steadiness};
use quantloom::measure::Fraction;
use quantloom::registry;
use quantloom::tune::cost::Problem;
use quantloom::tune::{CacheFile, Entry};

use super::super::limit::{Bound, By, FAR_BELOW, pipes, work};
use super::Finding;

/// Time to measure what the machine allows: short, for a tenth more or less makes no difference here.
const BUDGET: Duration = Duration::from_millis(400);

/// What is far below its limit among the choices for the threads and the instruction set that most of them are for; nothing, if
/// nothing was chosen here.
pub fn finding(file: &CacheFile) -> Option<Finding> {
    let entries = usual(file.read().entries);
    let (key, isa) = (&entries.first()?.key, registry::isa_by_name(&entries.first()?.key.isa).ok()?);
    let mut gauge = Gauge::new(key.threads);
    gauge.rounds_for(isa.name, BUDGET);
    let found = of(&entries, &gauge.ceilings(isa.name), pipes().unwrap_or_default());
    Some(said_with(found, gauge.steadiness(isa.name)))
}

/// What was found, and whether it can be relied upon.
fn said_with(found: Finding, steadiness: Steadiness) -> Finding {
    if !steadiness.is_unsteady() {
        return found;
    }
    let remedy = found.remedy.unwrap_or_else(|| "run it again when nothing else runs".to_owned());
    Finding::bad_if(true, NAME, format!("{}; {steadiness}", found.value), remedy)
}

/// Those entries that can be used here, for the most usual number of threads and instruction set.
fn usual(entries: Vec<Entry>) -> Vec<Entry> {
    let mut settings = BTreeMap::<_, Vec<_>>::new();
    for entry in entries.into_iter().filter(|entry| entry.launch().is_some()) {
        settings.entry((entry.key.threads, entry.key.isa.clone())).or_default().push(entry);
    }
    settings.into_values().max_by_key(Vec::len).unwrap_or_default()
}

/// What was found, of entries of one setting, one at least.
fn of(entries: &[Entry], ceilings: &Ceilings, pipes: &[Pipes]) -> Finding {
    let parts = entries.iter().filter_map(|entry| Some((entry, part(entry, ceilings, pipes)?)));
    let above = parts.clone().filter(|(_, (part, _))| Fraction(*part).is_above()).count();
    let above = if above == 0 {
        String::new()
    } else {
        format!("; {above} were above it: the machine was faster when they were measured")
    };
    let mut below = parts.filter(|(_, (part, _))| *part < FAR_BELOW).collect::<Vec<_>>();
    below.sort_by(|(_, (a, _)), (_, (b, _))| a.total_cmp(b));
    let threads = if ceilings.threads == 1 { "1 thread".to_owned() } else { format!("{} threads", ceilings.threads) };
    let setting = format!("of {} choices for {threads} on {}", entries.len(), ceilings.isa);
    let Some((Entry { key, kernel, measured, .. }, (part, by))) = below.first() else {
        return Finding::fine(NAME, format!("none {setting}{above}"));
    };
    let (part, by, problem) = (Fraction(*part), by.sentence(), format!("{}x{} --batch {measured}", key.n, key.k));
    let value = format!(
        "{} {setting} reach less than {:.0}% of it; the least: {kernel} at {}x{}, batch {measured}, {part} of {by}{above}",
        below.len(),
        100.0 * FAR_BELOW,
        key.n,
        key.k
    );
    let remedy = format!(
        "`quantloom cache explain {} {problem} --threads {}` tells what was tried; \
         `quantloom tune MODEL --force` measures again, best when nothing else runs",
        key.format, key.threads
    );
    Finding::bad_if(true, NAME, value, remedy)
}

/// What doctor calls it.
const NAME: &str = "below the limit";

/// The part of its limit that a choice reaches, and what sets that.
fn part(entry: &Entry, ceilings: &Ceilings, pipes: &[Pipes]) -> Option<(f64, By)> {
    let (launch, work, time) = (entry.launch()?, work(entry)?, entry.time()?);
    let problem = Problem { n: entry.key.n, k: entry.key.k, batch: entry.measured, threads: entry.key.threads };
    let bound = Bound::of(launch.kernel, &problem, &work, ceilings, pipes);
    (time.ns > 0).then(|| (bound.seconds * 1e9 / time.ns as f64, bound.by))
}

#[cfg(test)]
mod tests {
    use quantloom::kernels::abi::Kind;
    use quantloom::machine::Spread;
    use quantloom::matmul::Launch;
    use quantloom::tune::{Digest, Effort, Key, Origin, Time};
    use quantloom::weights::Layout;

    use super::*;

    /// A choice for a batch of one that reads at 10 GB/s, made on so many threads.
    fn entry(n: usize, threads: usize) -> Entry {
        let format = registry::formats().find(|format| !registry::kernels(format).is_empty()).unwrap();
        let kernel = &registry::kernels(format)[0];
        let n = n.next_multiple_of(format.row_multiple());
        let chosen = Launch::of(kernel).to_string();
        let mut entry = Entry {
            key: Key::of(format, (n, 4 * format.block_weights), Layout::Packed, 1, kernel.numerics, kernel.isa(), threads),
            kernel: chosen.clone(),
            kernel_hash: Digest(kernel.hash),
            default: chosen.clone(),
            measured: 1,
            spread: 1.0,
            effort: Effort::Full,
            origin: Origin::Local,
            system: "any".to_owned(),
            times: Vec::new(),
        };
        let ns = work(&entry).unwrap().packed_bytes as u64 / 10;
        entry.times = vec![Time { kernel: chosen, ns, ratio: 1.0, rounds: 4 }];
        entry
    }

    fn ceilings(read_gbps: f64, gops: f64) -> Ceilings {
        Ceilings { isa: "any", threads: 2, read_gbps, int8_gops: gops, f32_gflops: gops }
    }

    #[test]
    fn the_worst_is_named_with_a_remedy() {
        let entries = [entry(16, 2), entry(64, 2)];
        let near = of(&entries, &ceilings(12.0, 1e9), &[]);
        assert!(near.remedy.is_none() && near.value == "none of 2 choices for 2 threads on any", "{}", near.value);
        let above = of(&entries, &ceilings(9.0, 1e9), &[]);
        assert!(
            above.value.ends_with("on any; 2 were above it: the machine was faster when they were measured"),
            "{}",
            above.value
        );
        let slower =
            Entry { times: vec![Time { ns: entries[1].times[0].ns * 2, ..entries[1].times[0].clone() }], ..entries[1].clone() };
        let far = of(&[entries[0].clone(), slower.clone()], &ceilings(12.0, 1e9), &[]);
        assert!(far.value.starts_with("1 of 2 choices for 2 threads on any reach less than 75% of it"), "{}", far.value);
        let shape = format!("{}x{}", slower.key.n, slower.key.k);
        let named = format!("{} at {shape}, batch 1, 42% of what reading allows", slower.kernel);
        assert!(far.value.ends_with(&named), "{}", far.value);
        let remedy = far.remedy.unwrap();
        let explain = format!("`quantloom cache explain {} {shape} --batch 1 --threads 2`", slower.key.format);
        assert!(remedy.starts_with(&explain) && remedy.contains("quantloom tune"), "{remedy}");
    }

    #[test]
    fn what_was_measured_on_a_restless_machine_says_so() {
        let spread = |high| Spread { low: 30.0, high };
        let of = |high| Steadiness { rounds: 9, read_gbps: spread(high), int8_gops: spread(31.0), f32_gflops: spread(31.0) };
        let found = || Finding::fine(NAME, "none");
        assert_eq!(said_with(found(), of(31.0)).value, "none");
        let restless = said_with(found(), of(62.0));
        assert_eq!(restless.value, "none; the limits were unsteady over 9 rounds: reads 30.0 to 62.0 GB/s");
        assert!(restless.remedy.is_some());
    }

    #[test]
    fn what_instructions_allow_counts() {
        let entry = entry(64, 2);
        let launch = entry.launch().unwrap();
        let pipes = |of| [Pipes { vector_bits: launch.kernel.isa().vector_bits, of, a_cycle: 1.0 }];
        // Arithmetic alone would allow half of what was measured.
        let ceilings = ceilings(1e9, 2.0 * work(&entry).unwrap().operations / entry.times[0].ns as f64);
        let (products, by) = part(&entry, &ceilings, &pipes(&[Kind::Products])).unwrap();
        assert!((products - 0.5).abs() < 0.01 && by == By::Dots, "{products}");
        let (mix, by) = part(&entry, &ceilings, &pipes(&[Kind::Products, Kind::Loads, Kind::Integers])).unwrap();
        assert!(mix > products && by == By::Mix, "{mix}");
    }

    #[test]
    fn most_choices_are_of_one_setting() {
        let of_another_build = Entry { kernel: "none".to_owned(), ..entry(16, 1) };
        let entries = [entry(16, 1), entry(16, 2), of_another_build.clone(), of_another_build, entry(64, 2)];
        let found = usual(entries.into());
        assert_eq!(found.iter().map(|entry| entry.key.threads).collect::<Vec<_>>(), [2, 2]);
        assert!(usual(Vec::new()).is_empty());
    }
}
