//! `quantloom bench`: how fast the kernels are here.

#[cfg(feature = "models")]
mod memory;
#[cfg(feature = "models")]
mod model;

use std::path::{Path, PathBuf};
use std::time::Duration;

use quantloom::defaults::Defaults;
use quantloom::gguf::TensorInfo;
use quantloom::kernels::abi::Pipes;
use quantloom::machine::{Facts, Gauge};
use quantloom::matmul::{Request, Source, Used, candidates};
use quantloom::measure::{Cold, Fraction, Times, Work, synthetic};
use quantloom::model::{Kind, Model};
use quantloom::pool::Pool;
use quantloom::registry::{self, Format};
use quantloom::stored::Stored;
use quantloom::tune::cost::Problem;
use quantloom::tune::{self, Effort, Entry, Key, Lookup};
use quantloom::weights::{Layout, Weights};

use super::Failure;
use super::args::{Choice, Held, one_of_batches, shape};
use super::failure::{document, print};
use super::limit::{Bound, FAR_BELOW, pipes, warn_of_debug_build};
use super::progress::bar;
use super::results::{BenchResult, Machine, OfModel, json, text};
use super::source;
use super::stored::warn_of_unknown_types;
use super::token::{Exceptions, Time, passes, peers};

/// Time for the calls of one format, shape and batch, and for the ceilings that are measured in turn with them.
const BUDGET: Duration = Duration::from_millis(400);

/// Measure the kernels that dispatch would choose, for the matrices of a model or for shapes
#[derive(Debug, clap::Args)]
#[command(
    after_help = "FROM says who chose a kernel, GB/s are of the weights as the file has them, and OF LIMIT is the part that a kernel \
                        reaches of what the machine allows, measured in turn with it: reading the weights (`read`), the products \
                        (`dots`), or all instructions (`mix`). Of a model, A TOKEN says how often a token is multiplied by such a \
                        matrix, and the last lines add up how long all of them take.

With --model it is run whole besides: a prompt of 512, a generation of 128, and both in contexts of 4096 and 16384 as far as \
                        the model has them. MATRICES ALONE is what its matrices would allow if nothing else took time, measured after it.

Examples: quantloom bench model.gguf
          quantloom bench --model model.gguf"
)]
pub struct Args {
    /// A model whose matrices are measured: a GGUF file, or a packed copy of one [default: random weights]
    #[arg(value_name = "FILE", conflicts_with_all = ["formats", "shapes"])]
    pub file: Option<PathBuf>,
    /// A model that is run whole, too: a GGUF file, or a packed copy of one
    #[cfg(feature = "models")]
    #[arg(long, value_name = "FILE", conflicts_with_all = ["file", "formats", "shapes", "batches", "kernel", "layout"])]
    pub model: Option<PathBuf>,
    /// Formats, one per option [default: four that are much used]
    #[arg(long = "format", value_name = "F")]
    pub formats: Vec<String>,
    /// Rows and columns of the weights, one shape per option [default: 4096x4096]
    #[arg(long = "shape", value_name = "NxK", value_parser = shape)]
    pub shapes: Vec<(usize, usize)>,
    /// Rows of the activations [default: 1,8,128]
    #[arg(long = "batch", value_name = "M,M,..", value_delimiter = ',', value_parser = one_of_batches, allow_negative_numbers = true)]
    pub batches: Vec<usize>,
    #[command(flatten)]
    pub choice: Choice,
    #[command(flatten)]
    pub held: Held,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Measures every format, shape and batch.
pub fn run(args: &Args) -> Result<(), Failure> {
    #[cfg(feature = "models")]
    if let Some(path) = &args.model {
        return model::run(args, path);
    }
    let model = args.file.as_deref().map(source::model).transpose()?;
    model.iter().for_each(warn_of_unknown_types);
    let plan = match &model {
        Some(model) => some(matrices(model)?, model)?,
        None => shapes(args)?,
    };
    let defaults = Defaults::get().bench.batches;
    let batches = if args.batches.is_empty() { defaults } else { args.batches.clone() };
    let mut bench = Bench::new(&args.choice, args.held.layout)?;
    let results = bench.measure_all(&plan, &batches)?;
    warn_of_debug_build();
    let of_model = args.file.as_deref().map(|path| of_model(path, &results)).transpose()?;
    let machine = bench.machine()?;
    let of_model = of_model.as_ref();
    print(&if args.json { document(&json(&machine, &results, of_model)) } else { text(&machine, &results, of_model) })
}

/// What is measured: matrices of one format and shape.
struct Matrix<'m> {
    format: &'static Format,
    n: usize,
    k: usize,
    /// How often a token is multiplied by such a matrix; nobody knows, if it is of no model.
    per_token: Option<f64>,
    source: WeightsFrom<'m>,
}

/// Where its weights come from.
enum WeightsFrom<'m> {
    Synthetic(Vec<u8>),
    Tensor(&'m Model, &'m TensorInfo),
}

