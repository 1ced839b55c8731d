//! All cases on one number of threads, in a process of its own.

use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use quantloom::machine::{Facts, Gauge, processor};
use quantloom::measure::{Fraction, activations};
use quantloom::pool::Pool;
use quantloom::registry::{self, Format};
use quantloom_bench::record::{Case, OURS, Record, Run, Times};
use quantloom_bench::report;
use quantloom_bench::shape::Shape;

use crate::args::Args;
use crate::candle::Candle;
use crate::contender::{Contender, Result, Task};
use crate::ggml::{Ggml, Product};
use crate::ik::Ik;
use crate::llama::Llama;
use crate::ours::Ours;
use crate::rounds::{Laps, race};
use crate::weights;

/// How far an output may be from ours, over the size of ours. Everyone quantises activations to 8 bits in its own way, which costs half a
/// percent each.
const TOLERANCE: f64 = 0.02;

/// Measures all cases, printing a row for each.
pub fn measure(args: &Args, threads: usize) -> Result<Record> {
    let (cases, budget) = (args.cases(), args.budget()?);
    let began = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let formats = cases.formats.iter().map(|name| registry::format_by_name(name)).collect::<quantloom::Result<Vec<_>>>()?;
    let llama = Llama::start(threads)?;
    let ik = args.ik.as_deref().map(|folder| Ik::start(folder, threads)).transpose()?;
    let peers = [llama.version().to_owned(), candle_version()].into_iter().chain(ik.iter().map(|ik| ik.version().to_owned()));
    let peers = peers.collect();
    let run = Run { threads, read_gbps: 0.0, int8_gops: 0.0, f32_gflops: 0.0, cases: Vec::new() };
    let record = Record { began, processor: processor(), peers, runs: vec![run] };
    println!("\n{}, {threads} thread(s)", record.processor);
    println!("{}", record.peers.join("\n"));
    if !NATIVE {
        println!("Not the best of candle: RUSTFLAGS=\"-C target-cpu=native\" makes some of its formats up to twice as fast.");
    }
    println!("medians in µs\n");
    let (gauge, isa) = (Gauge::new(threads), registry::best_isa().name);
    let mut session =
        Session { batches: cases.batches.clone(), budget, gauge, isa, llama, ik, pool: Pool::new(threads), record };
    session.batches.sort_unstable();
    for format in formats {
        for &shape in &cases.shapes {
            session.format_and_shape(format, shape)?;
        }
    }
    session.end();
    Ok(session.record)
}

/// The processor's name, and that of its card, if it has one: makers give many processors one name.
pub fn processor() -> String {
    let name = Facts::detect().processor;
    match processor::here().ok().and_then(|known| known.card) {
        Some(card) => format!("{name} ({})", card.name),
        None => name,
    }
}

/// Whether Rust was compiled for this processor: candle chooses its kernels when it runs, but what surrounds them is as the compiler made it.
const NATIVE: bool = cfg!(any(target_feature = "avx2", not(target_arch = "x86_64")));

fn candle_version() -> String {
    let compiled = if NATIVE { "AVX2 or better" } else { "baseline x86-64, AVX2 and AVX-512 kernels chosen at run time" };
    format!("candle {}, compiled for {compiled}", locked_version("candle-core"))
}

/// The version of a package in the workspace's lock file.
fn locked_version(package: &str) -> &'static str {
    let lock = include_str!("../../../Cargo.lock");
    let entry = lock.split("[[package]]").find(|entry| entry.contains(&format!("name = \"{package}\"\n")));
    entry.and_then(|entry| entry.split("version = \"").nth(1)?.split('"').next()).unwrap_or("of unknown version")
}

struct Session {
    batches: Vec<usize>,
    budget: Duration,
    gauge: Gauge,
    /// The instruction set whose ceilings are measured.
    isa: &'static str,
    llama: Rc<dyn Ggml>,
    ik: Option<Rc<dyn Ggml>>,
    pool: Pool,
    record: Record,
}

