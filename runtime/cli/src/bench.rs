//! `quantloom bench`: how fast the kernels are here.

use std::collections::BTreeMap;
use std::time::Duration;

use quantloom::defaults::Defaults;
use quantloom::kernels::abi::Pipes;
use quantloom::machine::{Ceilings, Facts, ceilings};
use quantloom::matmul::{Request, Source, Used, candidates};
use quantloom::measure::{Cold, Times, Work, synthetic};
use quantloom::pool::Pool;
use quantloom::registry::{self, Format, Isa};
use quantloom::stored::Stored;
use quantloom::tune::cost::Problem;
use quantloom::tune::{self, Effort, Entry, Key, Lookup};
use quantloom::weights::{Layout, Weights};

use super::Failure;
use super::args::{Choice, Held, batch, shape};
use super::failure::{document, print};
use super::limit::{Bound, FAR_BELOW, pipes};
use super::progress::bar;
use super::results::{BenchResult, Machine, json, text};

/// Time for the calls of one format, shape and batch.
const BUDGET: Duration = Duration::from_millis(400);

/// Measure the kernels that dispatch would choose on this machine
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: quantloom bench --shape 4096x4096 --batch 1,8,128")]
pub struct Args {
    /// Formats, one per option [default: the four of defaults.toml]
    #[arg(long = "format", value_name = "F")]
    pub formats: Vec<String>,
    /// Rows and columns of the weights, one shape per option [default: 4096x4096]
    #[arg(long = "shape", value_name = "NxK", value_parser = shape)]
    pub shapes: Vec<(usize, usize)>,
    /// Rows of the activations [default: 1,8,128]
    #[arg(long = "batch", value_name = "M,M,..", value_delimiter = ',', value_parser = batch)]
    pub batches: Vec<usize>,
    #[command(flatten)]
    pub choice: Choice,
    #[command(flatten)]
    pub held: Held,
    /// What to run on
    #[arg(long, value_enum, default_value_t = Device::Cpu)]
    pub device: Device,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What a benchmark runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Device {
    /// The processor
    Cpu,
    /// A CUDA device
    Cuda,
    /// Whatever WebGPU finds
    Wgpu,
}

/// What is to be measured, defaults filled in.
struct Plan {
    formats: Vec<&'static Format>,
    shapes: Vec<(usize, usize)>,
    batches: Vec<usize>,
}

/// Measures every format, shape and batch.
pub fn run(args: &Args) -> Result<(), Failure> {
    if args.device != Device::Cpu {
        return Err(Failure::input("only the processor can be measured so far; leave out --device"));
    }
    let plan = Plan::of(args)?;
    let pool = args.choice.pool();
    let mut bench = Bench { choice: &args.choice, layout: args.held.layout, pool, ceilings: BTreeMap::new(), pipes: pipes()? };
    let progress = bar((plan.formats.len() * plan.shapes.len() * plan.batches.len()) as u64, "measuring");
    let mut results = Vec::new();
    for format in &plan.formats {
        for &(n, k) in &plan.shapes {
            let stored = synthetic(format, n, k)?;
            for &batch in &plan.batches {
                results.push(bench.measure(format, (n, k), &stored, batch)?);
                progress.inc(1);
            }
        }
    }
    progress.finish_and_clear();
    let machine = bench.machine()?;
    print(&if args.json { document(&json(&machine, &results)) } else { text(&machine, &results) })
}

impl Plan {
    fn of(args: &Args) -> Result<Self, Failure> {
        let defaults = Defaults::get().bench;
        let formats = if args.formats.is_empty() { defaults.formats } else { args.formats.clone() };
        let shapes = if args.shapes.is_empty() { defaults.shapes } else { args.shapes.clone() };
        let formats = formats.iter().map(|name| registry::format_by_name(name)).collect::<Result<Vec<_>, _>>()?;
        for (format, &(_, k)) in formats.iter().flat_map(|format| shapes.iter().map(move |shape| (format, shape))) {
            if !k.is_multiple_of(format.block_weights) {
                let multiple = format.block_weights;
                return Err(quantloom::Error::BadK { format: format.name.to_owned(), k, multiple }.into());
            }
        }
        Ok(Self { formats, shapes, batches: if args.batches.is_empty() { defaults.batches } else { args.batches.clone() } })
    }
}

/// What measurements share.
struct Bench<'a> {
    choice: &'a Choice,
    layout: Layout,
    pool: Pool,
    /// By instruction set: measured once each.
    ceilings: BTreeMap<&'static str, Ceilings>,
    /// Of the processor card; none if there is no card.
    pipes: &'static [Pipes],
}

