//! `quantloom bench`: how fast the kernels are here.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::time::Duration;

use quantloom::defaults::Defaults;
use quantloom::machine::{Ceilings, Facts, ceilings};
use quantloom::matmul::{Request, Used};
use quantloom::measure::{Cold, Times, Work, synthetic};
use quantloom::pool::Pool;
use quantloom::registry::{self, Format, Isa};
use quantloom::stored::Stored;
use quantloom::weights::{Layout, Weights};

use super::Failure;
use super::args::{Choice, Held, shape};
use super::failure::print;
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
    #[arg(long = "batch", value_name = "M,M,..", value_delimiter = ',')]
    pub batches: Vec<NonZero<usize>>,
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
    let mut bench = Bench { choice: &args.choice, layout: args.held.layout, pool, ceilings: BTreeMap::new() };
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
    print(&if args.json { format!("{:#}\n", json(&machine, &results)) } else { text(&machine, &results) })
}

impl Plan {
    fn of(args: &Args) -> Result<Self, Failure> {
        let defaults = Defaults::get().bench;
        let formats = if args.formats.is_empty() { defaults.formats } else { args.formats.clone() };
        let shapes = if args.shapes.is_empty() { defaults.shapes } else { args.shapes.clone() };
        let batches = args.batches.iter().map(|batch| batch.get()).collect::<Vec<_>>();
        let formats = formats.iter().map(|name| registry::format_by_name(name)).collect::<Result<Vec<_>, _>>()?;
        for (format, &(_, k)) in formats.iter().flat_map(|format| shapes.iter().map(move |shape| (format, shape))) {
            if !k.is_multiple_of(format.block_weights) {
                let multiple = format.block_weights;
                return Err(quantloom::Error::BadK { format: format.name.to_owned(), k, multiple }.into());
            }
        }
        Ok(Self { formats, shapes, batches: if batches.is_empty() { defaults.batches } else { batches } })
    }
}

/// What measurements share.
struct Bench<'a> {
    choice: &'a Choice,
    layout: Layout,
    pool: Pool,
    /// By instruction set: measured once each.
    ceilings: BTreeMap<&'static str, Ceilings>,
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
        let (used, times) = Cold::new(weights, batch)?.time(batch, &request, &self.pool, BUDGET)?;
        let ceilings = *self.ceilings_of(used.launch.kernel.isa);
        Ok(result(format, (n, k), batch, &request, &used, &times, &work, &ceilings))
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

#[expect(clippy::too_many_arguments, reason = "a row has many columns, and each comes from somewhere else")]
fn result(
    format: &Format,
    (n, k): (usize, usize),
    batch: usize,
    request: &Request,
    used: &Used,
    times: &Times,
    work: &Work,
    ceilings: &Ceilings,
) -> BenchResult {
    let median = times.median.as_secs_f64();
    let (ideal, _) = work.ideal(request.numerics, ceilings);
    BenchResult {
        format: format.name.to_owned(),
        n,
        k,
        batch,
        numerics: request.numerics,
        isa: used.launch.kernel.isa.name.to_owned(),
        variant: used.launch.to_string(),
        source: used.source.name().to_owned(),
        median_us: median * 1e6,
        min_us: times.min.as_secs_f64() * 1e6,
        gbps: work.stored_bytes as f64 / median / 1e9,
        packed_gbps: work.packed_bytes as f64 / median / 1e9,
        gops: work.operations / median / 1e9,
        fraction_of_limit: ideal / median,
    }
}
