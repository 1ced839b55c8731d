//! Attention: ours beside llama.cpp's, with flash attention and without.

mod llama;
mod ours;

use quantloom::attention::Heads;
use quantloom::machine::Gauge;
use quantloom::measure::activations;
use quantloom::pool::Pool;
use quantloom::registry;
use quantloom_bench::defaults::{self, Defaults};

use crate::args::Args;
use crate::contender::{Contender, Result};
use crate::llama::Llama;
use crate::rounds::race;
use crate::worker::{self, distance};
use llama::{Attention, Way};
use ours::Ours;

/// How far an output may be from ours, over the size of ours: flash attention sums in f16.
const TOLERANCE: f64 = 0.03;

/// What is attended to: one layer's heads, and all positions' keys and values.
pub struct Task {
    heads: Heads,
    /// `[positions][key heads][size]`.
    keys: Vec<f32>,
    values: Vec<f32>,
}

impl Task {
    fn new(heads: Heads, positions: usize) -> Result<Self> {
        let row = heads.key * heads.size;
        let both = activations(2 * positions, row)?;
        let (keys, values) = both.split_at(positions * row);
        Ok(Self { heads, keys: keys.to_vec(), values: values.to_vec() })
    }

    fn positions(&self) -> usize {
        self.keys.len() / (self.heads.key * self.heads.size)
    }

    /// Pairs of a query head and a key that it sees, where the last positions ask.
    fn pairs(&self, queries: usize) -> usize {
        let all = self.positions();
        (all - queries + 1..=all).map(|seen| self.heads.query * seen).sum()
    }
}

/// Measures all cases on so many threads, printing a row for each.
pub fn measure(args: &Args, threads: usize) -> Result<()> {
    let defaults::Attention { query_heads, key_heads, sizes, positions, queries } = Defaults::get().attention;
    let (llama, pool, isa) = (Llama::start(threads)?, Pool::new(threads), registry::best_isa().name);
    println!("\n{}, {threads} thread(s)\n{}", worker::processor(), llama.version());
    println!(
        "{query_heads} query heads, {key_heads} key head(s), f16; medians in µs; ns for a query head and a key; share of the f32 peak\n"
    );
    println!("SIZE  POSITIONS  QUERIES        OURS     FLASH     PLAIN  TIMES THE BEST  NS A PAIR  OF PEAK");
    for &size in &sizes {
        for &positions in &positions {
            let task = Task::new(Heads { query: query_heads, key: key_heads, size }, positions)?;
            for &queries in queries.iter().filter(|&&queries| queries <= positions) {
                let mut contenders: Vec<Box<dyn Contender + '_>> = vec![Box::new(Ours::new(&task, &pool)?)];
                for way in [Way::Flash, Way::Plain] {
                    contenders.push(Box::new(Attention::new(&task, way, &llama)));
                }
                let x = activations(queries, query_heads * size)?;
                let mut gauge = Gauge::new(threads);
                let [ours, flash, plain] = case(&mut contenders, &x, queries, &mut gauge, isa, args)?[..] else {
                    return Err("three take part".into());
                };
                // A product of queries and keys, and one of weights and values.
                let flops = 4.0 * (size * task.pairs(queries)) as f64;
                let peak = gauge.ceilings(isa).f32_gflops * 1e3;
                println!(
                    "{size:>4}  {positions:>9}  {queries:>7}  {ours:>10.1}{flash:>10.1}{plain:>10.1}  {:>14.2}  {:>9.2}  {:>6.0}%",
                    flash.min(plain) / ours,
                    ours * 1e3 / task.pairs(queries) as f64,
                    100.0 * flops / ours / peak,
                );
            }
        }
    }
    Ok(())
}

/// Medians in µs, each contender's in turn with the others.
fn case(
    contenders: &mut [Box<dyn Contender + '_>],
    x: &[f32],
    queries: usize,
    gauge: &mut Gauge,
    isa: &str,
    args: &Args,
) -> Result<Vec<f64>> {
    let mut outputs: Vec<Vec<f32>> = Vec::new();
    for contender in &mut *contenders {
        contender.prepare(x, queries)?;
        contender.multiply(0)?;
        let output = contender.output()?;
        let difference = distance(&output, outputs.first().unwrap_or(&output));
        if difference > TOLERANCE || difference.is_nan() {
            return Err(format!("{}: its output is {difference:.4} of ours away", contender.name()).into());
        }
        outputs.push(output);
        contender.rest();
    }
    let laps = race(contenders, gauge, isa, args.budget()?)?;
    let median = |times: Vec<std::time::Duration>| times[times.len() / 2].as_secs_f64() * 1e6;
    Ok(laps.into_iter().map(|laps| median(laps.sorted())).collect())
}
