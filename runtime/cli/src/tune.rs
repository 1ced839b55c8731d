//! `quantloom tune`: choose kernels for the matrices of a model, or for a list of shapes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use quantloom::defaults::Defaults;
use quantloom::machine::processor;
use quantloom::matmul::{Request, candidates_of};
use quantloom::pool::Pool;
use quantloom::registry::{self, Format, Isa, Numerics};
use quantloom::tune::{self, Effort, Job, List, Mode, Outcome, Problem, Progress, Status, Tuner, VariantId};
use quantloom::weights::{Layout, Weights};
use serde_json::{Value as Json, json};

use super::Failure;
use super::args::{class, effort, one_of_batches, seconds, thread_count, threads};
use super::failure::{document, print, tell};
use super::progress::bar;
use super::report::numbers::count;
use super::stored::warn_of_unknown_types;
use super::table::{Align, Table};
use super::{cache, probe, source};

/// What is spent when nobody says how much.
const BUDGET: Duration = Duration::from_secs(10);

/// What a kernel may take that is run for the first time, in a process of its own: they take milliseconds.
const DEADLINE: Duration = Duration::from_secs(10);

/// Find the fastest kernels for the tensors of a model or for a list of shapes, and remember them
#[derive(Debug, clap::Args)]
#[command(after_help = "What there is no time for is listed in `untuned.toml` beside the cache.

Example: quantloom tune model.gguf --budget 30")]
pub struct Args {
    /// The model: a GGUF file, or a packed copy of one; or a list of problems, which ends with .toml
    #[arg(value_name = "FILE", required_unless_present = "from")]
    pub file: Option<PathBuf>,
    /// A list of problems, such as the one that was left for lack of time
    #[arg(long, value_name = "LIST", conflicts_with = "file")]
    pub from: Option<PathBuf>,
    /// Time to spend [default: 10]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
    pub budget: Option<Duration>,
    /// Rows of the activations [default: 1,8,128 for a model, as it says for a list]
    #[arg(long = "batch", value_name = "M,M,..", value_delimiter = ',', value_parser = one_of_batches, allow_negative_numbers = true)]
    pub batches: Vec<usize>,
    /// Threads [default: as many as the processor runs at once, or as a list says]
    #[arg(long, value_name = "T", value_parser = thread_count, allow_negative_numbers = true)]
    pub threads: Option<u16>,
    /// Instruction set [default: the best of this processor, or as a list says]
    #[arg(long, value_name = "NAME")]
    pub isa: Option<String>,
    /// Numerics class, of formats that have it
    #[arg(long, value_name = "CLASS", value_parser = class())]
    pub numerics: Option<Numerics>,
    /// How thoroughly to measure
    #[arg(long, value_name = "EFFORT", value_parser = effort(), default_value = "full")]
    pub effort: Effort,
    /// Measure what is known, too
    #[arg(long)]
    pub force: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Tunes, prints the choices, and keeps a list of what there was no time for.
pub fn run(args: &Args) -> Result<(), Failure> {
    refuse_off(settings()?)?;
    let path = args.from.as_deref().or(args.file.as_deref()).unwrap_or(Path::new(""));
    let is_list = args.from.is_some() || path.extension().is_some_and(|extension| extension == "toml");
    let isa = args.isa.as_deref().map(registry::isa_by_name).transpose()?;
    let plan = Plan { args, isa, batches: args.batches.clone() };
    let (outcomes, untuned, pool, time) = if is_list { plan.tune_list(path)? } else { plan.tune_model(path)? };
    outcomes.iter().flat_map(|outcome| &outcome.warnings).for_each(warn);
    print(&if args.json { document(&json(&outcomes)) } else { text(&outcomes, time) })?;
    leave(untuned, &pool);
    Ok(())
}

/// When to measure, of a user whose words are all understood: what is measured otherwise would be of something else.
///
/// # Errors
/// One of them is not.
pub fn settings() -> Result<Mode, Failure> {
    processor::here()?;
    tune::choices().pins()?.all()?;
    Ok(tune::choices().mode()?)
}

/// Refuses to measure what nobody would follow.
fn refuse_off(mode: Mode) -> Result<(), Failure> {
    if mode.follows_measurements() {
        return Ok(());
    }
    let name = tune::MODE;
    Err(Failure::input(format!("{name}={mode}: nothing that was measured is followed then; unset {name} to tune")))
}

/// What was asked for.
struct Plan<'a> {
    args: &'a Args,
    isa: Option<&'static Isa>,
    batches: Vec<usize>,
}

