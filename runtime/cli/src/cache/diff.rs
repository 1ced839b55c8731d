//! `quantloom cache diff`: in what two cache files differ.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use quantloom::tune::{CacheFile, Entry, Key};
use quantloom_spec::text::{escaped, shown};
use serde_json::{Value as Json, json};

use super::super::Failure;
use super::super::failure::{document, print};
use super::super::table::{Align, Table};
use super::{entries, named, shape};

/// Compare two cache files: problems that one of them lacks, other choices, and ratios of times
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: quantloom cache diff other-machine.toml")]
pub struct Args {
    /// A cache file
    #[arg(value_name = "A")]
    one: PathBuf,
    /// Another one [default: this machine's]
    #[arg(value_name = "B")]
    other: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A problem, and what the files have to say about it: one of them at least has something.
struct Pair<'e> {
    key: &'e Key,
    one: Option<&'e Entry>,
    other: Option<&'e Entry>,
}

/// Prints a line for each problem of either file, in the order of their keys.
pub fn run(args: &Args) -> Result<(), Failure> {
    let (one, other) = (CacheFile::open(&args.one)?, named(args.other.as_deref())?);
    let (of_one, of_other) = (entries(&one), entries(&other));
    let pairs = pairs(&of_one, &of_other);
    print(&if args.json { document(&json(&one, &other, &pairs)) } else { text(&one, &other, &pairs) })
}

fn pairs<'e>(one: &'e [Entry], other: &'e [Entry]) -> Vec<Pair<'e>> {
    let by_key = |entries: &'e [Entry]| entries.iter().map(|entry| (&entry.key, entry)).collect::<BTreeMap<_, _>>();
    let (one, other) = (by_key(one), by_key(other));
    let keys = one.keys().chain(other.keys()).copied().collect::<BTreeSet<_>>();
    let pair = |key| Pair { key, one: one.get(key).copied(), other: other.get(key).copied() };
    keys.into_iter().map(pair).collect()
}

impl Pair<'_> {
    fn state(&self) -> &'static str {
        match (self.one, self.other) {
            (Some(one), Some(other)) if one.kernel == other.kernel => "same",
            (Some(_), Some(_)) => "other choice",
            (Some(_), None) => "only in A",
            (None, _) => "only in B",
        }
    }

    /// The time of B's choice over that of A's.
    fn ratio(&self) -> Option<f64> {
        let ns = |entry: Option<&Entry>| Some(entry?.time()?.ns as f64);
        ns(self.other).zip(ns(self.one)).map(|(other, one)| other / one)
    }
}

fn text(one: &CacheFile, other: &CacheFile, pairs: &[Pair<'_>]) -> String {
    let mut table = Table::new(&[
        ("FORMAT", Align::Left),
        ("SHAPE", Align::Right),
        ("BATCH", Align::Right),
        ("THREADS", Align::Right),
        ("CODE", Align::Left),
        ("A", Align::Left),
        ("B", Align::Left),
        ("B/A", Align::Right),
        ("", Align::Left),
    ]);
    for pair in pairs {
        let Pair { key, one, other } = pair;
        table.row([
            key.format.to_string(),
            shape(key),
            key.batch.to_string(),
            key.threads.to_string(),
            key.code.to_string()[..8].to_owned(),
            kernel(*one),
            kernel(*other),
            pair.ratio().map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}")),
            pair.state().to_owned(),
        ]);
    }
    format!("A: {}\nB: {}\n{}\n{table}", line(one), line(other), environments(one, other))
}

fn line(file: &CacheFile) -> String {
    format!("{} ({})", shown(file.path()), escaped(file.environment()))
}

fn environments(one: &CacheFile, other: &CacheFile) -> &'static str {
    if one.environment() == other.environment() { "" } else { "They were measured on machines of two kinds.\n" }
}

/// What follows the format in the name of the kernel that was chosen.
fn kernel(entry: Option<&Entry>) -> String {
    let tile = |entry: &Entry| {
        entry.kernel.strip_prefix(&*entry.key.format).unwrap_or(&entry.kernel).trim_start_matches('.').to_owned()
    };
    entry.map_or_else(|| "-".to_owned(), tile)
}

fn json(one: &CacheFile, other: &CacheFile, pairs: &[Pair<'_>]) -> Json {
    let file = |file: &CacheFile| json!({ "path": file.path().display().to_string(), "environment": file.environment() });
    let of_pair = |pair: &Pair<'_>| {
        let key = pair.key;
        json!({
            "format": key.format,
            "n": key.n,
            "k": key.k,
            "batch": key.batch.to_string(),
            "threads": key.threads,
            "numerics": key.numerics.name(),
            "isa": key.isa,
            "layout": key.layout.name(),
            "code": key.code.to_string(),
            "state": pair.state(),
            "a": pair.one.map(|entry| &entry.kernel),
            "b": pair.other.map(|entry| &entry.kernel),
            "ratio": pair.ratio(),
        })
    };
    json!({ "a": file(one), "b": file(other), "problems": pairs.iter().map(of_pair).collect::<Vec<_>>() })
}
