//! `quantloom cache show`: the choices in a cache file.

use std::path::PathBuf;

use quantloom::tune::{self, CacheFile, Contents, Entry, Time, Variant};
use serde_json::{Value as Json, json};

use super::super::Failure;
use super::super::failure::{document, print};
use super::super::table::{Align, Table};
use super::{damage, lines, micros, named, shape};

/// Print the choices for this machine, or those of a file
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: quantloom cache show --cache other-machine.toml")]
pub struct Args {
    /// A cache file from elsewhere, instead of this machine's
    #[arg(long, value_name = "FILE")]
    cache: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Prints the entries in the order of their keys.
pub fn run(args: &Args) -> Result<(), Failure> {
    let file = named(args.cache.as_deref())?;
    let contents = file.read();
    // What became of kernels is known of this machine only.
    let quarantined = if args.cache.is_none() { tune::choices().variants().quarantined() } else { Vec::new() };
    print(&if args.json { document(&json(&file, &contents, &quarantined)) } else { text(&contents) + &lines(&quarantined) })
}

fn text(contents: &Contents) -> String {
    let mut table = Table::new(&[
        ("SHAPE", Align::Right),
        ("BATCH", Align::Right),
        ("THREADS", Align::Right),
        ("KERNEL", Align::Left),
        ("µs", Align::Right),
        ("DEFAULT", Align::Right),
        ("EFFORT", Align::Left),
        ("ORIGIN", Align::Left),
        ("STATE", Align::Left),
    ]);
    for entry in &contents.entries {
        table.row([
            shape(&entry.key),
            entry.key.batch.to_string(),
            entry.key.threads.to_string(),
            entry.kernel.clone(),
            micros(entry.time()),
            micros(entry.time_of(&entry.default)),
            entry.effort.name().to_owned(),
            entry.origin.name().to_owned(),
            state(entry).to_owned(),
        ]);
    }
    let unreadable = if contents.unreadable == 0 { String::new() } else { damage(contents.unreadable) + "\n" };
    format!("{table}{unreadable}")
}

/// Whether the entry counts here.
fn state(entry: &Entry) -> &'static str {
    if entry.launch().is_some() { "ready" } else { "of another build" }
}

fn json(file: &CacheFile, contents: &Contents, quarantined: &[Variant]) -> Json {
    let why = |variant: &Variant| json!({ "kernel": variant.id.kernel, "why": variant.to_string() });
    json!({
        "path": file.path().display().to_string(),
        "environment": file.environment(),
        "unreadable": contents.unreadable,
        "quarantined": quarantined.iter().map(why).collect::<Vec<_>>(),
        "entries": contents.entries.iter().map(json_of).collect::<Vec<_>>(),
    })
}

fn json_of(entry: &Entry) -> Json {
    let key = &entry.key;
    let time =
        |Time { kernel, ns, ratio, rounds }: &Time| json!({ "kernel": kernel, "ns": ns, "ratio": ratio, "rounds": rounds });
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
        "kernel": entry.kernel,
        "default": entry.default,
        "measured": entry.measured,
        "spread": entry.spread,
        "effort": entry.effort.name(),
        "origin": entry.origin.name(),
        "system": entry.system,
        "state": state(entry),
        "times": entry.times.iter().map(time).collect::<Vec<_>>(),
    })
}
