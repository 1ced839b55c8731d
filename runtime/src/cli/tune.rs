//! `quantloom tune`: choose kernels for the matrices of a model.

use std::collections::BTreeSet;
use std::mem;
use std::path::PathBuf;
use std::time::Duration;

use quantloom::defaults::Defaults;
use quantloom::matmul::Request;
use quantloom::model::Model;
use quantloom::pool::Pool;
use quantloom::tune::{self, Job, Outcome, Tuner, VariantId};
use quantloom::weights::{Layout, Weights};
use serde_json::{Value as Json, json};

use super::Failure;
use super::args::seconds;
use super::failure::{print, tell};
use super::progress::bar;
use super::table::{Align, Table};
use super::{cache, probe};

/// What is spent when nobody says how much.
const BUDGET: Duration = Duration::from_secs(10);

/// What a kernel may take that is run for the first time, in a process of its own: they take milliseconds.
const DEADLINE: Duration = Duration::from_secs(10);

/// Find the fastest kernels for the tensors of a model, and remember them
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: quantloom tune model.gguf --budget 30")]
pub struct Args {
    /// The model: a GGUF file, or a packed copy of one
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Time to spend [default: 10]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub budget: Option<Duration>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Tunes every matrix for the default batch sizes, and prints the choices.
pub fn run(args: &Args) -> Result<(), Failure> {
    let pool = Pool::global();
    let matrices = Model::open(&args.file)?.matrices(Layout::Packed, pool)?;
    if matrices.is_empty() {
        return Err(Failure::input(format!("{}: no tensor has kernels to choose from", args.file.display())));
    }
    let batches = Defaults::get().bench.batches;
    let job = |weights| Job { weights, batches: &batches, request: Request::of(Weights::format(weights)) };
    let jobs = matrices.iter().map(|matrix| job(&matrix.weights)).collect::<Vec<_>>();
    let tuner = Tuner::new(tune::choices());
    let mut warnings = tuner.isolate(&jobs, pool, DEADLINE, &mut probe::command)?;
    let progress = bar((jobs.len() * batches.len()) as u64, "tuning");
    let outcomes = tuner.tune_model(&jobs, pool, args.budget.unwrap_or(BUDGET), &mut |step| {
        progress.set_length(step.total as u64);
        progress.set_position(step.done as u64);
    });
    progress.finish_and_clear();
    let mut outcomes = outcomes?;
    warnings.extend(outcomes.iter_mut().flat_map(|outcome| mem::take(&mut outcome.warnings)));
    warnings.iter().for_each(|warning| tell(&format!("warning: {warning}")));
    print(&if args.json { format!("{:#}\n", json(&outcomes)) } else { text(&outcomes) })
}

fn text(outcomes: &[Outcome]) -> String {
    let mut table = Table::new(&[
        ("FORMAT", Align::Left),
        ("SHAPE", Align::Right),
        ("BATCH", Align::Right),
        ("KERNEL", Align::Left),
        ("FROM", Align::Left),
        ("OF DEFAULT", Align::Right),
    ]);
    for outcome in outcomes {
        let key = &outcome.key;
        table.row([
            key.format.to_string(),
            format!("{}x{}", key.n, key.k),
            key.batch.to_string(),
            outcome.kernel.name.to_owned(),
            outcome.status.name().to_owned(),
            ratio(outcome).map_or_else(|| "-".to_owned(), |ratio| format!("{:.0}%", 100.0 * ratio)),
        ]);
    }
    let ids = outcomes.iter().flat_map(|outcome| &outcome.quarantined).map(|kernel| VariantId::of(kernel));
    let quarantined =
        ids.collect::<BTreeSet<_>>().iter().filter_map(|id| tune::choices().variants().find(id)).collect::<Vec<_>>();
    format!("{table}{}", cache::lines(&quarantined))
}

/// The chosen kernel's time over the default's, if they were measured.
fn ratio(outcome: &Outcome) -> Option<f64> {
    outcome.timings.iter().find(|timing| timing.kernel.name == outcome.kernel.name).map(|timing| timing.ratio)
}

fn json(outcomes: &[Outcome]) -> Json {
    let outcome = |outcome: &Outcome| {
        let timings = outcome.timings.iter().map(|timing| {
            json!({ "variant": timing.kernel.name, "median_ns": timing.median_ns, "ratio": timing.ratio, "rounds": timing.rounds })
        });
        json!({
            "format": outcome.key.format,
            "n": outcome.key.n,
            "k": outcome.key.k,
            "batch": outcome.key.batch.to_string(),
            "numerics": outcome.key.numerics.name(),
            "isa": outcome.key.isa,
            "threads": outcome.key.threads,
            "variant": outcome.kernel.name,
            "default": outcome.default.name,
            "source": outcome.status.name(),
            "timings": timings.collect::<Vec<_>>(),
            "quarantined": outcome.quarantined.iter().map(|kernel| kernel.name).collect::<Vec<_>>(),
        })
    };
    json!({ "choices": outcomes.iter().map(outcome).collect::<Vec<_>>() })
}
