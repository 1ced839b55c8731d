//! Diagnostics by the lines and columns that they are about, for those who know cards to be right.

use super::{Diagnostic, Label, Source};
use crate::text::escaped;

/// The text of one of them; it has no colours.
pub fn render(diagnostic: &Diagnostic, _styled: bool) -> String {
    let mut lines = vec![format!("error: {}", escaped(&diagnostic.message))];
    match &diagnostic.place {
        None => lines.push(format!(" --> {}", escaped(&diagnostic.source.path))),
        Some(place) => {
            lines.extend([place].into_iter().chain(&diagnostic.context).map(|label| line(&diagnostic.source, label)))
        }
    }
    lines.extend(diagnostic.notes.iter().map(|note| format!("  = note: {}", escaped(note))));
    lines.extend(diagnostic.help.iter().map(|help| format!("  = help: {}", escaped(help))));
    lines.join("\n")
}

/// Where a label is, counted from 1, and what it says.
fn line(source: &Source, label: &Label) -> String {
    let before = &source.text[..label.span.range_in(&source.text).start];
    let (line, column) = (before.matches('\n').count() + 1, before.chars().rev().take_while(|&c| c != '\n').count() + 1);
    let words = if label.text.is_empty() { String::new() } else { format!(": {}", escaped(&label.text)) };
    format!(" --> {}:{line}:{column}{words}", escaped(&source.path))
}

#[cfg(test)]
mod tests {
    use super::super::{Diagnostics, Sink, Source, Span};
    use super::render;

    fn only(found: &Diagnostics) -> String {
        assert_eq!(found.len(), 1);
        found.iter().map(|one| render(one, false)).collect()
    }

    #[test]
    fn places_are_named_by_line_and_column() {
        let mut sink = Sink::new(Source::shared("a\u{1b}.toml", "first = 1\n\u{e9} = 2\n"));
        let second = Span { start: 13, end: 14 };
        sink.error(second, "wrong").label("here").also(Span { start: 0, end: 5 }, "as there").note("why").help("what to do");
        let text = only(&sink.finish::<()>(None).unwrap_err());
        let wanted =
            "error: wrong\n --> a\\u{1b}.toml:2:3: here\n --> a\\u{1b}.toml:1:1: as there\n  = note: why\n  = help: what to do";
        assert_eq!(text, wanted);
    }

    #[test]
    fn a_file_as_a_whole_is_named() {
        assert_eq!(only(&Diagnostics::of_file("a.toml", "cannot be read")), "error: cannot be read\n --> a.toml");
    }
}
