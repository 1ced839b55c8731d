//! `quantloom` without a command: tunes the bundled model and some layers of a larger one, and prints what won.

use std::time::Duration;

use quantloom::gguf::Gguf;
use quantloom::machine::{Ceilings, Facts, ceilings};
use quantloom::matmul::{Request, Source};
use quantloom::measure::{Cold, Limit, Work, synthetic, unfused};
use quantloom::model::{Kind, Matrix, Model};
use quantloom::pool::Pool;
use quantloom::registry::{self, Format};
use quantloom::stored::Stored;
use quantloom::tune::{self, Job, Outcome, Status, Tuner};
use quantloom::weights::{Layout, Weights};
use quantloom_spec::text::shown;

use super::Failure;
use super::defaults::{Demo, MODEL};
use super::failure::{print, tell};
use super::progress::bar;
use super::table::{Align, Table};

/// Time to tune in: the rest of the demo takes about as long again.
const TUNING: Duration = Duration::from_secs(8);
/// Time to measure one line of the table in.
const LINE: Duration = Duration::from_millis(60);
/// Rows that are decoded to measure what unfused multiplication costs.
const UNFUSED_ROWS: usize = 256;

/// Tunes, measures and prints.
pub fn run() -> Result<(), Failure> {
    let demo = Demo::get();
    let pool = Pool::global();
    let facts = Facts::detect();
    let isa = registry::best_isa();
    let ceilings = Ceilings::measure(isa.name, pool.threads(), ceilings::BUDGET);
    print(&format!(
        "{}, {} threads, {}: reads {:.1} GB/s, int8 {:.0} Gop/s\n\n",
        facts.processor,
        pool.threads(),
        isa.name,
        ceilings.read_gbps,
        ceilings.int8_gops
    ))?;

    let mut problems = bundled(pool)?;
    problems.extend(layers(&demo, pool)?);
    let outcomes = tune(&problems, &demo.batches, pool)?;
    print(&summary(&outcomes))?;
    let table = measure(&problems, &demo.batches, &ceilings, pool)?;
    print(&format!("\n{table}\n{}", legend()))
}

/// A matrix of the demo, with its stored form for comparison.
struct Problem {
    matrix: Matrix,
    stored: Vec<u8>,
}

/// The matrices of the bundled model, one of each format and shape.
fn bundled(pool: &Pool) -> Result<Vec<Problem>, Failure> {
    let model = Model::new(Gguf::from_bytes("the bundled model", MODEL.to_vec())?)?;
    let mut problems = Vec::<Problem>::new();
    for matrix in model.matrices(Layout::Packed, pool)? {
        let known = |other: &Problem| same_problem(&other.matrix.weights, &matrix.weights);
        if problems.iter().any(known) {
            continue;
        }
        let tensor = model.file().tensor(&matrix.name)?;
        if let Kind::Blocks(_, shape) = model.kind(tensor)? {
            let stored = model.file().bytes(tensor, shape)?.to_vec();
            problems.push(Problem { matrix, stored });
        }
    }
    Ok(problems)
}

/// Whether two matrices are the same problem for a kernel.
fn same_problem(one: &Weights, other: &Weights) -> bool {
    let problem = |weights: &Weights| (weights.format().name, weights.n(), weights.k());
    problem(one) == problem(other)
}

/// The layer shapes of a larger model, with synthetic weights.
fn layers(demo: &Demo, pool: &Pool) -> Result<Vec<Problem>, Failure> {
    let format: &'static Format = registry::format_by_name(&demo.format)?;
    let problem = |&(n, k): &(usize, usize)| {
        let stored = synthetic(format, n, k)?;
        let weights = Weights::pack(format, n, k, &stored, pool)?;
        Ok(Problem { matrix: Matrix::new("a layer", weights), stored })
    };
    demo.shapes.iter().map(problem).collect()
}

fn tune<'p>(problems: &'p [Problem], batches: &'p [usize], pool: &Pool) -> Result<Vec<Outcome>, Failure> {
    let job = |problem: &'p Problem| Job::new(&problem.matrix.weights, batches, Request::default());
    let jobs = problems.iter().map(job).collect::<Vec<_>>();
    let progress = bar((problems.len() * batches.len()) as u64, "tuning");
    let outcomes =
        Tuner::new(tune::choices()).tune_model(&jobs, pool, TUNING, &mut |step| progress.set_position(step.done as u64));
    progress.finish_and_clear();
    let outcomes = outcomes?;
    outcomes.iter().flat_map(|outcome| &outcome.warnings).for_each(|warning| tell(&format!("warning: {warning}")));
    Ok(outcomes)
}

/// Where the choices come from, in one line.
fn summary(outcomes: &[Outcome]) -> String {
    let count = |wanted: fn(Status) -> bool| outcomes.iter().filter(|outcome| wanted(outcome.status)).count();
    let cached = count(|status| status == Status::Known(Source::Cache));
    let tuned = count(|status| status == Status::Tuned);
    let rest = outcomes.len() - cached - tuned;
    let path = tune::choices().path().map_or_else(String::new, |path| format!("\ncache: {}", shown(path)));
    let rest = if rest == 0 { String::new() } else { format!(", {rest} left for a quieter time") };
    format!("{} choices: {cached} from the cache, {tuned} tuned now{rest}{path}\n", outcomes.len())
}

fn measure(problems: &[Problem], batches: &[usize], ceilings: &Ceilings, pool: &Pool) -> Result<Table, Failure> {
    let mut table = Table::new(&[
        ("SHAPE", Align::Right),
        ("BATCH", Align::Right),
        ("KERNEL", Align::Left),
        ("FROM", Align::Left),
        ("SPEED", Align::Right),
        ("LIMIT", Align::Right),
        ("OF IT", Align::Right),
        ("SPEED-UP", Align::Right),
    ]);
    let progress = bar((problems.len() * batches.len()) as u64, "measuring");
    for Problem { matrix, stored } in problems {
        for &batch in batches {
            table.row(line(&matrix.weights, stored, batch, ceilings, pool)?);
            progress.inc(1);
        }
    }
    progress.finish_and_clear();
    Ok(table)
}

fn line(weights: &Weights, stored: &[u8], batch: usize, ceilings: &Ceilings, pool: &Pool) -> Result<[String; 8], Failure> {
    let request = Request::default();
    let work = Work::of(weights, batch);
    let (used, times) = Cold::new(weights.duplicate()?, batch)?.time(batch, &request, pool, LINE)?;
    let (ideal, limit) = work.ideal(used.launch.kernel.numerics, ceilings);
    let stored = Stored::new(weights.format(), weights.n(), weights.k(), stored)?;
    let unfused = unfused(&stored, batch, used.launch.kernel.isa(), UNFUSED_ROWS, pool)?;
    let seconds = times.median.as_secs_f64();
    let (amount, unit) = match limit {
        Limit::Memory => (work.packed_bytes as f64 / 1e9, "GB/s"),
        Limit::Arithmetic => (work.operations / 1e9, "Gop/s"),
    };
    Ok([
        format!("{}x{}", weights.n(), weights.k()),
        batch.to_string(),
        used.launch.kernel.name.to_owned(),
        used.source.to_string(),
        format!("{:.1} {unit}", amount / seconds),
        format!("{:.1} {unit}", amount / ideal),
        format!("{:.0}%", 100.0 * ideal / seconds),
        format!("{:.1}x", unfused / seconds),
    ])
}

fn legend() -> &'static str {
    "LIMIT: reading the packed weights, or the int8 dot unit, whichever takes longer. SPEED-UP: over decoding\n\
     the weights to f32 and multiplying those.\n"
}
