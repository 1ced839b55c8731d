//! What a benchmark found, as a table and as JSON.

use quantloom::registry::Numerics;
use serde_json::{Value as Json, json};

use super::limit::By;
use super::table::{Align, Table};

/// The machine that was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Machine {
    /// Its processor's name.
    pub processor: String,
    /// Memory bandwidth of reads, in GB/s.
    pub read_gbps: f64,
    /// Peak of 8-bit dot products, in Gop/s; a multiplication and an addition are two.
    pub int8_gops: f64,
    /// Peak of f32 fused multiply-adds, in Gflop/s; each counts twice.
    pub f32_gflops: f64,
    /// Threads that ran.
    pub threads: usize,
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
    /// Rows of the activations.
    pub batch: usize,
    /// The numerics class.
    pub numerics: Numerics,
    /// The instruction set of the kernel.
    pub isa: String,
    /// The kernel and its arguments.
    pub variant: String,
    /// The kernel and those arguments that are not the ones of its card.
    pub brief: String,
    /// Who chose it.
    pub source: String,
    /// Median time of a call, in microseconds.
    pub median_us: f64,
    /// Shortest time of a call, in microseconds.
    pub min_us: f64,
    /// Bytes of the tensor in its file per median time, in GB/s.
    pub gbps: f64,
    /// Bytes of the packed tensor per median time, in GB/s.
    pub packed_gbps: f64,
    /// Operations per median time, in Gop/s: 2 N K batch.
    pub gops: f64,
    /// Ideal time over median time.
    pub fraction_of_limit: f64,
    /// What the ideal time is that of.
    pub limit: By,
    /// Of what is far below its limit, what was not tried to come nearer.
    pub untried: Option<String>,
}

/// The document that `bench --json` prints.
pub fn json(machine: &Machine, results: &[BenchResult]) -> Json {
    json!({
        "machine": {
            "processor": machine.processor,
            "read_gbps": machine.read_gbps,
            "int8_gops": machine.int8_gops,
            "f32_gflops": machine.f32_gflops,
            "threads": machine.threads,
        },
        "results": results.iter().map(result_json).collect::<Vec<_>>(),
    })
}

fn result_json(result: &BenchResult) -> Json {
    json!({
        "format": result.format,
        "n": result.n,
        "k": result.k,
        "batch": result.batch,
        "numerics": result.numerics.name(),
        "isa": result.isa,
        "variant": result.variant,
        "source": result.source,
        "median_us": result.median_us,
        "min_us": result.min_us,
        "gbps": result.gbps,
        "packed_gbps": result.packed_gbps,
        "gops": result.gops,
        "fraction_of_limit": result.fraction_of_limit,
        "limit": result.limit.name(),
        "untried": result.untried,
    })
}

/// The machine's line, a table of results, whose variants name format, class and instruction set, and a line for each that is far below
/// its limit.
pub fn text(machine: &Machine, results: &[BenchResult]) -> String {
    let mut table = Table::new(&[
        ("SHAPE", Align::Right),
        ("BATCH", Align::Right),
        ("VARIANT", Align::Left),
        ("FROM", Align::Left),
        ("µs", Align::Right),
        ("GB/s", Align::Right),
        ("Gop/s", Align::Right),
        ("LIMIT", Align::Right),
    ]);
    for result in results {
        table.row([
            format!("{}x{}", result.n, result.k),
            result.batch.to_string(),
            result.brief.clone(),
            result.source.clone(),
            format!("{:.1}", result.median_us),
            format!("{:.1}", result.gbps),
            format!("{:.0}", result.gops),
            format!("{:.0}% {}", 100.0 * result.fraction_of_limit, result.limit.name()),
        ]);
    }
    let far_below = results.iter().filter_map(far_below).collect::<String>();
    let space = if far_below.is_empty() { "" } else { "\n" };
    format!("{}\n\n{table}{space}{far_below}", line(machine))
}

