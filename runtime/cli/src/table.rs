//! Tables of text for a terminal.

use std::fmt::{self, Write};

use quantloom_spec::text::escaped;

/// Longest text from a file that a cell shows.
const SHOWN: usize = 50;

/// Which side of a column its cells keep to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// Rows under headings, each column as wide as its widest cell.
#[derive(Debug)]
pub struct Table {
    columns: Vec<Align>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings and no rows.
    pub fn new(columns: &[(&str, Align)]) -> Self {
        let (heads, columns) = columns.iter().map(|&(head, align)| (head.to_owned(), align)).unzip();
        Self { columns, rows: vec![heads] }
    }

    /// Adds a row: one cell per heading. What a terminal would obey is shown.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| escaped(&cell)).collect());
    }

    /// Characters of each column's widest cell.
    fn widths(&self) -> Vec<usize> {
        let mut widths = vec![0; self.columns.len()];
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        widths
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths();
        for row in &self.rows {
            let mut line = String::new();
            for ((cell, &align), &width) in row.iter().zip(&self.columns).zip(&widths) {
                match align {
                    Align::Left => write!(line, "{cell:<width$}  ")?,
                    Align::Right => write!(line, "{cell:>width$}  ")?,
                }
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// Text from a file as a cell shows it: on one line, without control characters, not too long.
pub fn shown(text: &str) -> String {
    clipped(escaped(text).chars())
}

/// The start of what may be too long for a cell.
pub fn clipped(text: impl IntoIterator<Item = char>) -> String {
    let mut text = text.into_iter();
    let start: String = text.by_ref().take(SHOWN).collect();
    if text.next().is_none() { start } else { start + "..." }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_to_the_right() {
        let mut table = Table::new(&[("NAME", Align::Left), ("N", Align::Right), ("", Align::Left)]);
        table.row(["a".into(), "1000".into(), "x".into()]);
        table.row(["longer".into(), "5".into(), String::new()]);
        assert_eq!(table.to_string(), "NAME       N\na       1000  x\nlonger     5\n");
    }

    #[test]
    fn text_from_files_is_tamed() {
        assert_eq!(shown("a\nb\u{1b}"), "a\\nb\\u{1b}");
        let mut table = Table::new(&[("NAME", Align::Left)]);
        table.row(["a\nb\u{1b}[31m".into()]);
        assert_eq!(table.to_string(), "NAME\na\\nb\\u{1b}[31m\n");
        assert_eq!(shown(&"x".repeat(100)).len(), SHOWN + 3);
    }
}
