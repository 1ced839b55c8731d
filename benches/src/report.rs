//! A record as text: a row for each case while it runs, and a summary at its end.

use std::collections::BTreeMap;

use quantloom::measure::Fraction;

use crate::record::{Case, Run};

/// The head of the rows, for contenders of these names.
#[must_use]
pub fn head(names: &[String]) -> String {
    let mut text = format!("{:<8} {:>11} {:>5}", "FORMAT", "SHAPE", "BATCH");
    text.extend(names.iter().map(|name| format!("  {name:>width$}", width = width(name))));
    text + "  BEST PEER             RATIO  OF MINIMA  OF LIMIT"
}

/// The row of a case: µs of each contender, then how many times as fast as the best peer we are, and how much of the limit we reach.
#[must_use]
pub fn row(case: &Case, names: &[String]) -> String {
    let mut text = format!("{:<8} {:>11} {:>5}", case.format, case.shape, case.batch);
    text.extend(names.iter().map(|name| {
        let median = case.times(name).map_or_else(|| "-".to_owned(), |times| format!("{:.1}", times.median_us));
        format!("  {median:>width$}", width = width(name))
    }));
    let peer = case.best_peer().map_or("-", |times| &times.name);
    let ratio = |ratio: Option<f64>| ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
    let limit = case.fraction_of_limit().map_or_else(|| "-".to_owned(), |part| Fraction(part).to_string());
    format!("{text}  {peer:<20}  {:>5}  {:>9}  {limit:>8}", ratio(case.ratio()), ratio(case.ratio_of_minima()))
}

fn width(name: &str) -> usize {
    name.len().max(9)
}

/// For each batch size, the mean and the least of the ratios to the best peer, and the case that has the least.
#[must_use]
pub fn summary(run: &Run) -> String {
    let mut batches: BTreeMap<usize, Vec<(f64, &Case)>> = BTreeMap::new();
    for case in &run.cases {
        batches.entry(case.batch).or_default().extend(case.ratio().map(|ratio| (ratio, case)));
    }
    let mut text = format!("{} thread(s), ratios to the best peer:\n", run.threads);
    for (batch, ratios) in batches {
        let mean = (ratios.iter().map(|(ratio, _)| ratio.ln()).sum::<f64>() / ratios.len() as f64).exp();
        if let Some((least, case)) = ratios.iter().min_by(|a, b| a.0.total_cmp(&b.0)) {
            text +=
                &format!("batch {batch:>4}: mean {mean:.2} (geometric), least {least:.2} ({} {})\n", case.format, case.shape);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::sample;

    #[test]
    fn rows_show_times_ratios_and_limit() {
        let record = sample();
        let names = ["quantloom", "near", "absent"].map(str::to_owned);
        let row = row(&record.runs[0].cases[1], &names);
        let cells = row.split_whitespace().collect::<Vec<_>>();
        assert_eq!(cells, ["A", "1000x500", "8", "180.0", "700.0", "-", "far", "2.00", "3.89", "50%"]);
        assert_eq!(head(&names).find("RATIO").map(|at| at + 5), row.find("2.00").map(|at| at + 4));
    }

    #[test]
    fn the_summary_is_by_batch() {
        let text = summary(&sample().runs[0]);
        assert!(text.contains("batch    1: mean 1.50 (geometric), least 1.50 (A 1000x500)"), "{text}");
        assert!(text.contains("batch    8: mean 2.00"), "{text}");
    }
}
