//! Operations in one call, in turn with their products alone, call by call.

use std::iter;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use quantloom::matmul::{Request, matmul};
use quantloom::measure::{Cold, activations, synthetic};
use quantloom::operation::{self, Call, Norm, Operation, Projection, Projections, Prologue};
use quantloom::pool::Pool;
use quantloom::registry;
use quantloom::weights::Weights;
use quantloom_bench::defaults::{Defaults, Fused};
use quantloom_bench::exit::{self, Result};

/// Measures what operations cost beside their products alone.
#[derive(Debug, Parser)]
struct Args {
    /// Seconds for one operation and batch size
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
    /// Threads
    #[arg(long, default_value_t = 1)]
    threads: usize,
}

fn main() -> ExitCode {
    exit::code(run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    let budget = Duration::try_from_secs_f64(args.seconds)?;
    let Fused { formats, shape, batches } = Defaults::get().fused;
    let pool = Pool::new(args.threads);
    println!("{shape}, threads {}, medians of calls in turn\n", args.threads);
    println!("FORMAT  OPERATION        BATCH  PRODUCTS µs  ONE CALL µs  TIMES AS LONG");
    for name in &formats {
        let format = registry::format_by_name(name)?;
        let stored = synthetic(format, shape.n, shape.k)?;
        for operation in operation::all() {
            for &batch in &batches {
                let matrix = || Ok(Cold::new(Weights::pack(format, shape.n, shape.k, &stored, &pool)?, batch)?);
                let matrices = iter::repeat_with(matrix).take(projections(operation)).collect::<Result<Vec<_>>>()?;
                let [products, fused] = Bench::new(operation, matrices, batch, shape.k)?.rounds(budget, &pool)?;
                let times = fused / products;
                println!("{name:<6}  {:<15}  {batch:>5}  {products:>11.1}  {fused:>11.1}  {times:>13.3}", operation.name);
            }
        }
    }
    Ok(())
}

/// How many weights an operation is measured with.
fn projections(operation: &Operation) -> usize {
    match operation.projections {
        Projections::One => 1,
        Projections::Gated => 2,
        Projections::Several => 3,
    }
}

/// An operation and what it is applied to.
struct Bench {
    operation: &'static Operation,
    matrices: Vec<Cold>,
    batch: usize,
    x: Vec<f32>,
    norm: Vec<f32>,
    bias: Vec<f32>,
    residual: Vec<f32>,
}

impl Bench {
    fn new(operation: &'static Operation, matrices: Vec<Cold>, batch: usize, k: usize) -> Result<Self> {
        let n = matrices[0].weights(0).n();
        let (x, norm) = (activations(batch, k)?, activations(1, k)?);
        let (bias, residual) = (activations(1, n)?, activations(batch, n)?);
        Ok(Self { operation, matrices, batch, x, norm, bias, residual })
    }

    /// Medians in µs of the products alone and of one call.
    fn rounds(&self, budget: Duration, pool: &Pool) -> Result<[f64; 2]> {
        /// Calls, at least.
        const LEAST: usize = 5;
        let mut outputs = vec![vec![0.0; self.batch * self.matrices[0].weights(0).n()]; self.matrices.len()];
        let mut times: [Vec<f64>; 2] = Default::default();
        let start = Instant::now();
        let mut round = 0;
        while round < LEAST || start.elapsed() < budget {
            for (which, times) in times.iter_mut().enumerate() {
                let begin = Instant::now();
                // Not the copies that the other has just read.
                let copy = 2 * round + which;
                if which == 0 { self.products(copy, &mut outputs, pool) } else { self.call(copy, &mut outputs, pool) }?;
                times.push(begin.elapsed().as_secs_f64() * 1e6);
            }
            round += 1;
        }
        Ok(times.map(|mut times| {
            times.sort_unstable_by(f64::total_cmp);
            times[times.len() / 2]
        }))
    }

    fn products(&self, copy: usize, outputs: &mut [Vec<f32>], pool: &Pool) -> Result<()> {
        for (matrix, y) in self.matrices.iter().zip(outputs) {
            matmul(matrix.weights(copy), &self.x, self.batch, y, &Request::default(), pool)?;
        }
        Ok(())
    }

    fn call(&self, copy: usize, outputs: &mut [Vec<f32>], pool: &Pool) -> Result<()> {
        let operation = self.operation;
        let bias = operation.epilogue.bias.then_some(&self.bias[..]);
        let weights = self.matrices.iter().map(|matrix| matrix.weights(copy));
        let projections = weights.map(|weights| Projection { weights, bias }).collect::<Vec<_>>();
        let call = Call {
            projections: &projections,
            x: &self.x,
            batch: self.batch,
            norm: (operation.prologue == Prologue::RmsNorm).then_some(Norm { weights: &self.norm, eps: 1e-5 }),
            residual: operation.epilogue.residual.then_some(&self.residual[..]),
        };
        let outputs = if operation.projections == Projections::Gated { &mut outputs[..1] } else { outputs };
        let mut outputs = outputs.iter_mut().map(Vec::as_mut_slice).collect::<Vec<_>>();
        operation::run(operation, &call, &mut outputs, &Request::default(), pool)?;
        Ok(())
    }
}
