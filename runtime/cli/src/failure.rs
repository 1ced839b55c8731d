//! Why a command stopped, and what the user hears of it.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use quantloom::Error;
use quantloom_spec::text::{escaped, escaped_lines, is_unseen};
use serde_json::Value as Json;

/// Why a command did not do all it was asked to.
#[derive(Debug)]
pub enum Failure {
    /// The input is wrong; one line says which and where.
    Input(String),
    /// The input is wrong, and the user has been told.
    Told,
    /// Whoever read the output has left; nothing is wrong.
    Closed,
}

impl Failure {
    /// The input is wrong, as `message` says in one line.
    pub fn input(message: impl Display) -> Self {
        Self::Input(message.to_string())
    }

    /// Tells the user, and gives the exit status.
    pub fn report(self) -> ExitCode {
        match self {
            Self::Closed => ExitCode::SUCCESS,
            Self::Told => ExitCode::FAILURE,
            Self::Input(message) => {
                tell(&format!("error: {message}"));
                ExitCode::FAILURE
            }
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Io { cause, .. } if cause.kind() == ErrorKind::BrokenPipe => Self::Closed,
            error => Self::input(error),
        }
    }
}

/// Prints text to standard output. What a terminal would obey is shown.
pub fn print(text: &str) -> Result<(), Failure> {
    print_as_it_is(&escaped_lines(text))
}

/// A document as text: the same for every reader of JSON, and nothing in it that a terminal would obey.
pub fn document(json: &Json) -> String {
    let mut text = String::new();
    for c in format!("{json:#}\n").chars() {
        if is_unseen(c) && c != '\n' {
            // Only texts have such characters.
            text.extend(c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            text.push(c);
        }
    }
    text
}

/// Prints what others read, not people.
pub fn print_as_it_is(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|cause| Error::io("standard output")(cause).into())
}

/// Prints a line to standard error, where notes go. What a terminal would obey is shown.
pub fn tell(line: &str) {
    tell_as_it_is(&escaped(line));
}

/// Prints lines to standard error that nobody else has a part in. With standard error closed there is nobody to tell.
pub fn tell_as_it_is(lines: &str) {
    let _ = writeln!(io::stderr(), "{lines}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_stay_what_they_are() {
        let hostile = "\u{1b}[31m\u{9b}\u{202e}\u{e0001}\n\"\\";
        let document = serde_json::json!({ hostile: [hostile, "naïve"] });
        let text = super::document(&document);
        assert!(text.chars().all(|c| c == '\n' || !is_unseen(c)) && text.contains("naïve"), "{text:?}");
        assert_eq!(serde_json::from_str::<Json>(&text).unwrap(), document);
    }
}
