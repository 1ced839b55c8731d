//! Cache misses per weight, where the processor's counters can be read; times in any case.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use quantloom::matmul::{Request, matmul};
use quantloom::measure::{Cold, Times, activations, synthetic};
use quantloom::pool::Pool;
use quantloom::registry::{self, Format};
use quantloom::weights::Weights;
use quantloom_bench::defaults::{Counters, Defaults};
use quantloom_bench::exit::{self, Result};
use quantloom_bench::shape::Shape;

/// Counts cache misses per weight on one thread.
#[derive(Debug, Parser)]
struct Args {
    /// Formats, by name
    #[arg(long, value_delimiter = ',')]
    format: Vec<String>,
    /// The shape of the weights, rows x columns
    #[arg(long)]
    shape: Option<Shape>,
    /// Rows of activations
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..))]
    batch: Vec<u16>,
}

/// What is counted, and what it is called in the table.
const EVENTS: [(&str, Event); 3] =
    [("CYCLES", Event::Cycles), ("1ST-LEVEL MISSES", Event::FirstLevelMisses), ("LAST-LEVEL MISSES", Event::LastLevelMisses)];

#[derive(Clone, Copy)]
enum Event {
    Cycles,
    FirstLevelMisses,
    LastLevelMisses,
}

fn main() -> ExitCode {
    exit::code(run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    let Counters { formats, shape, batches } = Defaults::get().counters;
    let formats = if args.format.is_empty() { formats } else { args.format.clone() };
    let batches = if args.batch.is_empty() { batches } else { args.batch.iter().copied().map(usize::from).collect() };
    let shape = args.shape.unwrap_or(shape);
    for (name, event) in EVENTS {
        if let Err(error) = counter::count(event, || ()) {
            println!("{} cannot be counted here: {error}", name.to_lowercase());
        }
    }
    println!("\n{shape}, one thread, per weight\n");
    println!("FORMAT    BATCH       µs   BYTES  {}", EVENTS.map(|(name, _)| format!("{name:>17}")).join("  "));
    for name in formats {
        for &batch in &batches {
            println!("{}", row(registry::format_by_name(&name)?, shape, batch)?);
        }
    }
    Ok(())
}

/// One format and batch: the median time, bytes that are read, and what was counted, over the number of weights.
fn row(format: &'static Format, shape: Shape, batch: usize) -> Result<String> {
    const CALLS: usize = 50;
    const BUDGET: Duration = Duration::from_millis(300);
    let pool = Pool::new(1);
    let weights = Weights::pack(format, shape.n, shape.k, &synthetic(format, shape.n, shape.k)?, &pool)?;
    let per_weight = 1.0 / (shape.n * shape.k) as f64;
    let bytes = weights.packed_bytes() as f64 * per_weight;
    let cold = Cold::new(weights, batch)?;
    let (x, mut y) = (activations(batch, shape.k)?, vec![0.0; batch * shape.n]);
    let request = Request::default();
    let mut multiply = |call| matmul(cold.weights(call), &x, batch, &mut y, &request, &pool).map(drop);
    let times = Times::of(BUDGET, &mut multiply)?;
    let mut text = format!("{:<8}  {batch:>5}  {:>7.1}  {bytes:>6.3}", format.name, times.median.as_secs_f64() * 1e6);
    for (_, event) in EVENTS {
        let mut done = Ok(());
        let count = counter::count(event, || done = (0..CALLS).try_for_each(&mut multiply));
        done?;
        let count = count.map_or_else(|_| "-".to_owned(), |count| format!("{:.4}", count as f64 / CALLS as f64 * per_weight));
        text += &format!("  {count:>17}");
    }
    Ok(text)
}

#[cfg(target_os = "linux")]
mod counter {
    use std::io;

    use perf_event::Builder;
    use perf_event::events::{Cache, CacheId, CacheOp, CacheResult, Hardware};

    use super::Event;

    /// Counts an event on this thread, outside the kernel, while `work` runs; where that cannot be counted, nothing runs.
    pub fn count(event: Event, work: impl FnOnce()) -> io::Result<u64> {
        let misses = |which| Cache { which, operation: CacheOp::READ, result: CacheResult::MISS };
        let mut counter = match event {
            Event::Cycles => Builder::new(Hardware::CPU_CYCLES),
            Event::FirstLevelMisses => Builder::new(misses(CacheId::L1D)),
            Event::LastLevelMisses => Builder::new(misses(CacheId::LL)),
        }
        .build()?;
        counter.enable()?;
        work();
        counter.disable()?;
        counter.read()
    }
}

#[cfg(not(target_os = "linux"))]
mod counter {
    use std::io;

    use super::Event;

    /// Counters are read on Linux only.
    pub fn count(_: Event, _: impl FnOnce()) -> io::Result<u64> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
