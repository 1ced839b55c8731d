//! Text from elsewhere: how it is read from a file, and how people are shown it.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// The text of a regular file. Anything else is refused at once: opening a pipe would wait for whoever writes into it.
///
/// # Errors
/// What the system says, that it is no regular file, or that its bytes are no text.
pub fn read(path: &Path) -> io::Result<String> {
    if fs::metadata(path)?.is_file() {
        fs::read_to_string(path)
    } else {
        Err(io::Error::new(ErrorKind::InvalidInput, "not a regular file"))
    }
}

/// The regular files of a folder that are written in TOML, as cards and tables are, sorted by name; those of folders in it are left out.
///
/// # Errors
/// What the system says.
pub(crate) fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "toml") && path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// Text from elsewhere as a part of a line: characters that a terminal obeys rather than shows, the ends of lines among them, come as
/// their numbers. All other text is left as it is.
///
/// ```
/// use quantloom_spec::text::escaped;
///
/// assert_eq!(escaped("naïve \"name\""), "naïve \"name\"");
/// assert_eq!(escaped("red\u{1b}[31m\n"), "red\\u{1b}[31m\\n");
/// ```
#[must_use]
pub fn escaped(text: &str) -> String {
    escaped_except(text, |_| false)
}

/// The name of a file, as a part of a line.
#[must_use]
pub fn shown(path: &Path) -> String {
    escaped(&path.to_string_lossy())
}

/// As [`escaped`], for text of several lines, which stay lines.
#[must_use]
pub fn escaped_lines(text: &str) -> String {
    escaped_except(text, |c| c == '\n')
}

/// As [`escaped`], but for characters that are kept.
pub(crate) fn escaped_except(text: &str, keep: impl Fn(char) -> bool) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unseen(c) && !keep(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Whether a character is none that is seen: a control character, the end of a line, or one that changes where or whether others are
/// seen.
#[must_use]
pub const fn is_unseen(c: char) -> bool {
    matches!(
        c,
        '\0'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_shown() {
        for (text, wanted) in [
            ("\u{1b}]0;title\u{7}", "\\u{1b}]0;title\\u{7}"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("a\u{202e}b\u{2066}c\u{200f}", "a\\u{202e}b\\u{2066}c\\u{200f}"),
            ("a\r\nb\tc\u{2028}d\u{85}", "a\\r\\nb\\tc\\u{2028}d\\u{85}"),
            ("C:\\füße 'é' 中文 👍", "C:\\füße 'é' 中文 👍"),
        ] {
            assert_eq!(escaped(text), wanted);
        }
        assert_eq!(escaped_lines("a\nb\u{1b}\n"), "a\nb\\u{1b}\n");
    }

    #[test]
    fn every_control_character_is_unseen() {
        assert!((0..=u32::from(char::MAX)).filter_map(char::from_u32).filter(|c| c.is_control()).all(is_unseen));
    }
}
