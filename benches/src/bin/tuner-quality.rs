//! How good the tuner's choices are: against an oracle that measures every kernel with the arguments of its card, and every choice, for
//! long, interleaved, and against the default.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use quantloom::matmul::{Launch, Request, candidates, matmul};
use quantloom::measure::{Cold, activations, synthetic};
use quantloom::pool::Pool;
use quantloom::registry;
use quantloom::tune::{Choices, Outcome, Tuner};
use quantloom::weights::Weights;
use quantloom_bench::defaults::{Defaults, Tuning};
use quantloom_bench::exit::{self, Result};

/// Tunes each problem several times, then measures what was chosen beside every other kernel.
#[derive(Debug, Parser)]
struct Args {
    /// Seconds for the oracle, per problem
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
    /// Milliseconds for the tuner, per problem and turn
    #[arg(long, default_value_t = 60)]
    budget: u64,
    /// How often each problem is tuned
    #[arg(long, default_value_t = 5)]
    turns: usize,
}

fn main() -> ExitCode {
    exit::code(run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    let Tuning { formats, shapes, batches } = Defaults::get().tuning;
    let (seconds, budget) = (Duration::try_from_secs_f64(args.seconds)?, Duration::from_millis(args.budget));
    println!("{} thread(s); times over the best, medians of interleaved rounds\n", Pool::global().threads());
    println!("FORMAT   SHAPE        BATCH  REGRET  DEFAULT'S  OF DEFAULT  NOISE  CHOICES  CHOSEN, THE LAST TIME");
    let mut all = Vec::new();
    for (name, shape) in formats.iter().flat_map(|format| shapes.iter().map(move |shape| (format, shape))) {
        let format = registry::format_by_name(name)?;
        let stored = synthetic(format, shape.n, shape.k)?;
        for &batch in &batches {
            let weights = Weights::pack(format, shape.n, shape.k, &stored, Pool::global())?;
            let problem = Problem { batch, cold: Cold::new(weights, batch)? };
            let outcomes = problem.tune(args.turns, budget)?;
            let quality = problem.judge(&outcomes, seconds)?;
            println!(
                "{name:<8} {:<12} {batch:>5}  {:>5.1}%  {:>8.1}%  {:>9.1}%  {:>4.1}%  {:>7}  {}",
                shape.to_string(),
                100.0 * quality.regret,
                100.0 * quality.default_regret,
                100.0 * quality.of_default,
                100.0 * quality.noise,
                quality.choices,
                outcomes.last().map_or("-".to_owned(), |outcome| outcome.launch.to_string()),
            );
            all.push(quality);
        }
    }
    summary(&all);
    Ok(())
}

fn summary(all: &[Quality]) {
    let of = |get: fn(&Quality) -> f64| {
        let mut values = all.iter().map(get).collect::<Vec<_>>();
        values.sort_unstable_by(f64::total_cmp);
        values
    };
    let (regret, default) = (of(|quality| quality.regret), of(|quality| quality.default_regret));
    let beyond = all.iter().filter(|quality| quality.of_default > 1.0 + quality.noise).count();
    let flips = all.iter().filter(|quality| quality.choices > 1).count();
    println!("\n{} problems: regret {}; of the default {}", all.len(), spread(&regret), spread(&default));
    println!("slower than the default by more than the noise: {beyond}; another choice in one of the turns: {flips}");
}

/// Median, ninth decile and largest of sorted fractions.
fn spread(sorted: &[f64]) -> String {
    let at = |part: f64| 100.0 * sorted[((sorted.len() - 1) as f64 * part).round() as usize];
    format!("{:.1}% in the median, {:.1}% in the ninth decile, {:.1}% at most", at(0.5), at(0.9), at(1.0))
}

/// A product to choose a kernel for.
struct Problem {
    batch: usize,
    cold: Cold,
}

/// How good choices are. Fractions of the best kernel's time, if nothing else is said.
struct Quality {
    /// The mean, over the turns, of the time that what was chosen takes beyond the best.
    regret: f64,
    /// The time that the default takes beyond the best.
    default_regret: f64,
    /// The time of the slowest choice over the default's.
    of_default: f64,
    /// How far the default is from itself, measured twice in each round: nine times in ten.
    noise: f64,
    /// Different choices.
    choices: usize,
}

impl Problem {
    /// What the tuner finds, each time without knowing anything.
    fn tune(&self, turns: usize, budget: Duration) -> Result<Vec<Outcome>> {
        let tune = |_| {
            let choices = Choices::new(None);
            Ok(Tuner::new(&choices).tune(self.cold.weights(0), self.batch, &Request::default(), Pool::global(), budget)?)
        };
        (0..turns).map(tune).collect()
    }

    /// Measures every kernel and every choice, and the default twice, in rounds that begin with another one each.
    fn judge(&self, outcomes: &[Outcome], budget: Duration) -> Result<Quality> {
        const LEAST: usize = 9;
        let format = self.cold.weights(0).format();
        let (numerics, isa) = (registry::default_numerics(format), registry::best_isa_of(format));
        let mut launches = Vec::new();
        let mut place = |launch: Launch| {
            launches.iter().position(|other| *other == launch).unwrap_or_else(|| {
                launches.push(launch);
                launches.len() - 1
            })
        };
        for kernel in candidates(self.cold.weights(0), numerics, isa)? {
            place(kernel.into());
        }
        let default = place(outcomes.first().ok_or("no turns")?.default);
        let chosen = outcomes.iter().map(|outcome| place(outcome.launch)).collect::<Vec<_>>();
        let runners = (0..launches.len()).chain([default]).collect::<Vec<_>>();
        let mut times = vec![Vec::new(); runners.len()];
        let start = Instant::now();
        let mut round = 0;
        while round < LEAST || start.elapsed() < budget {
            for turn in 0..runners.len() {
                let runner = (round + turn) % runners.len();
                times[runner].push(self.time(launches[runners[runner]], round * runners.len() + turn)?);
            }
            round += 1;
        }
        let (again, times) = times.split_last().ok_or("no kernels")?;
        let medians = times.iter().map(|times| median(times.clone())).collect::<Vec<_>>();
        let best = medians.iter().copied().fold(f64::INFINITY, f64::min);
        let taken = chosen.iter().map(|&at| medians[at]).collect::<Vec<_>>();
        let mut apart = times[default].iter().zip(again).map(|(one, two)| (one / two - 1.0).abs()).collect::<Vec<_>>();
        apart.sort_unstable_by(f64::total_cmp);
        Ok(Quality {
            regret: taken.iter().sum::<f64>() / taken.len() as f64 / best - 1.0,
            default_regret: medians[default] / best - 1.0,
            of_default: taken.iter().copied().fold(0.0, f64::max) / medians[default],
            noise: apart[apart.len() * 9 / 10],
            choices: chosen.into_iter().collect::<BTreeSet<_>>().len(),
        })
    }

    /// Seconds of a multiplication by other weights than the one before.
    fn time(&self, launch: Launch, call: usize) -> Result<f64> {
        let weights = self.cold.weights(call);
        let x = activations(self.batch, weights.k())?;
        let mut y = vec![0.0; self.batch * weights.n()];
        let start = Instant::now();
        matmul(weights, &x, self.batch, &mut y, &Request::default().launch(launch), Pool::global())?;
        Ok(start.elapsed().as_secs_f64())
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}
