//! The tables of results in a README, each made from a record. A table lies between two comments, the first of which names the record:
//! `<!-- results: PATH -->` and `<!-- /results -->`. A first comment without a path is for a table that nothing has made yet.

use quantloom::measure::Fraction;

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
    let shown = run.cases.iter().filter(|case| case.shape == SHAPE && BATCHES.contains(&case.batch));
    let above = Fraction::explained(shown.filter_map(Case::fraction_of_limit).map(Fraction));
    Ok(text + "\n" + &above.map(|word| format!("\n\\{word}\n")).unwrap_or_default())
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
    let limit = Fraction(case.fraction_of_limit()?);
    let ratio = case.ratio().map(|ratio| format!(", {ratio:.2}×")).unwrap_or_default();
    Some(format!(" {speed} ({limit}){ratio}"))
}

/// The records of a README's tables, and the tables.
///
/// # Errors
/// One line, if there are no comments, or one is without the other.
pub fn shown(readme: &str) -> Result<Vec<(&str, &str)>, String> {
    Ok(tables(readme)?.into_iter().map(|table| (table.path, table.between)).collect())
}

/// A README with the results of the record that lies at `path`, in place of those that it had, or in the first table that has no record.
///
/// # Errors
/// One line, if there is no such table, or the record has nothing to show.
pub fn replace(readme: &str, path: &str, record: &Record) -> Result<String, String> {
    let tables = tables(readme)?;
    let of = |path: &str| tables.iter().find(|table| table.path == path);
    let Table { start, end, .. } = of(path)
        .or_else(|| of(""))
        .ok_or_else(|| format!("no table is of {path}: put `{BEGIN} {CLOSE}` and `{END}` where it is to be"))?;
    Ok(format!("{}{BEGIN}: {path} {CLOSE}\n{}{}", &readme[..*start], results(record)?, &readme[*end..]))
}

/// A table, from its first comment to where the second begins.
struct Table<'a> {
    start: usize,
    path: &'a str,
    between: &'a str,
    end: usize,
}

fn tables(readme: &str) -> Result<Vec<Table<'_>>, String> {
    let table = |start: usize| {
        let (path, rest) = readme[start + BEGIN.len()..].split_once(CLOSE)?;
        let between = rest.strip_prefix('\n')?;
        let (between, _) = between.split_once(END).filter(|(between, _)| !between.contains(BEGIN))?;
        let end = readme.len() - rest.len() + 1 + between.len();
        Some(Table { start, path: path.trim_start_matches(':').trim(), between, end })
    };
    let tables = readme.match_indices(BEGIN).map(|(start, _)| table(start)).collect::<Option<Vec<_>>>();
    tables.filter(|tables| !tables.is_empty()).ok_or_else(|| format!("no `{BEGIN} {CLOSE}` with `{END}` after it"))
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
    fn a_readme_keeps_what_surrounds_its_tables() {
        let other = "<!-- results: y.json -->\nother\n<!-- /results -->\n";
        let readme = format!("a\n{other}<!-- results -->\nold\n<!-- /results -->\nz\n");
        let once = replace(&readme, "x.json", &record()).unwrap();
        let made = results(&record()).unwrap();
        assert_eq!(shown(&once).unwrap(), [("y.json", "other\n"), ("x.json", made.as_str())]);
        let begins = once.starts_with(&format!("a\n{other}<!-- results: x.json -->\n"));
        assert!(begins && once.ends_with("\n<!-- /results -->\nz\n"), "{once}");
        assert_eq!(replace(&once, "x.json", &record()).unwrap(), once);
        assert!(replace(&once, "z.json", &record()).unwrap_err().contains("z.json"));
        assert!(shown("a").is_err() && shown("<!-- results -->\n").is_err());
        assert!(shown(&format!("<!-- results -->\n{other}")).is_err(), "the first has no end");
    }
}
