//! Tables of text for a terminal.

use std::fmt;

use super::screen;

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

/// Rows under headings, each column as wide as its widest cell. Where a screen is narrower than that, columns of text get lines of
/// their own, the widest first: above the rest of a row if the column is the first, else below it.
#[derive(Debug)]
pub struct Table {
    columns: Vec<Align>,
    rows: Vec<Vec<String>>,
}

/// Between columns.
const GAP: usize = 2;
/// Before what stands below a cell of the first column, and before other cells with a line of their own.
const INDENT: usize = 4;

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

    /// The columns that share a line of so many characters, and those with lines of their own; all share one if `limit` is none.
    fn split(&self, widths: &[usize], limit: Option<usize>) -> (Vec<usize>, Vec<usize>) {
        let mut shared = (0..self.columns.len()).collect::<Vec<_>>();
        let mut own = Vec::new();
        let length = |shared: &[usize]| {
            let indent = if shared.first() == Some(&0) { 0 } else { INDENT };
            indent + shared.iter().map(|&column| widths[column] + GAP).sum::<usize>().saturating_sub(GAP)
        };
        while shared.len() > 1 && limit.is_some_and(|limit| length(&shared) > limit) {
            let text = shared.iter().copied().filter(|&column| self.columns[column] == Align::Left);
            let Some(widest) = text.max_by_key(|&column| widths[column]) else { break };
            shared.retain(|&column| column != widest);
            own.push(widest);
        }
        own.sort_unstable();
        (shared, own)
    }

    /// All lines, for a screen of so many columns.
    fn fitted(&self, limit: Option<usize>) -> String {
        let widths = self.widths();
        let (shared, own) = self.split(&widths, limit);
        let indent = " ".repeat(INDENT);
        let mut text = String::new();
        for row in &self.rows {
            let cell = |column: usize| row.get(column).map_or("", String::as_str);
            let mut line = if shared.first() == Some(&0) { String::new() } else { indent.clone() };
            for &column in &shared {
                let (cell, width) = (cell(column), widths[column]);
                line += &match self.columns[column] {
                    Align::Left => format!("{cell:<width$}"),
                    Align::Right => format!("{cell:>width$}"),
                };
                line += &" ".repeat(GAP);
            }
            let above = own.iter().filter(|column| **column == 0).map(|&column| cell(column).to_owned());
            let below = own.iter().filter(|column| **column > 0 && !cell(**column).is_empty());
            let lines = above.chain([line]).chain(below.map(|&column| format!("{indent}{}", cell(column))));
            lines.for_each(|line| text += &format!("{}\n", line.trim_end()));
        }
        text
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.fitted(screen::width()))
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
        assert_eq!(table.fitted(None), "NAME       N\na       1000  x\nlonger     5\n");
    }

    #[test]
    fn what_is_wider_than_the_screen_gets_lines_of_its_own() {
        let mut table =
            Table::new(&[("N", Align::Right), ("KERNEL", Align::Left), ("FROM", Align::Left), ("RATE", Align::Right)]);
        table.row(["1".into(), "a.long.name".into(), "cache".into(), "2.5".into()]);
        table.row(["1000".into(), String::new(), "pin".into(), "12.5".into()]);
        let whole = "   N  KERNEL       FROM   RATE\n   1  a.long.name  cache   2.5\n1000               pin    12.5\n";
        assert_eq!([None, Some(30)].map(|limit| table.fitted(limit)), [whole; 2]);
        let folded = "   N  FROM   RATE\n    KERNEL\n   1  cache   2.5\n    a.long.name\n1000  pin    12.5\n";
        assert_eq!([29, 17].map(|limit| table.fitted(Some(limit))), [folded; 2]);
        assert_eq!(table.fitted(Some(5)).lines().take(3).collect::<Vec<_>>(), ["   N  RATE", "    KERNEL", "    FROM"]);

        let mut table = Table::new(&[("TENSOR", Align::Left), ("BYTES", Align::Right)]);
        table.row(["a.long.name".into(), "7".into()]);
        assert_eq!(table.fitted(Some(17)), "TENSOR\n    BYTES\na.long.name\n        7\n");
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
