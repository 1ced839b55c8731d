//! `quantloom doctor`: what the machine is, how well it can be measured, and what the cache holds.

mod cache;
mod limit;
mod machine;

use quantloom::pool::Pool;
use quantloom::tune::{self, Noise};
use quantloom_spec::text::escaped;
use serde_json::{Value as Json, json};

use super::Failure;
use super::args::seconds;
use super::failure::{document, print};
use super::screen::filled;
use std::time::Duration;

/// What the noise is measured for when nobody says how long.
const BUDGET: Duration = Duration::from_millis(500);

/// Beyond this median difference of two equal measurements, small differences of kernels cannot be told.
const NOISY: f64 = 0.02;

/// Look at the machine and the cache: what costs speed or loses results, and what to do about it
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: quantloom doctor --json")]
pub struct Args {
    /// Time to measure the noise for [default: 0.5]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
    budget: Option<Duration>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// One thing that was found.
#[derive(Debug)]
pub struct Finding {
    name: &'static str,
    value: String,
    /// What to do, if it costs speed or loses results.
    remedy: Option<String>,
}

impl Finding {
    /// Something that is as it should be.
    fn fine(name: &'static str, value: impl Into<String>) -> Self {
        Self { name, value: value.into(), remedy: None }
    }

    /// Something that costs speed or loses results, if `is_bad`.
    fn bad_if(is_bad: bool, name: &'static str, value: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { remedy: is_bad.then(|| remedy.into()), ..Self::fine(name, value) }
    }
}

/// Looks, measures, and prints.
pub fn run(args: &Args) -> Result<(), Failure> {
    let mut findings = machine::findings();
    findings.extend(cache::findings());
    findings.push(noise(tune::noise(Pool::global(), args.budget.unwrap_or(BUDGET))?));
    print(&if args.json { document(&json(&findings)) } else { text(&findings) })
}

fn noise(noise: Option<Noise>) -> Finding {
    let name = "noise";
    let Some(Noise { median, p90, spread, pairs }) = noise else {
        return Finding::bad_if(
            true,
            name,
            "no kernel runs here",
            "build with kernels: `quantloom formats` shows what there is",
        );
    };
    let [median_percent, p90_percent] = [median, p90].map(|ratio| 100.0 * ratio);
    Finding::bad_if(
        median > NOISY,
        name,
        format!(
            "{median_percent:.1}% between equal measurements (9 in 10 below {p90_percent:.1}%), times spread {spread:.2}x, {pairs} pairs"
        ),
        "end other programs before tuning: differences below the noise are not seen",
    )
}

fn text(findings: &[Finding]) -> String {
    let width = findings.iter().map(|finding| finding.name.len()).max().unwrap_or_default();
    let remedy = |finding: &Finding| {
        finding.remedy.as_ref().map_or_else(String::new, |remedy| format!("{:width$}  -> {}", "", escaped(remedy)))
    };
    let value = |finding: &Finding| format!("{:width$}  {}", finding.name, escaped(&finding.value));
    let lines = findings.iter().flat_map(|finding| [(value(finding), 2), (remedy(finding), 5)]);
    let lines = lines.filter(|(line, _)| !line.is_empty());
    lines.map(|(line, more)| filled(&line, width + more) + "\n").collect()
}

fn json(findings: &[Finding]) -> Json {
    let json = |Finding { name, value, remedy }: &Finding| json!({ "name": name, "value": value, "remedy": remedy });
    json!({ "findings": findings.iter().map(json).collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remedies_stand_below_what_they_mend() {
        let findings = [Finding::fine("a", "one"), Finding::bad_if(true, "long", "two", "mend it")];
        assert_eq!(text(&findings), "a     one\nlong  two\n      -> mend it\n");
        assert_eq!(json(&findings)["findings"][1]["remedy"], "mend it");
        assert!(Finding::bad_if(false, "a", "one", "mend it").remedy.is_none());
    }

    #[test]
    fn a_restless_machine_has_a_remedy() {
        let of = |median| noise(Some(Noise { median, p90: 0.1, spread: 1.2, pairs: 5 }));
        assert!(of(0.05).remedy.is_some() && of(0.001).remedy.is_none());
        assert!(noise(None).remedy.is_some());
    }
}