/// The formats and shapes that arguments name, defaults filled in.
fn shapes(args: &Args) -> Result<Vec<Matrix<'static>>, Failure> {
    let defaults = Defaults::get().bench;
    let formats = if args.formats.is_empty() { defaults.formats } else { args.formats.clone() };
    let shapes = if args.shapes.is_empty() { defaults.shapes } else { args.shapes.clone() };
    let formats = formats.iter().map(|name| registry::format_by_name(name)).collect::<Result<Vec<_>, _>>()?;
    let matrix = |format: &'static Format, (n, k): (usize, usize)| {
        if !k.is_multiple_of(format.block_weights) {
            let multiple = format.block_weights;
            return Err(quantloom::Error::BadK { format: format.name.to_owned(), k, multiple }.into());
        }
        Ok(Matrix { format, n, k, per_token: None, source: WeightsFrom::Synthetic(synthetic(format, n, k)?) })
    };
    formats.iter().flat_map(|&format| shapes.iter().map(move |&shape| matrix(format, shape))).collect()
}

/// The matrices of a model that kernels exist for, one of each format and shape.
fn matrices(model: &Model) -> Result<Vec<Matrix<'_>>, Failure> {
    let (file, exceptions) = (model.file(), Exceptions::get());
    let mut matrices = Vec::<Matrix<'_>>::new();
    for tensor in file.tensors().iter().filter(|tensor| model.is_matrix(tensor)) {
        let (Kind::Blocks(format, _) | Kind::Packed(format)) = model.kind(tensor)? else { continue };
        let (n, k, part) = (tensor.rows(), tensor.k(), exceptions.part(file, &tensor.name));
        match matrices.iter_mut().find(|other| (other.format.name, other.n, other.k) == (format.name, n, k)) {
            Some(Matrix { per_token: Some(count), .. }) => *count += part,
            _ => matrices.push(Matrix { format, n, k, per_token: Some(part), source: WeightsFrom::Tensor(model, tensor) }),
        }
    }
    matrices.retain(|matrix| matrix.per_token != Some(0.0));
    matrices.sort_by_key(|matrix| (matrix.format.name, std::cmp::Reverse(matrix.n.saturating_mul(matrix.k))));
    Ok(matrices)
}

/// The matrices, of which there must be some.
fn some<'m>(matrices: Vec<Matrix<'m>>, model: &Model) -> Result<Vec<Matrix<'m>>, Failure> {
    if matrices.is_empty() {
        let path = model.file().path().display();
        return Err(Failure::input(format!("{path}: no tensor has kernels; `quantloom formats` says which formats have")));
    }
    Ok(matrices)
}

/// What the results of all matrices of a model come to.
fn of_model(path: &Path, results: &[BenchResult]) -> quantloom::Result<OfModel> {
    let time = |result: &BenchResult| Time {
        format: result.format.clone(),
        numerics: result.numerics,
        batch: result.batch,
        count: result.per_token.unwrap_or_default(),
        seconds: result.median_us / 1e6,
    };
    let times = results.iter().map(time).collect::<Vec<_>>();
    Ok(OfModel { path: path.display().to_string(), passes: passes(&times, peers()?) })
}

/// What measurements share.
struct Bench<'a> {
    choice: &'a Choice,
    layout: Layout,
    pool: Pool,
    gauge: Gauge,
    /// Of the processor card; none if there is no card.
    pipes: &'static [Pipes],
}

impl<'a> Bench<'a> {
    fn new(choice: &'a Choice, layout: Layout) -> Result<Self, Failure> {
        let pool = choice.pool();
        let gauge = Gauge::new(pool.threads());
        Ok(Self { choice, layout, pool, gauge, pipes: pipes()? })
    }

