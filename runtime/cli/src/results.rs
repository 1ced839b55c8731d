//! What a benchmark found, as a table and as JSON.

use std::path::Path;

use quantloom::machine::{Ceilings, Spread, Steadiness};
use quantloom::measure::Fraction;
use quantloom::registry::Numerics;
use serde_json::{Value as Json, json};

use super::limit::By;
use super::report::numbers::count;
use super::screen::filled;
use super::table::{Align, Table, shown};
use super::token::{self, Pass};

/// The machine that was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Machine {
    /// Its processor's name.
    pub processor: String,
    /// What it allowed, over all rounds.
    pub ceilings: Ceilings,
    /// How that varied.
    pub steadiness: Steadiness,
}

/// What all matrices of a model come to.
#[derive(Clone, Debug, PartialEq)]
pub struct OfModel {
    /// Where it is.
    pub path: String,
    /// For each batch.
    pub passes: Vec<Pass>,
}

/// One format, shape and batch.
#[derive(Clone, Debug, PartialEq)]
pub struct BenchResult {
    /// Name of the format.
    pub format: String,
    /// Rows of the weights.
    pub n: usize,
    /// Weights of a row.
    pub k: usize,
    /// Of a model, how often a token is multiplied by such a matrix.
    pub per_token: Option<f64>,
    /// Rows of the activations.
    pub batch: usize,
    /// The numerics class.
    pub numerics: Numerics,
    /// The instruction set of the kernel.
    pub isa: String,
    /// The kernel and its arguments.
    pub kernel: String,
    /// The kernel and those arguments that are not the ones of its card.
    pub brief: String,
    /// Who chose it.
    pub source: String,
    /// Median time of a call, in microseconds.
    pub median_us: f64,
    /// Shortest time of a call, in microseconds.
    pub min_us: f64,
    /// The ideal time, by what the machine allowed in the rounds of these calls, in microseconds.
    pub limit_us: f64,
    /// Bytes of the tensor in its file per median time, in GB/s.
    pub gbps: f64,
    /// Bytes of the packed tensor per median time, in GB/s.
    pub packed_gbps: f64,
    /// Operations per median time, in Gop/s: 2 N K batch.
    pub gops: f64,
    /// Ideal time over median time.
    pub fraction_of_limit: Fraction,
    /// What the ideal time is that of.
    pub limit: By,
    /// Of what is far below its limit, what was not tried to come nearer.
    pub untried: Option<String>,
}

/// The document that `bench --json` prints.
pub fn json(machine: &Machine, results: &[BenchResult], model: Option<&OfModel>) -> Json {
    let Machine { processor, ceilings, steadiness } = machine;
    let spread = |spread: Spread| [spread.low, spread.high];
    json!({
        "machine": {
            "processor": processor,
            "read_gbps": ceilings.read_gbps,
            "int8_gops": ceilings.int8_gops,
            "f32_gflops": ceilings.f32_gflops,
            "threads": ceilings.threads,
            "steadiness": {
                "rounds": steadiness.rounds,
                "read_gbps": spread(steadiness.read_gbps),
                "int8_gops": spread(steadiness.int8_gops),
                "f32_gflops": spread(steadiness.f32_gflops),
            },
        },
        "model": model.map(|OfModel { path, passes }| {
            json!({ "path": path, "passes": passes.iter().map(|pass| pass.json()).collect::<Vec<_>>() })
        }),
        "results": results.iter().map(result_json).collect::<Vec<_>>(),
    })
}

fn result_json(result: &BenchResult) -> Json {
    json!({
        "format": result.format,
        "n": result.n,
        "k": result.k,
        "per_token": result.per_token,
        "batch": result.batch,
        "numerics": result.numerics.name(),
        "isa": result.isa,
        "kernel": result.kernel,
        "source": result.source,
        "median_us": result.median_us,
        "min_us": result.min_us,
        "limit_us": result.limit_us,
        "gbps": result.gbps,
        "packed_gbps": result.packed_gbps,
        "gops": result.gops,
        "fraction_of_limit": result.fraction_of_limit.0,
        "limit": result.limit.name(),
        "untried": result.untried,
    })
}

