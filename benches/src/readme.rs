//! The table of results in a README, made from a record. It lies between two comments, the first of which names the record:
//! `<!-- results: PATH -->` and `<!-- /results -->`. A first comment without a path is for a table that nothing has made yet.

use crate::record::{Case, IK, Record, Run};
use crate::shape::Shape;

/// What the table shows, on one thread.
const SHAPE: Shape = Shape { n: 4096, k: 4096 };
const BATCHES: [usize; 5] = [1, 4, 8, 128, 512];

const BEGIN: &str = "<!-- results";
const CLOSE: &str = "-->";
const END: &str = "<!-- /results -->";

/// The text and table of a record.
///
/// # Errors
/// One line, if the record has nothing to show.
pub fn results(record: &Record) -> Result<String, String> {
    let run = record.runs.iter().find(|run| run.threads == 1).ok_or("the record has no run on one thread")?;
    let formats = formats(run);
    if formats.is_empty() {
        return Err(format!("the record has no weights of {SHAPE}"));
    }
    let mut text = introduction(record, run);
    text += "| |";
    text.extend(BATCHES.map(|batch| format!(" batch {batch} |")));
    text += "\n|---|";
    text += &"---|".repeat(BATCHES.len());
    for format in formats {
        text += &format!("\n| {format} |");
        text.extend(BATCHES.map(|batch| run.case(format, SHAPE, batch).and_then(cell).unwrap_or_default() + " |"));
    }
    Ok(text + "\n")
}

/// The formats that the table shows, in the order of the record.
fn formats(run: &Run) -> Vec<&str> {
    let shown = run.cases.iter().filter(|case| case.shape == SHAPE && BATCHES.contains(&case.batch));
    let mut formats = shown.map(|case| case.format.as_str()).collect::<Vec<_>>();
    formats.dedup();
    formats
}

fn introduction(record: &Record, run: &Run) -> String {
    let (processor, read, int8) = (&record.processor, run.read_gbps, run.int8_gops);
    let peers = peers(run);
    format!(
        "One thread of {processor}, weights of {SHAPE}, class `int8`, medians. GB/s are of stored bytes. In the same run the core\n\
         reads {read:.1} GB/s and its dot unit does {int8:.0} Gop/s at best. In brackets the fraction of what these two allow: reading the\n\
         packed weights, or the arithmetic, whichever takes longer. Then the speed as a multiple of the best of \
         {peers}, measured in turn with ours in that run.\n\n"
    )
}

/// Who was measured beside ours, with a break where the line is full.
fn peers(run: &Run) -> &'static str {
    if run.cases.iter().any(|case| case.times(IK).is_some()) {
        "llama.cpp and\nik_llama.cpp, each with weights repacked or not, and candle"
    } else {
        "llama.cpp, with weights\nrepacked or not, and candle"
    }
}

/// Speed, fraction of the limit, and ratio to the best peer; none if we were not measured.
fn cell(case: &Case) -> Option<String> {
    let median_us = case.ours()?.median_us;
    let speed = if case.batch == 1 {
        format!("{:.1} GB/s", case.stored_bytes as f64 / median_us / 1e3)
    } else {
        format!("{:.0} Gop/s", case.operations() / median_us / 1e3)
    };
    let limit = 100.0 * case.fraction_of_limit()?;
    let ratio = case.ratio().map(|ratio| format!(", {ratio:.2}×")).unwrap_or_default();
    Some(format!(" {speed} ({limit:.0}%){ratio}"))
}

/// The path in the first comment of a README, and the text between it and the second.
///
/// # Errors
/// One line, if the comments are not there.
pub fn shown(readme: &str) -> Result<(&str, &str), String> {
    let parts = parts(readme)?;
    Ok((parts.path, parts.between))
}

/// A README with the results of another record, which lies at `path`.
///
/// # Errors
/// One line, if the comments are not there, or the record has nothing to show.
pub fn replace(readme: &str, path: &str, record: &Record) -> Result<String, String> {
    let Parts { before, after, .. } = parts(readme)?;
    Ok(format!("{before}{BEGIN}: {path} {CLOSE}\n{}{after}", results(record)?))
}

struct Parts<'a> {
    before: &'a str,
    path: &'a str,
    between: &'a str,
    after: &'a str,
}

fn parts(readme: &str) -> Result<Parts<'_>, String> {
    let find = || {
        let (before, rest) = readme.split_once(BEGIN)?;
        let (path, rest) = rest.split_once(CLOSE)?;
        let end = rest.find(END)?;
        let (between, after) = rest.split_at(end);
        Some(Parts { before, path: path.trim_start_matches(':').trim(), between: between.strip_prefix('\n')?, after })
    };
    find().ok_or_else(|| format!("no `{BEGIN} {CLOSE}` with `{END}` after it"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::sample;

    fn record() -> Record {
        let mut record = sample();
        record.runs[0].cases.iter_mut().for_each(|case| case.shape = SHAPE);
        record
    }

    #[test]
    fn a_table_shows_what_the_record_says() {
        let text = results(&record()).unwrap();
        let row = "| A | 10.0 GB/s (80%), 1.50× | | 1491 Gop/s (50%), 2.00× | | |\n";
        assert!(text.ends_with(row), "{text}");
        assert!(text.contains("reads 10.0 GB/s and its dot unit does 900 Gop/s"), "{text}");
        assert!(results(&sample()).unwrap_err().contains("4096x4096"));
    }

    #[test]
    fn a_table_says_whose_speed_was_compared() {
        let mut record = record();
        assert!(results(&record).unwrap().contains("llama.cpp, with weights\nrepacked or not, and candle, measured"));
        record.runs[0].cases[1].times[1].name = IK.to_owned();
        assert!(results(&record).unwrap().contains("llama.cpp and\nik_llama.cpp, each with"));
    }

    #[test]
    fn a_readme_keeps_what_surrounds_its_table() {
        let readme = "a\n<!-- results -->\nold\n<!-- /results -->\nz\n";
        let once = replace(readme, "x.json", &record()).unwrap();
        let (path, between) = shown(&once).unwrap();
        assert_eq!((path, between), ("x.json", results(&record()).unwrap().as_str()));
        assert!(once.starts_with("a\n<!-- results: x.json -->\n") && once.ends_with("\n<!-- /results -->\nz\n"), "{once}");
        assert_eq!(replace(&once, "x.json", &record()).unwrap(), once);
        assert!(shown("a").is_err() && shown("<!-- results -->\n").is_err());
    }
}
