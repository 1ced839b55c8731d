//! Two threads against one, with and without another process that keeps one core busy.

use std::io::{self, Read};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};
use std::{env, hint};

use clap::Parser;
use quantloom::machine::{Ceilings, ceilings};
use quantloom::matmul::{Request, matmul};
use quantloom::measure::{Cold, Work, activations, synthetic};
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
    let ceilings = [1, 2].map(|threads| Ceilings::measure(registry::best_isa().name, threads, ceilings::BUDGET));
    for Ceilings { threads, read_gbps, int8_gops, .. } in &ceilings {
        println!("{threads} core(s): reads {read_gbps:.1} GB/s, int8 {int8_gops:.0} Gop/s");
    }
    println!("{} {shape}, medians\n", format.name);
    println!("BATCH  CORES                   1 THREAD µs  2 THREADS µs  TIMES AS FAST  OF MINIMA  LIMIT OF TWO CORES");
    let stored = synthetic(format, shape.n, shape.k)?;
    for batch in batches {
        let weights = Weights::pack(format, shape.n, shape.k, &stored, Pool::global())?;
        let limit = Work::of(&weights, batch).ideal(registry::default_numerics(format), &ceilings[1]).0 * 1e6;
        let bench = Bench { cold: Cold::new(weights, batch)?, batch, x: activations(batch, shape.k)? };
        for (cores, [one, two]) in ["quiet", "one has a busy process"].iter().zip(bench.rounds(budget)?) {
            let fraction = limit / two.median();
            println!(
                "{batch:>5}  {cores:<22}  {:>11.1}  {:>12.1}  {:>13.2}  {:>9.2}  {:>17.0}%",
                one.median(),
                two.median(),
                one.median() / two.median(),
                one.least() / two.least(),
                100.0 * fraction
            );
        }
    }
    Ok(())
}

/// One multiplication, measured in turn on one thread and two, with quiet cores and with a busy one.
struct Bench {
    cold: Cold,
    batch: usize,
    x: Vec<f32>,
}

impl Bench {
    /// Times by cores (quiet, busy) and threads (one, two).
    fn rounds(&self, budget: Duration) -> Result<[[Sample; 2]; 2]> {
        const LEAST: usize = 3;
        let pools = [Pool::new(1), Pool::new(2)];
        let mut samples: [[Sample; 2]; 2] = Default::default();
        let start = Instant::now();
        let mut round = 0;
        while round < LEAST || start.elapsed() < budget {
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