/// The machine; a table of results, whose kernels name format, class and instruction set; a line for each that is far below its limit; and
/// what a model comes to.
pub fn text(machine: &Machine, results: &[BenchResult], model: Option<&OfModel>) -> String {
    let mut columns = vec![
        ("SHAPE", Align::Right),
        ("BATCH", Align::Right),
        ("KERNEL", Align::Left),
        ("FROM", Align::Left),
        ("µs", Align::Right),
        ("GB/s", Align::Right),
        ("Gop/s", Align::Right),
        ("OF LIMIT", Align::Left),
    ];
    if model.is_some() {
        columns.push(("A TOKEN", Align::Right));
    }
    let mut table = Table::new(&columns);
    for result in results {
        let cells = [
            format!("{}x{}", result.n, result.k),
            result.batch.to_string(),
            result.brief.clone(),
            result.source.clone(),
            format!("{:.1}", result.median_us),
            format!("{:.1}", result.gbps),
            format!("{:.0}", result.gops),
            of_limit(result.fraction_of_limit, result.limit),
        ];
        table.row(cells.into_iter().chain(result.per_token.map(times)));
    }
    let notes = notes(&machine.steadiness, results.iter().map(|result| result.fraction_of_limit));
    let far_below = results.iter().filter_map(far_below).collect::<String>();
    let space = if far_below.is_empty() { "" } else { "\n" };
    // Of a long path the end tells most.
    let name = |path: &str| Path::new(path).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let total =
        model.map_or_else(String::new, |OfModel { path, passes }| format!("\n{}", token::lines(&shown(&name(path)), passes)));
    format!("{}\n\n{table}{notes}{space}{far_below}{total}", line(machine))
}

/// A part of a limit and what sets that, as a cell has it.
pub fn of_limit(fraction: Fraction, limit: By) -> String {
    format!("{fraction:>5} {}", limit.name())
}

/// How often, as a cell has it.
fn times(count: f64) -> String {
    format!("{}x", (count * 100.0).round() / 100.0)
}

/// What must be known of parts of limits: that some are above, that the limits were unsteady.
pub fn notes(steadiness: &Steadiness, fractions: impl Iterator<Item = Fraction>) -> String {
    let unsteady = steadiness.is_unsteady().then(|| steadiness.to_string());
    let above = Fraction::explained(fractions).map(str::to_owned);
    above.into_iter().chain(unsteady).map(|note| filled(&note, 2) + "\n").collect()
}

/// What falls far short of its limit, and what was not tried.
fn far_below(result: &BenchResult) -> Option<String> {
    let BenchResult { n, k, batch, brief, fraction_of_limit, limit, untried, .. } = result;
    let limit = limit.sentence();
    let untried = untried.as_ref()?;
    Some(filled(&format!("{brief} {n}x{k} batch {batch}: {fraction_of_limit} of {limit}; {untried}"), 2) + "\n")
}

