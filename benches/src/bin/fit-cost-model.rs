//! Measures kernels, fits the cost model of the tuner to what they take, and says how well it predicts and chooses.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::Parser;
use quantloom::machine::{Facts, processor};
use quantloom::registry::{self, Isa, Numerics};
use quantloom::tune::cost::{self, Model};
use quantloom_bench::cost::fit::fit;
use quantloom_bench::cost::quality::Quality;
use quantloom_bench::cost::samples::{self, Sample};
use quantloom_bench::cost::write;
use quantloom_bench::defaults::{CostModel, Defaults};
use quantloom_bench::exit::{self, Result};

/// Measures kernels, fits the cost model of the tuner to what they take, and says how well it predicts and chooses.
#[derive(Debug, Parser)]
struct Args {
    /// Seconds for measuring; what was measured before is not measured again
    #[arg(long, default_value_t = 50.0)]
    seconds: f64,
    /// Instruction sets, by name; all that this processor has, unless named
    #[arg(long, value_delimiter = ',')]
    isa: Vec<String>,
    /// The file that measurements are kept in; of another build, or another machine, take another
    #[arg(long, default_value = "target/cost-samples.jsonl")]
    samples: PathBuf,
    /// The file of models to write to; models of other instruction sets in it stay
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

fn main() -> ExitCode {
    exit::code(run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    let cases = Defaults::get().cost_model;
    let isas = isas(&args.isa)?;
    let done = samples::measure(&args.samples, &cases, &isas, Duration::try_from_secs_f64(args.seconds)?)?;
    println!("{}\n", if done { "all is measured" } else { "more is to be measured: run this again" });
    let samples = samples::load(&args.samples)?;
    let facts = Facts::detect();
    let mut models = Vec::new();
    println!("{}", Quality::head());
    for isa in isas {
        for numerics in Numerics::ALL {
            models.extend(model(isa, numerics, &samples, &cases, &facts));
        }
    }
    if let Some(path) = &args.write {
        let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let known = cost::read(&text).map_err(|error| format!("{}: {error}", path.display()))?;
        fs::write(path, write::file(known, models))?;
    }
    Ok(())
}

/// The instruction sets of these names, or all that this processor has.
fn isas(names: &[String]) -> Result<Vec<&'static Isa>> {
    if names.is_empty() {
        return Ok(registry::isas().iter().copied().filter(|isa| isa.is_available()).collect());
    }
    Ok(names.iter().map(|name| registry::isa_by_name(name)).collect::<quantloom::Result<_>>()?)
}

/// The model of one instruction set and numerics class, its row printed; none if too little was measured.
fn model(isa: &Isa, numerics: Numerics, samples: &[Sample], cases: &CostModel, facts: &Facts) -> Option<Model> {
    let of = |names: &[String]| {
        let fits = |sample: &&Sample| {
            let kernel = sample.kernel();
            kernel.is_some_and(|kernel| {
                kernel.isa().name == isa.name && kernel.numerics == numerics && names.iter().any(|name| name == kernel.format)
            })
        };
        samples.iter().filter(fits).collect::<Vec<_>>()
    };
    let (fitted, judged) = (of(&cases.formats), of(&cases.held_out));
    if fitted.is_empty() || judged.is_empty() {
        return None;
    }
    let terms = |sample: &&Sample| Some((sample.terms(&facts.caches)?, sample.nanoseconds));
    let nanoseconds = fit(&fitted.iter().filter_map(terms).collect::<Vec<_>>());
    let quality = Quality::of(&nanoseconds, &judged, &facts.caches);
    println!("{}", quality.row(&format!("`{}`, {numerics}", isa.name)));
    Some(Model {
        isa: isa.name.to_owned(),
        numerics: numerics.name().to_owned(),
        processor: facts.processor.clone(),
        card: processor::here().ok().and_then(|known| known.card).map_or_else(String::new, |card| card.name.to_owned()),
        measured: humantime::format_rfc3339_seconds(SystemTime::now()).to_string()[..10].to_owned(),
        samples: fitted.len(),
        median: quality.error[0],
        p90: quality.error[1],
        error: quality.margin,
        nanoseconds,
    })
}
