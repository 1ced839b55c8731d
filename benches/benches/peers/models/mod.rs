//! Whole models: ours beside llama.cpp, in each of its four settings: flash attention on and off, weights repacked or not.

pub mod errors;
mod llama;
mod ours;

use std::path::Path;
use std::time::{Duration, Instant};

use quantloom::registry::Numerics;
use quantloom_bench::defaults::Defaults;
use quantloom_bench::record::OURS;
use quantloom_models::Options;

use crate::args::Args;
use crate::contender::Result;
use crate::worker::{self, distance};
use llama::{Cache, Llama};
use ours::Ours;

/// How far logits after a prompt may be from ours, over the size of ours: activations are quantised in each layer, by each in its own way.
const TOLERANCE: f64 = 0.25;

/// Tokens that are generated in a turn.
const TOKENS: usize = 8;

/// Turns at least.
const LEAST: usize = 3;

/// What runs a model.
pub trait Runner {
    /// What it is called in tables.
    fn name(&self) -> &str;

    /// Forgets all tokens.
    fn clear(&mut self) -> Result<()>;

    /// Takes tokens, and gives the logits after the last.
    fn take(&mut self, tokens: &[u32]) -> Result<&[f32]>;
}

/// Tokens of a prompt: any will do.
fn prompt(count: usize, vocabulary: usize) -> Vec<u32> {
    (0..count).map(|index| (index * 7919 % vocabulary.min(1009)) as u32).collect()
}

/// Measures a model on so many threads, printing a row for each length of context.
pub fn measure(args: &Args, path: &Path, threads: usize) -> Result<()> {
    let contexts = args.contexts().unwrap_or_else(|| Defaults::get().model.contexts);
    let longest = contexts.iter().copied().max().unwrap_or_default();
    // Room for all turns.
    let room = longest + 4096;
    let ours = Ours::open(path, Options::default().numerics(Numerics::Int8).threads(threads))?;
    let vocabulary = ours.vocabulary();
    let mut runners: Vec<Box<dyn Runner>> = vec![Box::new(ours)];
    runners.extend(Llama::all(path, threads, room, Cache::Usual)?.into_iter().map(|llama| Box::new(llama) as Box<dyn Runner>));
    println!("\n{}, {threads} thread(s): {}", worker::processor(), path.display());
    println!("tokens/s, medians of turns; prompts from nothing, generation after so many tokens\n");
    let names = runners.iter().skip(1).map(|runner| format!("{:>20}", runner.name())).collect::<String>();
    println!("WHAT        TOKENS  {OURS:>10}{names}  TIMES THE BEST");
    for &context in &contexts {
        let prompt = prompt(context, vocabulary);
        let (mut logits, count) = (Vec::<Vec<f32>>::new(), runners.len());
        let reading = turns(&mut runners, args.budget()?, &mut |runner| {
            runner.clear()?;
            let start = Instant::now();
            let last = runner.take(&prompt)?.to_vec();
            let time = start.elapsed();
            // Those of the first turn of each.
            if logits.len() < count {
                logits.push(last);
            }
            Ok(time)
        })?;
        for (runner, found) in runners.iter().zip(&logits) {
            let away = distance(found, &logits[0]);
            if away > TOLERANCE || away.is_nan() {
                return Err(format!("{}: its logits are {away:.3} of ours away", runner.name()).into());
            }
        }
        row("prompt", context, context, &reading);
        let writing = turns(&mut runners, args.budget()?, &mut |runner| {
            let start = Instant::now();
            for token in 0..TOKENS {
                runner.take(&prompt[token..=token])?;
            }
            Ok(start.elapsed())
        })?;
        row("generation", context, TOKENS, &writing);
    }
    Ok(())
}

/// The median time of a turn of each, in turn with the others.
fn turns(
    runners: &mut [Box<dyn Runner>],
    budget: Duration,
    turn: &mut dyn FnMut(&mut dyn Runner) -> Result<Duration>,
) -> Result<Vec<Duration>> {
    let mut times = vec![Vec::new(); runners.len()];
    let start = Instant::now();
    while times[0].len() < LEAST || start.elapsed() < budget {
        for (runner, times) in runners.iter_mut().zip(&mut times) {
            times.push(turn(runner.as_mut())?);
        }
    }
    Ok(times
        .into_iter()
        .map(|mut times| {
            times.sort_unstable();
            times[times.len() / 2]
        })
        .collect())
}

fn row(what: &str, context: usize, tokens: usize, times: &[Duration]) {
    let rates = times.iter().map(|time| tokens as f64 / time.as_secs_f64()).collect::<Vec<_>>();
    let best = rates[1..].iter().copied().fold(0.0, f64::max);
    let peers = rates[1..].iter().map(|rate| format!("{rate:>20.2}")).collect::<String>();
    println!("{what:<10}  {context:>6}  {:>10.2}{peers}  {:>14.2}", rates[0], rates[0] / best);
}