/// The outcomes, the problems without one, what they ran on, and the time they took.
type Done = (Vec<Outcome>, List, Pool, Duration);

impl Plan<'_> {
    fn tune_model(&self, path: &Path) -> Result<Done, Failure> {
        let pool = Pool::new(threads(self.args.threads));
        let model = source::model(path)?;
        warn_of_unknown_types(&model);
        let matrices = model.matrices(Layout::Packed, &pool)?;
        if matrices.is_empty() {
            return Err(Failure::input(format!("{}: no tensor has kernels to choose from", path.display())));
        }
        let batches = if self.batches.is_empty() { Defaults::get().bench.batches } else { self.batches.clone() };
        let request = |weights: &Weights| self.request(Request::default(), weights.format());
        let jobs =
            matrices.iter().map(|matrix| Job::new(&matrix.weights, &batches, request(&matrix.weights))).collect::<Vec<_>>();
        self.isolate(jobs.iter().map(|job| (job.weights.format(), job.request)))?;
        let start = Instant::now();
        let outcomes = with_bar(|step| self.tuner().tune_model(&jobs, &pool, self.budget(), step))?;
        let time = start.elapsed();
        let mut untuned = List::default();
        let outcomes_left = outcomes.iter().filter(|outcome| outcome.status == Status::Untuned);
        untuned.extend(outcomes_left.filter_map(|outcome| problem(outcome, &batches)), &pool);
        Ok((outcomes, untuned, pool, time))
    }

    fn tune_list(&self, path: &Path) -> Result<Done, Failure> {
        let mut problems = List::read(path)?.problems;
        let usual = threads(self.args.threads);
        for problem in &mut problems {
            problem.request = self.request(problem.request, problem.format);
            if !self.batches.is_empty() {
                problem.batches.clone_from(&self.batches);
            }
            if self.args.threads.is_some() || problem.request.threads == 0 {
                problem.request.threads = usual;
            }
        }
        let most = problems.iter().map(|problem| problem.request.threads).max().unwrap_or(1);
        let pool = Pool::new(most);
        self.isolate(problems.iter().map(|problem| (problem.format, problem.request)))?;
        let start = Instant::now();
        let outcomes = with_bar(|step| self.tuner().tune_list(&problems, &pool, self.budget(), step))?;
        let time = start.elapsed();
        let mut untuned = List { problems };
        untuned.retain_unknown(tune::choices(), &pool);
        Ok((outcomes, untuned, pool, time))
    }

    /// Tries kernels that were never run here in a process of their own.
    fn isolate(&self, problems: impl Iterator<Item = (&'static Format, Request)>) -> Result<(), Failure> {
        let mut kernels = Vec::new();
        for (format, request) in problems {
            kernels.extend(candidates_of(format, request.numerics_of(format), request.isa_of(format))?);
        }
        self.tuner().isolate(&kernels, DEADLINE, &mut probe::command).iter().for_each(warn);
        Ok(())
    }

    fn tuner(&self) -> Tuner<'static> {
        Tuner::new(tune::choices()).effort(self.args.effort).forced(self.args.force)
    }

    fn budget(&self) -> Duration {
        self.args.budget.unwrap_or(BUDGET)
    }

    /// A request with what the arguments say instead.
    fn request(&self, request: Request, format: &Format) -> Request {
        let class = self.args.numerics.filter(|class| registry::numerics(format).contains(class));
        request.numerics(class.or(request.numerics)).isa(self.isa.or(request.isa))
    }
}

