//! Tables of levels that are too long for a card: vectors of a few letters, as rows of digits or as a set of all such rows.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::diagnostic::{Diagnostics, Sink, Source, Span};
use crate::model::Levels;
use crate::text;
use crate::walk::{At, Table, read_document};

/// Most neighbouring weights per code, and most codes.
const MAX_WIDTH: u32 = 64;
const MAX_ROWS: usize = 1 << 16;

/// The folder of tables is in the folder of cards, or so many levels up, less one.
const LEVELS: usize = 3;

/// Most rows of which a set is written as bits.
const MAX_COUNTED: usize = 1 << 20;

/// Where cards find tables by name.
pub trait Tables {
    /// The names of all tables.
    fn names(&self) -> Vec<String>;

    /// The table of that name, which is one of `names`.
    ///
    /// # Errors
    /// When its text cannot be had.
    fn open(&self, name: &str) -> io::Result<Source>;
}

/// The tables of a folder: `NAME.toml` each.
#[derive(Clone, Debug)]
pub struct TableFolder {
    folder: PathBuf,
}

impl TableFolder {
    /// The tables in `folder`, which need not exist.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// The tables that belong to a folder of format cards: the nearest folder `tables` in it or at most two levels above it.
    #[must_use]
    pub fn beside(cards: &Path) -> Self {
        // As it is given for messages; in full because a relative path has too few levels.
        let full = cards.canonicalize().unwrap_or_default();
        let places = [cards, &full].into_iter().flat_map(|folder| folder.ancestors().take(LEVELS));
        let nearest = places.map(|folder| folder.join("tables")).find(|tables| tables.is_dir());
        Self::new(nearest.unwrap_or_else(|| cards.join("tables")))
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.folder
    }
}

impl Tables for TableFolder {
    fn names(&self) -> Vec<String> {
        let files = text::files(&self.folder).unwrap_or_default();
        files.iter().filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect()
    }

    fn open(&self, name: &str) -> io::Result<Source> {
        let path = self.folder.join(name).with_extension("toml");
        Ok(Source { text: text::read(&path)?, path: shown(&path) })
    }
}

/// A path as diagnostics show it: the same on every system.
pub(crate) fn shown(path: &Path) -> String {
    path.display().to_string().replace('\\', "/")
}

/// Tables in memory: text by name.
impl Tables for BTreeMap<String, String> {
    fn names(&self) -> Vec<String> {
        self.keys().cloned().collect()
    }

    fn open(&self, name: &str) -> io::Result<Source> {
        let text = self.get(name).ok_or(io::ErrorKind::NotFound)?.clone();
        Ok(Source { path: format!("{name}.toml"), text })
    }
}

/// Reads and checks the table `name`.
pub(crate) fn read_levels(name: &str, source: Source) -> Result<Levels, Diagnostics> {
    read_document(Arc::new(source), "a table", |table, sink| read_table(table, name, sink))
}

fn read_table(mut table: Table<'_>, name: &str, sink: &mut Sink) -> Option<Levels> {
    let given = table.need("name").and_then(|node| node.identifier(sink, false));
    if let Some(given) = given.filter(|given| given.value != name) {
        sink.error(given.span, format!("the table's file is called `{name}`"));
    }
    table.need("doc").and_then(|node| node.line(sink));
    let width = table.need("width").and_then(|node| node.count(sink, 1..=MAX_WIDTH));
    let letters = read_letters(&mut table, sink);
    let members = table.get("members");
    let rows = if members.is_none() { table.need("rows") } else { table.get("rows") };
    if let (Some(rows), Some(members)) = (&rows, &members) {
        sink.error(members.span, "a table has `rows` or `members`, not both").also(rows.span, "the rows");
    }
    let text = members.as_ref().or(rows.as_ref()).and_then(|node| node.text(sink));
    table.finish(sink);
    let (width, letters, text) = (width?.value, letters?, text?);
    let values = match members {
        Some(_) => read_members(&text, width, &letters, sink)?,
        None => read_rows(&text, width, &letters, sink)?,
    };
    Some(Levels { table: Some(name.to_owned()), width, values })
}