    fn measure_all(&mut self, plan: &[Matrix<'_>], batches: &[usize]) -> Result<Vec<BenchResult>, Failure> {
        let progress = bar((plan.len() * batches.len()) as u64, "measuring");
        let mut results = Vec::new();
        for matrix in plan {
            for &batch in batches {
                results.push(self.measure(matrix, batch)?);
                progress.inc(1);
            }
        }
        progress.finish_and_clear();
        Ok(results)
    }

    fn measure(&mut self, matrix: &Matrix<'_>, batch: usize) -> Result<BenchResult, Failure> {
        let request = self.choice.request(matrix.format)?;
        let weights = self.weights(matrix)?;
        let (n, k, work) = (weights.n(), weights.k(), Work::of(&weights, batch));
        let cold = Cold::new(weights, batch)?;
        let (used, times, ceilings) = cold.time(batch, &request, &self.pool, &mut self.gauge, BUDGET)?;
        let problem = Problem { n, k, batch, threads: self.pool.threads() };
        let bound = Bound::of(used.launch.kernel, &problem, &work, &ceilings, self.pipes);
        let mut result = result(matrix, batch, &used, &times, &work, &bound);
        if result.fraction_of_limit.0 < FAR_BELOW {
            let entry = self.entry(cold.weights(0), batch, &request)?;
            result.untried = Some(untried(used.source, batch, entry.as_ref()));
        }
        Ok(result)
    }

    fn weights(&self, matrix: &Matrix<'_>) -> Result<Weights, Failure> {
        match &matrix.source {
            WeightsFrom::Synthetic(stored) => {
                let stored = Stored::new(matrix.format, matrix.n, matrix.k, stored)?;
                Ok(Weights::with_layout(&stored, self.layout, &self.pool)?)
            }
            WeightsFrom::Tensor(model, tensor) => Ok(model.weights(tensor, self.layout, &self.pool)?),
        }
    }

    /// What was measured of a problem, if anything was.
    fn entry(&self, weights: &Weights, batch: usize, request: &Request) -> Result<Option<Entry>, Failure> {
        let (numerics, isa) = (request.numerics_of(weights.format()), request.isa_of(weights.format()));
        let key = Key::new(weights, batch, numerics, isa, self.pool.threads());
        let candidates = candidates(weights, numerics, isa)?;
        let lookup = Lookup::new(tune::choices(), weights.format(), key, batch, request.isa, candidates);
        Ok(lookup.explain()?.entry)
    }

    /// The machine, with the ceilings of the instruction set that was asked for, or else the best.
    fn machine(&mut self) -> Result<Machine, Failure> {
        let isa = self.choice.isa.as_deref().map(registry::isa_by_name).transpose()?.unwrap_or_else(registry::best_isa);
        if self.gauge.ceilings(isa.name).int8_gops == 0.0 {
            // All kernels were of another: of its base.
            self.gauge.rounds_for(isa.name, Duration::ZERO);
        }
        Ok(Machine {
            processor: Facts::detect().processor,
            ceilings: self.gauge.ceilings(isa.name),
            steadiness: self.gauge.steadiness(isa.name),
        })
    }
}

/// What was not tried to come nearer to the limit.
fn untried(source: Source, batch: usize, entry: Option<&Entry>) -> String {
    let all = format!("`quantloom tune MODEL --batch {batch}`");
    match (source, entry) {
        (Source::Pin, _) => "pinned: nothing else was tried".to_owned(),
        (Source::Memory | Source::Cache, Some(Entry { times, kernel, effort, .. })) => {
            let more = if *effort == Effort::Full { String::new() } else { format!("; {all} tries all") };
            format!("tuned: {} launches were tried, the best was {kernel}{more}", times.len())
        }
        _ => format!("not tuned here: run {all}"),
    }
}

fn result(matrix: &Matrix<'_>, batch: usize, used: &Used, times: &Times, work: &Work, bound: &Bound) -> BenchResult {
    let median = times.median.as_secs_f64();
    BenchResult {
        format: matrix.format.name.to_owned(),
        n: matrix.n,
        k: matrix.k,
        per_token: matrix.per_token,
        batch,
        numerics: used.launch.kernel.numerics,
        isa: used.launch.kernel.isa().name.to_owned(),
        kernel: used.launch.to_string(),
        brief: used.launch.brief(),
        source: used.source.name().to_owned(),
        median_us: median * 1e6,
        min_us: times.min.as_secs_f64() * 1e6,
        gbps: work.stored_bytes as f64 / median / 1e9,
        packed_gbps: work.packed_bytes as f64 / median / 1e9,
        gops: work.operations / median / 1e9,
        fraction_of_limit: Fraction(bound.seconds / median),
        limit_us: bound.seconds * 1e6,
        limit: bound.by,
        untried: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quantloom::tune::{Digest, Origin, Time};

    fn entry(effort: Effort) -> Entry {
        let format = registry::formats().find(|format| !registry::kernels(format).is_empty()).unwrap();
        let kernel = &registry::kernels(format)[0];
        let time = Time { kernel: "a@far=1".to_owned(), ns: 5, ratio: 1.0, rounds: 2 };
        Entry {
            key: Key::of(format, (16, 256), Layout::Packed, 8, kernel.numerics, kernel.isa(), 1),
            kernel: "a@far=1".to_owned(),
            kernel_hash: Digest(1),
            default: "b".to_owned(),
            measured: 8,
            spread: 1.0,
            effort,
            origin: Origin::Local,
            system: "any".to_owned(),
            times: vec![time.clone(), Time { kernel: "b".to_owned(), ..time }],
        }
    }

    #[test]
    fn what_was_not_tried_depends_on_who_chose() {
        let said = |source, effort| untried(source, 8, Some(&entry(effort)));
        let tuned = "tuned: 2 launches were tried, the best was a@far=1";
        for source in [Source::Memory, Source::Cache] {
            assert_eq!(said(source, Effort::Full), tuned);
            assert_eq!(said(source, Effort::Quick), format!("{tuned}; `quantloom tune MODEL --batch 8` tries all"));
        }
        for source in [Source::Shipped, Source::Relative, Source::Model, Source::Default] {
            assert_eq!(said(source, Effort::Full), "not tuned here: run `quantloom tune MODEL --batch 8`");
        }
        assert!(said(Source::Pin, Effort::Full).starts_with("pinned"));
    }
}
