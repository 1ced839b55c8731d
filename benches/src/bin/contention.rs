//! Two threads against one, with and without another process that keeps one core busy.

use std::io::{self, Read};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};
use std::{env, hint};

use clap::Parser;
use quantloom::machine::Gauge;
use quantloom::matmul::{Request, matmul};
use quantloom::measure::{Cold, Fraction, Work, activations, synthetic};
use quantloom::pool::Pool;
use quantloom::registry;
use quantloom::weights::Weights;
use quantloom_bench::defaults::{Contention, Defaults};
use quantloom_bench::exit::{self, Result};

/// Measures how well two threads share the work, on quiet cores and beside a busy process.
#[derive(Debug, Parser)]
struct Args {
    /// Seconds for one batch size
    #[arg(long, default_value_t = 8.0)]
    seconds: f64,
    /// Only keep a core busy, until standard input ends
    #[arg(long, hide = true)]
    spin: Option<usize>,
}

fn main() -> ExitCode {
    exit::code(run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    if let Some(core) = args.spin {
        return spin(core);
    }
    let budget = Duration::try_from_secs_f64(args.seconds)?;
    let Contention { format, shape, batches } = Defaults::get().contention;
    let format = registry::format_by_name(&format)?;
    let isa = registry::best_isa().name;
    let mut gauge = Gauge::new(2);
    println!("{} {shape}, medians\n", format.name);
    println!("BATCH  CORES                   1 THREAD µs  2 THREADS µs  TIMES AS FAST  OF MINIMA  OF LIMIT OF TWO CORES");
    let mut fractions = Vec::new();
    let stored = synthetic(format, shape.n, shape.k)?;
    for batch in batches {
        let weights = Weights::pack(format, shape.n, shape.k, &stored, Pool::global())?;
        let (work, first) = (Work::of(&weights, batch), gauge.rounds());
        let bench = Bench { cold: Cold::new(weights, batch)?, batch, x: activations(batch, shape.k)? };
        let samples = bench.rounds(&mut gauge, isa, budget)?;
        let limit = work.ideal(registry::default_numerics(format), &gauge.ceilings_since(first, isa)).0 * 1e6;
        for (cores, [one, two]) in ["quiet", "one has a busy process"].iter().zip(samples) {
            let fraction = Fraction(limit / two.median());
            println!(
                "{batch:>5}  {cores:<22}  {:>11.1}  {:>12.1}  {:>13.2}  {:>9.2}  {fraction:>21}",
                one.median(),
                two.median(),
                one.median() / two.median(),
                one.least() / two.least(),
            );
            fractions.push(fraction);
        }
    }
    println!("two quiet cores, in turn with that: {}; {}", gauge.ceilings(isa), gauge.steadiness(isa));
    Fraction::explained(fractions.into_iter()).iter().for_each(|word| println!("{word}"));
    Ok(())
}

/// One multiplication, measured in turn on one thread and two, with quiet cores and with a busy one.
struct Bench {
    cold: Cold,
    batch: usize,
    x: Vec<f32>,
}

impl Bench {
    /// Times by cores (quiet, busy) and threads (one, two), in rounds in which the gauge measures too.
    fn rounds(&self, gauge: &mut Gauge, isa: &str, budget: Duration) -> Result<[[Sample; 2]; 2]> {
        const LEAST: usize = 3;
        let pools = [Pool::new(1), Pool::new(2)];
        let mut samples: [[Sample; 2]; 2] = Default::default();
        let start = Instant::now();
        let mut round = 0;
        while round < LEAST || start.elapsed() < budget {
            gauge.round(isa);
            for (busy, samples) in samples.iter_mut().enumerate() {
                let _busy = (busy == 1).then(Busy::start).transpose()?;
                for (pool, sample) in pools.iter().zip(samples) {
                    self.turn(pool, sample)?;
                }
            }
            round += 1;
        }
        Ok(samples)
    }

    /// Some calls; the first wakes the threads and does not count.
    fn turn(&self, pool: &Pool, sample: &mut Sample) -> Result<()> {
        const TURN: Duration = Duration::from_millis(100);
        let mut y = vec![0.0; self.batch * self.cold.weights(0).n()];
        let start = Instant::now();
        for call in 0.. {
            let begin = Instant::now();
            matmul(self.cold.weights(call), &self.x, self.batch, &mut y, &Request::default(), pool)?;
            if call > 0 {
                sample.0.push(begin.elapsed().as_secs_f64() * 1e6);
            }
            if call > 0 && start.elapsed() >= TURN {
                break;
            }
        }
        sample.0.sort_unstable_by(f64::total_cmp);
        Ok(())
    }
}

/// Times in µs, shortest first.
#[derive(Default)]
struct Sample(Vec<f64>);

impl Sample {
    fn median(&self) -> f64 {
        self.0[self.0.len() / 2]
    }

    fn least(&self) -> f64 {
        self.0[0]
    }
}

/// A process that keeps the last core busy, as long as this lives.
struct Busy(Child);

impl Busy {
    fn start() -> Result<Self> {
        let core = core_affinity::get_core_ids().and_then(|cores| cores.last().copied()).ok_or("the cores are not known")?;
        let mut command = Command::new(env::current_exe()?);
        let child = command.args(["--spin", &core.id.to_string()]).stdin(Stdio::piped()).spawn()?;
        // It is under way when the first turn begins.
        sleep(Duration::from_millis(30));
        Ok(Self(child))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        // It ends with its input in any case; that it has ended only matters to the next turn.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Keeps a core busy until standard input ends.
fn spin(core: usize) -> Result<()> {
    if !core_affinity::set_for_current(core_affinity::CoreId { id: core }) {
        return Err(format!("cannot stay on core {core}").into());
    }
    let waiting = thread::spawn(|| io::stdin().read_to_end(&mut Vec::new()));
    while !waiting.is_finished() {
        hint::spin_loop();
    }
    Ok(())
}