impl Bench<'_> {
    fn measure(
        &mut self,
        format: &'static Format,
        (n, k): (usize, usize),
        stored: &[u8],
        batch: usize,
    ) -> Result<BenchResult, Failure> {
        let request = self.choice.request(format)?;
        let weights = Weights::with_layout(&Stored::new(format, n, k, stored)?, self.layout, &self.pool)?;
        let work = Work::of(&weights, batch);
        let cold = Cold::new(weights, batch)?;
        let (used, times) = cold.time(batch, &request, &self.pool, BUDGET)?;
        let ceilings = *self.ceilings_of(used.launch.kernel.isa());
        let problem = Problem { n, k, batch, threads: self.pool.threads() };
        let bound = Bound::of(used.launch.kernel, &problem, &work, &ceilings, self.pipes);
        let mut result = result(format, (n, k), batch, &used, &times, &work, &bound);
        if result.fraction_of_limit < FAR_BELOW {
            let entry = self.entry(cold.weights(0), batch, &request)?;
            result.untried = Some(untried(used.source, batch, entry.as_ref()));
        }
        Ok(result)
    }

    /// What was measured of a problem, if anything was.
    fn entry(&self, weights: &Weights, batch: usize, request: &Request<'_>) -> Result<Option<Entry>, Failure> {
        let (numerics, isa) = (request.numerics_of(weights.format()), request.isa_of(weights.format()));
        let key = Key::new(weights, batch, numerics, isa, self.pool.threads());
        let candidates = candidates(weights, numerics, isa)?;
        let lookup = Lookup::new(tune::choices(), weights.format(), key, batch, request.isa, candidates);
        Ok(lookup.explain()?.entry)
    }

    fn ceilings_of(&mut self, isa: &'static Isa) -> &Ceilings {
        let threads = self.pool.threads();
        self.ceilings.entry(isa.name).or_insert_with(|| Ceilings::measure(isa.name, threads, ceilings::BUDGET))
    }

    /// The machine, with the ceilings of the instruction set that was asked for, or else the best.
    fn machine(&mut self) -> Result<Machine, Failure> {
        let isa = self.choice.isa.as_deref().map(registry::isa_by_name).transpose()?.unwrap_or_else(registry::best_isa);
        let threads = self.pool.threads();
        let ceilings = *self.ceilings_of(isa);
        Ok(Machine {
            processor: Facts::detect().processor,
            read_gbps: ceilings.read_gbps,
            int8_gops: ceilings.int8_gops,
            f32_gflops: ceilings.f32_gflops,
            threads,
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

fn result(
    format: &Format,
    (n, k): (usize, usize),
    batch: usize,
    used: &Used,
    times: &Times,
    work: &Work,
    bound: &Bound,
) -> BenchResult {
    let median = times.median.as_secs_f64();
    BenchResult {
        format: format.name.to_owned(),
        n,
        k,
        batch,
        numerics: used.launch.kernel.numerics,
        isa: used.launch.kernel.isa().name.to_owned(),
        variant: used.launch.to_string(),
        brief: used.launch.brief(),
        source: used.source.name().to_owned(),
        median_us: median * 1e6,
        min_us: times.min.as_secs_f64() * 1e6,
        gbps: work.stored_bytes as f64 / median / 1e9,
        packed_gbps: work.packed_bytes as f64 / median / 1e9,
        gops: work.operations / median / 1e9,
        fraction_of_limit: bound.seconds / median,
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