/// The machine and what it allowed.
fn line(machine: &Machine) -> String {
    let Machine { processor, ceilings, .. } = machine;
    filled(&format!("{processor}, {}: {ceilings}", count(ceilings.threads, "thread", "threads")), 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Machine {
        let ceilings = Ceilings { isa: "any", threads: 1, read_gbps: 41.04, int8_gops: 1040.0, f32_gflops: 260.0 };
        let spread = |at| Spread { low: at, high: 1.1 * at };
        let [read_gbps, int8_gops, f32_gflops] = [38.0, 1000.0, 250.0].map(spread);
        Machine {
            processor: "Some CPU".into(),
            ceilings,
            steadiness: Steadiness { rounds: 9, read_gbps, int8_gops, f32_gflops },
        }
    }

    fn result() -> BenchResult {
        BenchResult {
            format: "F9".into(),
            n: 4096,
            k: 14336,
            per_token: None,
            batch: 128,
            numerics: Numerics::Int8,
            isa: "avx512vnni".into(),
            kernel: "f9_K.gemm.int8.avx512vnni.r32c6.both@far=2048+near=512".into(),
            brief: "f9_K.gemm.int8.avx512vnni.r32c6.both".into(),
            source: "default".into(),
            median_us: 12345.67,
            min_us: 12000.0,
            gbps: 37.1,
            packed_gbps: 38.1,
            gops: 765.4,
            limit_us: 10814.0,
            fraction_of_limit: Fraction(0.876),
            limit: By::Mix,
            untried: None,
        }
    }

    #[test]
    fn the_table_fits_a_terminal() {
        let text = text(&machine(), &[result(), BenchResult { batch: 1, median_us: 1.0, ..result() }], None);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "Some CPU, 1 thread: reads 41.0 GB/s, int8 1040 Gop/s, f32 260 Gflop/s");
        assert!(lines[3].ends_with("12345.7  37.1    765    88% mix"), "{text}");
        assert!(lines.len() == 5 && lines.iter().all(|line| line.chars().count() <= 100), "{text}");
    }

    #[test]
    fn what_is_far_below_its_limit_has_a_line() {
        let untried = Some("not tuned here: run something".to_owned());
        let slow = BenchResult { fraction_of_limit: Fraction(0.412), limit: By::Read, untried, ..result() };
        let text = text(&machine(), &[result(), slow.clone()], None);
        let lines = text.lines().skip_while(|line| !line.is_empty()).skip(1).skip_while(|line| !line.is_empty());
        let wanted = "f9_K.gemm.int8.avx512vnni.r32c6.both 4096x14336 batch 128: 41% of what reading allows; \
                      not tuned here: run something";
        assert_eq!(lines.collect::<Vec<_>>(), ["", wanted]);
        let document = json(&machine(), &[result(), slow], None);
        let untried = ["untried", "limit"].map(|key| [0, 1].map(|at| document["results"][at][key].as_str()));
        assert_eq!(untried, [[None, Some("not tuned here: run something")], [Some("mix"), Some("read")]]);
    }

    #[test]
    fn a_limit_that_is_none_and_one_that_moves_are_said() {
        let above = BenchResult { fraction_of_limit: Fraction(2.96), ..result() };
        let mut restless = machine();
        restless.steadiness.read_gbps = Spread { low: 36.0, high: 62.0 };
        let text = text(&restless, &[above], None);
        let notes = text.lines().skip(4).collect::<Vec<_>>();
        assert!(text.contains("296%* mix"), "{text}");
        assert_eq!(notes, [Fraction::ABOVE, "the limits were unsteady over 9 rounds: reads 36.0 to 62.0 GB/s"]);
    }

    #[test]
    fn a_model_comes_to_tokens_per_second() {
        let model = OfModel {
            path: "/of/many/models/m\u{1b}.gguf".to_owned(),
            passes: vec![Pass { batch: 1, seconds: 0.05, peer: None }],
        };
        let result = BenchResult { per_token: Some(2.5), ..result() };
        let text = text(&machine(), std::slice::from_ref(&result), Some(&model));
        assert!(text.lines().nth(3).unwrap().ends_with("2.5x"), "{text}");
        assert!(text.contains("\nm\\u{1b}.gguf: about 20.0 tokens/s from these matrices, 50.0 ms for one token\n"), "{text}");
        let document = json(&machine(), &[result], Some(&model));
        assert_eq!(document["model"]["path"], model.path);
        assert_eq!(
            (&document["model"]["passes"][0]["tokens_per_s"], &document["results"][0]["per_token"]),
            (&20.0.into(), &2.5.into())
        );
    }

    #[test]
    fn the_document_has_the_keys_that_scripts_rely_on() {
        let document = json(&machine(), &[result()], None);
        let keys =
            |value: &Json| -> Vec<String> { value.as_object().into_iter().flatten().map(|(key, _)| key.clone()).collect() };
        let sorted = |mut keys: Vec<String>| {
            keys.sort();
            keys.join(" ")
        };
        assert_eq!(sorted(keys(&document)), "machine model results");
        assert_eq!(sorted(keys(&document["machine"])), "f32_gflops int8_gops processor read_gbps steadiness threads");
        assert_eq!(
            sorted(keys(&document["results"][0])),
            "batch format fraction_of_limit gbps gops isa k kernel limit limit_us median_us min_us n numerics packed_gbps per_token \
             source untried"
        );
        assert_eq!(document["results"][0]["numerics"], "int8");
    }
}
