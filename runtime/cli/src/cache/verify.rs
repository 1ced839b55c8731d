//! `quantloom cache verify`: whether the choices still hold.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use quantloom::pool::Pool;
use quantloom::tune::{self, Entry, Verdict};

use super::super::Failure;
use super::super::args::seconds;
use super::super::failure::{print, tell};
use super::super::progress::bar;
use super::super::table::{Align, Table};
use super::{entries, lines, named, shape};

/// What is spent when nobody says how much.
const BUDGET: Duration = Duration::from_secs(10);

/// Check every choice again: its bits against the reference, its speed against the default
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit status 1 means that a kernel's bits are wrong.

Example: quantloom cache verify --budget 30")]
pub struct Args {
    /// Time to spend [default: 10]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
    budget: Option<Duration>,
    /// A cache file from elsewhere, instead of this machine's
    #[arg(long, value_name = "FILE")]
    cache: Option<PathBuf>,
}

/// Verifies the entries in the order of their keys, and prints what each comes to.
pub fn run(args: &Args) -> Result<(), Failure> {
    let (start, budget) = (Instant::now(), args.budget.unwrap_or(BUDGET));
    let mut entries = entries(&named(args.cache.as_deref())?);
    // What must not run here is not tried again.
    let quarantined = tune::choices().variants().quarantined();
    entries.retain(|entry| quarantined.iter().all(|variant| variant.id.kernel != entry.name()));
    let mut pools = BTreeMap::new();
    let progress = bar(entries.len() as u64, "verifying");
    let mut verdicts = Vec::new();
    for entry in &entries {
        let threads = entry.key.threads.min(Pool::global().threads());
        let pool = pools.entry(threads).or_insert_with(|| Pool::new(threads));
        verdicts.push(tune::verify(entry, tune::choices(), pool, budget.saturating_sub(start.elapsed()))?);
        progress.inc(1);
    }
    progress.finish_and_clear();
    print(&format!("{}{}", table(&entries, &verdicts), lines(&quarantined)))?;
    let wrong = entries.iter().zip(&verdicts).filter(|(_, verdict)| **verdict == Verdict::Wrong);
    let wrong = wrong.map(|(entry, _)| entry.kernel.as_str()).collect::<Vec<_>>();
    if wrong.is_empty() {
        return Ok(());
    }
    tell(&format!("error: wrong bits: {}; tune again, and report it with the output of `quantloom doctor`", wrong.join(", ")));
    Err(Failure::Told)
}

fn table(entries: &[Entry], verdicts: &[Verdict]) -> Table {
    let mut table = Table::new(&[
        ("SHAPE", Align::Right),
        ("BATCH", Align::Right),
        ("THREADS", Align::Right),
        ("KERNEL", Align::Left),
        ("OF DEFAULT", Align::Right),
        ("THEN", Align::Right),
        ("", Align::Left),
    ]);
    let percent = |ratio: Option<f64>| ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{:.0}%", 100.0 * ratio));
    for (entry, verdict) in entries.iter().zip(verdicts) {
        let (ratio, word) = match *verdict {
            Verdict::Holds(ratio) => (Some(ratio), "holds"),
            Verdict::NoFaster(ratio) => (Some(ratio), "the default is now as fast"),
            Verdict::Wrong => (None, "wrong bits"),
            Verdict::NoTime => (None, "no time"),
            Verdict::NoMemory => (None, "more than memory holds"),
            Verdict::NotHere => (None, "of another build or machine"),
        };
        table.row([
            shape(&entry.key),
            entry.key.batch.to_string(),
            entry.key.threads.to_string(),
            entry.kernel.clone(),
            percent(ratio),
            percent(entry.time().map(|time| time.ratio)),
            word.to_owned(),
        ]);
    }
    table
}
