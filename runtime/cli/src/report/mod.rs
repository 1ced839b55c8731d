//! `quantloom report`: what the tuner found, as a page to look at.

mod chart;
mod limits;
pub mod model;
pub mod numbers;
mod page;
mod problems;
mod roofline;
mod words;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use quantloom::machine::Facts;
use quantloom::pool::Pool;
use quantloom::registry;
use quantloom::tune::{self, CacheFile, Entry, Variant};
use quantloom_spec::text::{escaped, escaped_lines, shown};

use super::Failure;
use super::files::{called, create, say, write_whole};
use limits::{Limits, Setting};
use model::{Cache, Machine, Report};

/// Write what the tuner found on this machine as a page of HTML
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The page needs nothing but itself. The limits of the machine are measured first, which takes some seconds.

Example: quantloom report tuned.html"
)]
pub struct Args {
    /// Where to write; `-` is standard output
    #[arg(value_name = "OUT.html")]
    output: PathBuf,
    /// A cache file, perhaps of another machine [default: `quantloom cache path`]
    #[arg(long, value_name = "FILE")]
    cache: Option<PathBuf>,
    /// Leave out the limits of the machine
    #[arg(long)]
    no_measure: bool,
}

/// Reads the cache, measures the limits, and writes the page.
pub fn run(args: &Args) -> Result<(), Failure> {
    let file = file(args.cache.as_deref())?;
    let output = create(&args.output, &[file.path(), file.beside::<Variant>().path()])?;
    let is_standard = output.is_standard();
    let report = report(&file, !args.no_measure);
    // Escapes of HTML are those of its own letters only.
    let (problems, page) = (report.problems().count(), escaped_lines(&page::page(&report).into_string()));
    write_whole(output, page.as_bytes())?;
    let counted = numbers::count(problems, "problem", "problems");
    say(&format!("{}: {counted} of {}\n", called(&args.output), shown(file.path())), is_standard)
}

/// The cache file to report on.
fn file(named: Option<&Path>) -> Result<CacheFile, Failure> {
    if let Some(path) = named {
        return Ok(CacheFile::open(path)?);
    }
    let folder = tune::folder().ok_or_else(|| {
        Failure::input(format!("there is no cache: this user has no home folder; set {} to a folder", tune::VARIABLE))
    })?;
    Ok(CacheFile::new(&folder, tune::environment()))
}

fn report(file: &CacheFile, measure: bool) -> Report {
    let contents = file.read();
    // What this machine can do says nothing of what another one did.
    let own = file.environment() == tune::environment();
    let limits = if measure && own { Limits::measure(&settings(&contents.entries)) } else { Limits::default() };
    let here = here();
    Report {
        machine: Machine {
            ceilings: limits.of(here.0, here.1).copied(),
            facts: Facts::detect(),
            isas: registry::isas().iter().filter(|isa| isa.is_available()).map(|isa| isa.name).collect(),
            system: tune::system(),
            written: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
        },
        cache: Cache { path: shown(file.path()), environment: escaped(file.environment()), own },
        unsteady: limits.unsteady().collect(),
        limits: contents.entries.iter().map(|entry| (entry.key.threads, limits.highest(entry.key.threads))).collect(),
        groups: model::groups(contents.entries, &limits),
        quarantined: quarantined(file),
        unreadable: contents.unreadable,
    }
}

/// Kernels that must not run where the cache is from, and why.
fn quarantined(file: &CacheFile) -> Vec<(String, String)> {
    let variants = file.beside::<Variant>().read().entries.into_iter();
    let quarantined = variants.filter(|variant| variant.state.is_quarantined());
    quarantined.map(|variant| (escaped(&variant.id.kernel), escaped(&variant.to_string()))).collect()
}

/// All threads, and the best instruction set of this processor.
fn here() -> Setting {
    (Pool::global().threads(), registry::best_isa().name)
}

/// What limits are needed for: this machine as it is, what entries were measured with, and for each number of threads the best there is.
fn settings(entries: &[Entry]) -> BTreeSet<Setting> {
    let (_, best) = here();
    let of_entry = |entry: &Entry| {
        let isa = registry::isas().iter().find(|isa| isa.name == entry.key.isa && isa.is_available())?;
        // More threads than this machine runs at once have no limits of their own.
        let isa = Some(isa).filter(|_| entry.key.threads <= here().0)?;
        Some([(entry.key.threads, isa.name), (entry.key.threads, best)])
    };
    entries.iter().filter_map(of_entry).flatten().chain([here()]).collect()
}