/// The value of each digit; a row has one decimal digit per value, so there are at most ten.
fn read_letters(table: &mut Table<'_>, sink: &mut Sink) -> Option<Vec<f32>> {
    let node = table.need("letters")?;
    let letters: Vec<_> = node.list(sink)?.iter().map(|letter| letter.exact(sink)).collect();
    if letters.is_empty() || letters.len() > 10 {
        sink.error(node.span, "a table has 1 to 10 letters");
        return None;
    }
    letters.into_iter().map(|letter| letter.map(|at| at.value)).collect()
}

fn read_rows(rows: &At<&str>, width: usize, letters: &[f32], sink: &mut Sink) -> Option<Vec<f32>> {
    let count = rows.value.split_whitespace().count();
    if !(1..=MAX_ROWS).contains(&count) {
        sink.error(rows.span, format!("a table has 1 to {MAX_ROWS} rows"));
        return None;
    }
    let mut values = Vec::with_capacity(count * width);
    let mut wrong = Vec::new();
    for (n, row) in rows.value.split_whitespace().enumerate() {
        let before = values.len();
        values.extend(row.chars().filter_map(|c| letters.get(c.to_digit(10)? as usize)));
        if values.len() - before != width || row.chars().count() != width {
            wrong.push(n);
        }
    }
    if let [first, more @ ..] = wrong.as_slice() {
        let error = sink.error(row_span(rows, *first, sink), format!("row {first} of the table is wrong"));
        error.label(format!("must be {width} digits, each under {}", letters.len()));
        if !more.is_empty() {
            error.note(format!("and {} more rows", more.len()));
        }
    }
    Some(values)
}

/// The rows whose bits are 1, in counting order: bit i is the row of the digits of i, the first digit counting fastest.
fn read_members(members: &At<&str>, width: usize, letters: &[f32], sink: &mut Sink) -> Option<Vec<f32>> {
    let digits: Option<Vec<u32>> = members.value.split_whitespace().flat_map(str::chars).map(|c| c.to_digit(16)).collect();
    let Some(digits) = digits else {
        sink.error(members.span, "`members` must be hexadecimal digits");
        return None;
    };
    let rows = letters.len().checked_pow(width as u32).filter(|rows| *rows <= MAX_COUNTED);
    let Some(rows) = rows.filter(|rows| rows.div_ceil(4) == digits.len()) else {
        let all = rows.map_or_else(|| format!("more than {MAX_COUNTED}"), |rows| rows.to_string());
        sink.error(members.span, format!("{} hexadecimal digits are not one bit for each row", digits.len()))
            .label(format!("there are {all} rows of {width} letters"));
        return None;
    };
    let is_member = |row: &usize| digits[row / 4] >> (row % 4) & 1 == 1;
    let chosen: Vec<usize> = (0..4 * digits.len()).filter(is_member).collect();
    if chosen.is_empty() || chosen.len() > MAX_ROWS {
        sink.error(members.span, format!("a table has 1 to {MAX_ROWS} rows")).label(format!("names {}", chosen.len()));
        return None;
    }
    if chosen.iter().any(|row| *row >= rows) {
        sink.error(members.span, format!("a bit is 1 behind the last of {rows} rows"));
        return None;
    }
    let row = |row: usize| (0..width as u32).map(move |i| letters[row / letters.len().pow(i) % letters.len()]);
    Some(chosen.into_iter().flat_map(row).collect())
}

/// Where row `n` is written; the whole text if it has escapes that hide the rows.
fn row_span(rows: &At<&str>, n: usize, sink: &Sink) -> Span {
    let Some(written) = sink.text().get(rows.span.start..rows.span.end) else { return rows.span };
    let quotes = written.len() - written.trim_start_matches(['"', '\'']).len();
    let inside = written.trim_matches(['"', '\'']);
    if inside.split_whitespace().ne(rows.value.split_whitespace()) {
        return rows.span;
    }
    inside.split_whitespace().nth(n).map_or(rows.span, |row| {
        let start = rows.span.start + quotes + (row.as_ptr() as usize - inside.as_ptr() as usize);
        Span { start, end: start + row.len() }
    })
}
