//! What text is written for: how wide a terminal is, and what it can do.

use std::env;
use std::io::{self, IsTerminal};

use terminal_size::{Width, terminal_size_of};

/// Characters of a line: as `COLUMNS` says, or else as wide as the terminal of standard output is. None if that is no terminal: then
/// lines are as long as they are.
pub fn width() -> Option<usize> {
    let asked = env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let found = || terminal_size_of(io::stdout()).map(|(Width(width), _)| usize::from(width));
    asked.or_else(found).filter(|width| *width > 0)
}

/// Whether standard error shows colours, and the user wants them.
pub fn has_colours() -> bool {
    let refused = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    obeys() && !refused
}

/// Whether standard error is a terminal that does more than write line below line.
pub fn obeys() -> bool {
    io::stderr().is_terminal() && env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// A line as it fits the screen: broken between words, with `hang` spaces before what goes on.
pub fn filled(line: &str, hang: usize) -> String {
    fill(line, width(), hang)
}

/// What some words mean, one below the other.
pub fn legend(words: &[(&str, &str)]) -> String {
    let longest = words.iter().map(|(word, _)| word.len()).max().unwrap_or_default();
    words.iter().map(|(word, meaning)| filled(&format!("{word:longest$}  {meaning}"), longest + 2) + "\n").collect()
}

fn fill(line: &str, width: Option<usize>, hang: usize) -> String {
    let Some(width) = width else { return line.to_owned() };
    let (mut text, mut length) = (String::new(), 0);
    for word in line.split_inclusive(' ') {
        let letters = word.trim_end().chars().count();
        if length > hang && length + letters > width {
            text.truncate(text.trim_end().len());
            text += &format!("\n{:hang$}", "");
            length = hang;
        }
        text += word;
        length += word.chars().count();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words() {
        let line = "name  one two three a.word.longer.than.that four";
        assert_eq!(fill(line, None, 6), line);
        assert_eq!(fill(line, Some(13), 6), "name  one two\n      three\n      a.word.longer.than.that\n      four");
        assert_eq!(fill("", Some(9), 2), "");
        assert_eq!(fill(line, Some(1), 0).lines().count(), 6);
    }
}
