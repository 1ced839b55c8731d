//! Tunes and times a multiplication by random weights of each of the crate's formats.

use std::time::Duration;

use quantloom::machine::Gauge;
use quantloom::matmul::Request;
use quantloom::measure::{Cold, Fraction, Work, synthetic};
use quantloom::pool::Pool;
use quantloom::registry::{self, Format, kernels};
use quantloom::tune::{self, Tuner};
use quantloom::weights::Weights;

/// Rows and columns of the weights.
const SHAPE: (usize, usize) = (1024, 4096);

/// Rows of activations.
const BATCHES: [usize; 2] = [1, 8];

/// Time for tuning, and again for measuring.
const BUDGET: Duration = Duration::from_millis(300);

fn main() -> quantloom::Result<()> {
    own_format::register()?;
    let mut gauge = Gauge::new(Pool::global().threads());
    for format in own_format::FORMATS {
        // By name, as any part of a program would: it need not know where a format comes from.
        let format = registry::format_by_name(format.name)?;
        println!("{}: {}", format.name, format.doc);
        if kernels(format).is_empty() {
            println!("  decoded only");
            continue;
        }
        BATCHES.into_iter().try_for_each(|batch| measure(format, batch, &mut gauge))?;
    }
    Ok(())
}

/// Tunes one batch size, and prints what then runs and how fast, beside what the machine allows in the same rounds.
fn measure(format: &'static Format, batch: usize, gauge: &mut Gauge) -> quantloom::Result<()> {
    let (n, k) = SHAPE;
    let (pool, request) = (Pool::global(), Request::default());
    let weights = Weights::pack(format, n, k, &synthetic(format, n, k)?, pool)?;
    let work = Work::of(&weights, batch);
    Tuner::new(tune::choices()).tune(&weights, batch, &request, pool, BUDGET)?;
    let (used, times, ceilings) = Cold::new(weights, batch)?.time(batch, &request, pool, gauge, BUDGET)?;
    let (seconds, limit) = (times.median.as_secs_f64(), work.ideal(used.launch.kernel.numerics, &ceilings).0);
    println!(
        "  batch {batch}: {:.1} GB/s, {:.0} Gop/s, {} of the limit, with {} ({})",
        work.packed_bytes as f64 / seconds / 1e9,
        work.operations / seconds / 1e9,
        Fraction(limit / seconds),
        used.launch,
        used.source
    );
    Ok(())
}