/// What falls far short of its limit, and what was not tried.
fn far_below(result: &BenchResult) -> Option<String> {
    let BenchResult { n, k, batch, brief, fraction_of_limit, limit, untried, .. } = result;
    let (percent, limit) = (100.0 * fraction_of_limit, limit.sentence());
    untried.as_ref().map(|untried| format!("{brief} {n}x{k} batch {batch}: {percent:.0}% of {limit}; {untried}\n"))
}

fn line(machine: &Machine) -> String {
    let Machine { processor, read_gbps, int8_gops, f32_gflops, threads } = machine;
    let threads = if *threads == 1 { "1 thread".to_owned() } else { format!("{threads} threads") };
    format!("{processor}, {threads}: reads {read_gbps:.1} GB/s, int8 {int8_gops:.0} Gop/s, f32 {f32_gflops:.0} Gflop/s")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Machine {
        Machine { processor: "Some CPU".into(), read_gbps: 41.04, int8_gops: 1040.0, f32_gflops: 260.0, threads: 1 }
    }

    fn result() -> BenchResult {
        BenchResult {
            format: "F9".into(),
            n: 4096,
            k: 14336,
            batch: 128,
            numerics: Numerics::Int8,
            isa: "avx512vnni".into(),
            variant: "f9_K.gemm.int8.avx512vnni.r32c6.both@far=2048+near=512".into(),
            brief: "f9_K.gemm.int8.avx512vnni.r32c6.both".into(),
            source: "default".into(),
            median_us: 12345.67,
            min_us: 12000.0,
            gbps: 37.1,
            packed_gbps: 38.1,
            gops: 765.4,
            fraction_of_limit: 0.876,
            limit: By::Mix,
            untried: None,
        }
    }

    #[test]
    fn the_table_fits_a_terminal() {
        let text = text(&machine(), &[result(), BenchResult { batch: 1, median_us: 1.0, ..result() }]);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "Some CPU, 1 thread: reads 41.0 GB/s, int8 1040 Gop/s, f32 260 Gflop/s");
        assert!(lines[3].ends_with("12345.7  37.1    765  88% mix"), "{text}");
        assert!(lines.len() == 5 && lines.iter().all(|line| line.chars().count() <= 100), "{text}");
    }

    #[test]
    fn what_is_far_below_its_limit_has_a_line() {
        let untried = Some("not tuned here: run something".to_owned());
        let slow = BenchResult { fraction_of_limit: 0.412, limit: By::Read, untried, ..result() };
        let text = text(&machine(), &[result(), slow.clone()]);
        let lines = text.lines().skip_while(|line| !line.is_empty()).skip(1).skip_while(|line| !line.is_empty());
        let wanted = "f9_K.gemm.int8.avx512vnni.r32c6.both 4096x14336 batch 128: 41% of what reading allows; \
                      not tuned here: run something";
        assert_eq!(lines.collect::<Vec<_>>(), ["", wanted]);
        let document = json(&machine(), &[result(), slow]);
        let untried = ["untried", "limit"].map(|key| [0, 1].map(|at| document["results"][at][key].as_str()));
        assert_eq!(untried, [[None, Some("not tuned here: run something")], [Some("mix"), Some("read")]]);
    }

    #[test]
    fn the_document_has_the_keys_that_scripts_rely_on() {
        let document = json(&machine(), &[result()]);
        let keys =
            |value: &Json| -> Vec<String> { value.as_object().into_iter().flatten().map(|(key, _)| key.clone()).collect() };
        let sorted = |mut keys: Vec<String>| {
            keys.sort();
            keys.join(" ")
        };
        assert_eq!(sorted(keys(&document)), "machine results");
        assert_eq!(sorted(keys(&document["machine"])), "f32_gflops int8_gops processor read_gbps threads");
        assert_eq!(
            sorted(keys(&document["results"][0])),
            "batch format fraction_of_limit gbps gops isa k limit median_us min_us n numerics packed_gbps source untried variant"
        );
        assert_eq!(document["results"][0]["numerics"], "int8");
    }
}