fn warn(warning: &quantloom::Error) {
    tell(&format!("warning: {warning}"));
}

/// Shows how far the work has come.
fn with_bar(
    work: impl FnOnce(&mut dyn FnMut(Progress<'_>)) -> quantloom::Result<Vec<Outcome>>,
) -> quantloom::Result<Vec<Outcome>> {
    let progress = bar(0, "tuning");
    let outcomes = work(&mut |step| {
        progress.set_length(step.total as u64);
        progress.set_position(step.done as u64);
    });
    progress.finish_and_clear();
    outcomes
}

/// The problem of an outcome, for a list. Which of the batch sizes it was tells its bucket.
fn problem(outcome: &Outcome, batches: &[usize]) -> Option<Problem> {
    let key = &outcome.key;
    let batch = batches.iter().copied().find(|&batch| key.batch.contains(batch)).unwrap_or(key.batch.first());
    let request = Request::default().numerics(key.numerics).isa(registry::isa_by_name(&key.isa).ok()?).threads(key.threads);
    let format = registry::format_by_name(&key.format).ok()?;
    Some(Problem::new(format, (key.n, key.k), vec![batch], request).layout(key.layout))
}

/// Keeps the list of what there was no time for, and says how to go on.
fn leave(untuned: List, pool: &Pool) {
    let count = untuned.problems.iter().map(|problem| problem.batches.len()).sum::<usize>();
    match (untuned.leave(tune::choices(), pool), List::untuned_path(tune::choices())) {
        (Ok(_), Some(path)) if count > 0 => {
            tell(&format!("note: there was no time for {count} problems; to go on: quantloom tune --from '{}'", path.display()))
        }
        (Ok(_), _) => {}
        (Err(warning), _) => tell(&format!("warning: {warning}")),
    }
}

fn text(outcomes: &[Outcome], time: Duration) -> String {
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
            outcome.launch.to_string(),
            outcome.status.name().to_owned(),
            ratio(outcome).map_or_else(|| "-".to_owned(), |ratio| format!("{:.0}%", 100.0 * ratio)),
        ]);
    }
    let ids = outcomes.iter().flat_map(|outcome| &outcome.quarantined).map(|kernel| VariantId::of(kernel));
    let quarantined =
        ids.collect::<BTreeSet<_>>().iter().filter_map(|id| tune::choices().variants().find(id)).collect::<Vec<_>>();
    let seconds = time.as_secs_f64();
    let problems = count(outcomes.len(), "problem", "problems");
    format!("{table}{}{problems} in {seconds:.3} s\n", cache::lines(&quarantined))
}

/// The chosen kernel's time over the default's, if they were measured.
fn ratio(outcome: &Outcome) -> Option<f64> {
    outcome.timings.iter().find(|timing| timing.launch == outcome.launch).map(|timing| timing.ratio)
}

fn json(outcomes: &[Outcome]) -> Json {
    let outcome = |outcome: &Outcome| {
        let timings = outcome.timings.iter().map(|timing| {
            json!({ "kernel": timing.launch.to_string(), "median_ns": timing.median_ns, "ratio": timing.ratio, "rounds": timing.rounds })
        });
        json!({
            "format": outcome.key.format,
            "n": outcome.key.n,
            "k": outcome.key.k,
            "batch": outcome.key.batch.to_string(),
            "numerics": outcome.key.numerics.name(),
            "isa": outcome.key.isa,
            "threads": outcome.key.threads,
            "kernel": outcome.launch.to_string(),
            "default": outcome.default.to_string(),
            "source": outcome.status.name(),
            "timings": timings.collect::<Vec<_>>(),
            "quarantined": outcome.quarantined.iter().map(|kernel| kernel.name).collect::<Vec<_>>(),
        })
    };
    json!({ "choices": outcomes.iter().map(outcome).collect::<Vec<_>>() })
}
