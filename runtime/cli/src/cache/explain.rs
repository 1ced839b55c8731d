//! `quantloom cache explain`: why a kernel runs.

use quantloom::matmul::candidates_of;
use quantloom::registry;
use quantloom::tune::{self, Answer, Candidate, Entry, Explanation, Key, Lookup, Time};

use super::super::Failure;
use super::super::args::{Choice, Held, batch, shape, some_format};
use super::super::failure::print;
use super::super::screen::filled;
use super::super::table::{Align, Table};
use super::micros;

/// Say which kernel runs for a problem, who chose it, and what became of the others
#[derive(Debug, clap::Args)]
#[command(after_help = format!("Example: quantloom cache explain {} 4096x4096 --batch 8", some_format()))]
pub struct Args {
    /// Name of a format, in any case
    #[arg(value_name = "FORMAT")]
    format: String,
    /// Rows and columns of the weights
    #[arg(value_name = "NxK", value_parser = shape)]
    shape: (usize, usize),
    /// Rows of the activations
    #[arg(long, value_name = "M", default_value = "1", value_parser = batch, allow_negative_numbers = true)]
    batch: usize,
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    held: Held,
}

/// Looks the problem up, and prints every step.
pub fn run(args: &Args) -> Result<(), Failure> {
    let format = registry::format_by_name(&args.format)?;
    let request = args.choice.request(format)?;
    let (numerics, isa) = (request.numerics_of(format), request.isa_of(format));
    let candidates = candidates_of(format, numerics, isa)?;
    let (batch, threads) = (args.batch, args.choice.pool().threads());
    let key = Key::of(format, args.shape, args.held.layout, batch, numerics, isa, threads);
    let explanation = Lookup::new(tune::choices(), format, key, batch, request.isa, candidates).explain()?;
    print(&text(&explanation, batch))
}

fn text(explanation: &Explanation, batch: usize) -> String {
    let Explanation { key, links, candidates, entry, .. } = explanation;
    let Key { format, n, k, batch: bucket, numerics, isa, threads, layout, .. } = key;
    let layout = layout.name();
    let title = format!("{format} {n}x{k} {layout}, batch {batch} of {bucket}, {numerics}, {isa}, threads {threads}");
    let mut text = format!("{}\n\n", filled(&title, 2));
    let mut decided = false;
    for link in links {
        let (mark, answer) = match &link.answer {
            Answer::Kernel(launch) if !decided => {
                decided = true;
                (">", launch.to_string())
            }
            Answer::Kernel(launch) => (" ", launch.to_string()),
            Answer::Silent(silence) => (" ", silence.to_string()),
        };
        text += &format!("{}\n", filled(&format!("{mark} {:9} {answer}", link.source), 12));
    }
    let mut table = Table::new(&[
        ("KERNEL", Align::Left),
        ("EXPECTED µs", Align::Right),
        ("µs", Align::Right),
        ("OF DEFAULT", Align::Right),
        ("ROUNDS", Align::Right),
        ("", Align::Left),
    ]);
    for candidate in candidates {
        table.row(row(candidate, entry.as_ref()));
        let others = entry.iter().flat_map(|entry| others(entry, candidate));
        others.for_each(|(time, entry)| table.row(row_of_arguments(time, entry)));
    }
    text += &format!("\n{table}");
    if let Some(Entry { measured, effort, spread, origin, system, .. }) = entry {
        let (effort, origin) = (effort.name(), origin.name());
        let measured = format!("measured at batch {measured}, effort {effort}, spread {spread:.2}, {origin}: {system}");
        text += &format!("\n{}\n", filled(&measured, 2));
    }
    text
}

fn row(candidate: &Candidate, entry: Option<&Entry>) -> [String; 6] {
    let time = entry.and_then(|entry| entry.time_of_kernel(candidate.kernel.name));
    let expected = candidate.expected_ns.map_or_else(|| "-".to_owned(), |ns| format!("{:.1}", ns / 1e3));
    cells(candidate.kernel.name, &expected, time, fate(candidate, time, entry))
}

/// What else was measured of a candidate: with other arguments than those that [`row`] tells of.
fn others<'e>(entry: &'e Entry, candidate: &Candidate) -> impl Iterator<Item = (&'e Time, &'e Entry)> {
    let (name, told) = (candidate.kernel.name, entry.time_of_kernel(candidate.kernel.name));
    let others = entry.times.iter().filter(move |time| time.name() == name && told != Some(*time));
    others.map(move |time| (time, entry))
}

fn row_of_arguments(time: &Time, entry: &Entry) -> [String; 6] {
    let arguments = time.kernel.strip_prefix(time.name()).filter(|arguments| !arguments.is_empty());
    let arguments = format!("  {}", arguments.unwrap_or("as its card has it"));
    cells(&arguments, "", Some(time), of_time(time, entry))
}

fn cells(name: &str, expected: &str, time: Option<&Time>, fate: &str) -> [String; 6] {
    let told = |tell: fn(&Time) -> String| time.map_or_else(|| "-".to_owned(), tell);
    [
        name.to_owned(),
        expected.to_owned(),
        micros(time),
        told(|time| format!("{:.1}%", 100.0 * time.ratio)),
        told(|time| time.rounds.to_string()),
        fate.to_owned(),
    ]
}

/// What became of a candidate.
fn fate(candidate: &Candidate, time: Option<&Time>, entry: Option<&Entry>) -> &'static str {
    match time.zip(entry) {
        _ if candidate.chosen && candidate.default => "runs, and is the default",
        _ if candidate.chosen => "runs",
        _ if candidate.quarantined => "quarantined",
        _ if candidate.default => "the default",
        None => "not measured",
        Some((time, entry)) => of_time(time, entry),
    }
}

/// What became of what was measured and does not run.
fn of_time(time: &Time, entry: &Entry) -> &'static str {
    let most = entry.times.iter().map(|time| time.rounds).max().unwrap_or(0);
    match time {
        _ if time.rounds < most => "dropped out",
        _ if time.ratio < 1.0 => "not clearly the fastest",
        _ => "slower",
    }
}