impl Session {
    fn format_and_shape(&mut self, format: &'static Format, shape: Shape) -> Result<()> {
        let gguf = format.gguf.ok_or_else(|| format!("{} is no format of GGUF: peers do not know it", format.name))?;
        let stored = weights::stored(format, gguf, shape)?;
        let least_batch = self.batches.first().copied().unwrap_or(1);
        let task = Task { gguf, shape, stored: &stored, least_batch };
        let ours = Ours::new(format, &task, &self.pool)?;
        let works = self.batches.iter().map(|&batch| ours.work(batch)).collect::<Vec<_>>();
        let class = ours.numerics();
        let mut contenders: Vec<Box<dyn Contender + '_>> = vec![Box::new(ours)];
        for peer in Product::all(&task, &self.llama)? {
            contenders.push(Box::new(peer));
        }
        if let Some(peer) = Candle::new(&task)? {
            contenders.push(Box::new(peer));
        }
        for peer in self.ik.iter().map(|ik| Product::all(&task, ik)).collect::<Result<Vec<_>>>()?.into_iter().flatten() {
            contenders.push(Box::new(peer));
        }
        let names = self.names();
        for (&batch, work) in self.batches.iter().zip(works) {
            let first = self.gauge.rounds();
            let times = case(&mut contenders, shape, batch, (&mut self.gauge, self.isa), self.budget)?;
            let limit_us = work.ideal(class, &self.gauge.ceilings_since(first, self.isa)).0 * 1e6;
            let (format, stored_bytes, numerics) = (format.name.to_owned(), stored.len(), class.name().to_owned());
            let case = Case { format, shape, batch, stored_bytes, numerics, limit_us, times };
            if self.record.runs[0].cases.is_empty() {
                println!("{}", report::head(&names));
            }
            println!("{}", report::row(&case, &names));
            self.record.runs[0].cases.push(case);
        }
        Ok(())
    }

    /// Keeps what the machine allowed over all rounds, and prints it.
    fn end(&mut self) {
        let (ceilings, run) = (self.gauge.ceilings(self.isa), &mut self.record.runs[0]);
        (run.read_gbps, run.int8_gops, run.f32_gflops) = (ceilings.read_gbps, ceilings.int8_gops, ceilings.f32_gflops);
        println!("\n{ceilings}, in turn with all that; {}", self.gauge.steadiness(self.isa));
        let fractions = run.cases.iter().filter_map(Case::fraction_of_limit).map(Fraction);
        Fraction::explained(fractions).iter().for_each(|word| println!("{word}"));
    }

    /// Everyone who may take part.
    fn names(&self) -> Vec<String> {
        let ways = |ggml: &Rc<dyn Ggml>| ggml.ways().into_iter().map(|way| way.name);
        let ours = [OURS.to_owned()].into_iter();
        ours.chain(ways(&self.llama)).chain(["candle".to_owned()]).chain(self.ik.iter().flat_map(ways)).collect()
    }
}

/// One batch, by everyone, in turn with the ceilings of an instruction set.
fn case(
    contenders: &mut [Box<dyn Contender + '_>],
    shape: Shape,
    batch: usize,
    (gauge, isa): (&mut Gauge, &str),
    budget: Duration,
) -> Result<Vec<Times>> {
    let x = activations(batch, shape.k)?;
    let mut outputs: Vec<Vec<f32>> = Vec::new();
    for contender in &mut *contenders {
        contender.prepare(&x, batch)?;
        contender.multiply(0)?;
        outputs.push(contender.output()?);
        contender.rest();
    }
    let laps = race(contenders, gauge, isa, budget)?;
    let times = contenders.iter().zip(laps).zip(&outputs).map(|((contender, laps), output)| {
        let difference = distance(output, &outputs[0]);
        if difference <= TOLERANCE {
            return Ok(Some(times(contender.as_ref(), laps, difference)));
        }
        let problem = format!("{} at batch {batch}: its output is {difference:.3} of ours away", contender.name());
        if !contender.foreign() {
            return Err(problem.into());
        }
        eprintln!("{problem}; it is left out");
        Ok(None)
    });
    Ok(times.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
}

fn times(contender: &dyn Contender, laps: Laps, difference: f64) -> Times {
    let sorted = laps.sorted();
    let us = |index: usize| sorted[index].as_secs_f64() * 1e6;
    Times {
        name: contender.name().to_owned(),
        kernel: contender.kernel(),
        median_us: us(sorted.len() / 2),
        min_us: us(0),
        calls: sorted.len(),
        difference,
    }
}

/// The size of the difference of two outputs, over the size of the second.
pub fn distance(output: &[f32], ours: &[f32]) -> f64 {
    let square = |value: f64| value * value;
    let difference: f64 = output.iter().zip(ours).map(|(&a, &b)| square(f64::from(a) - f64::from(b))).sum();
    let size: f64 = ours.iter().map(|&value| square(f64::from(value))).sum();
    if output.len() == ours.len() { (difference / size).sqrt() } else { f64::NAN }
}
