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
            error => Self::input(advised(&error.to_string())),
        }
    }
}

/// What a command says of remedies that the library knows by what they are: the ends of its messages, and what does that.
const ADVICE: [(&str, &str); 12] = [
    ("name one that the file has", "`quantloom inspect` lists them"),
    ("name one that is registered", "`quantloom formats` lists them"),
    ("name a recipe, or a format that is registered", "`quantloom quantize --help` lists recipes, `quantloom formats` formats"),
    ("convert it to a format that has a card", "`quantloom formats` lists them"),
    ("take a format that has some", "`quantloom formats` shows which"),
    ("name one of a format that is registered", "`quantloom explain FORMAT` lists those of a format"),
    ("more of them", "`quantloom explain FORMAT` lists all"),
    ("name one of those that it has", "`quantloom explain FORMAT` lists them"),
    ("name one of theirs", "`quantloom explain FORMAT` lists them"),
    ("that runs here", "`quantloom explain FORMAT` says which"),
    ("until it passed in a process of its own", "`quantloom tune` tries that"),
    ("of the tuner's cache, which QUANTLOOM_CACHE moves", "`quantloom cache path` prints one"),
];

/// What only some commands take, and what they take of it: for files that are no GGUF files.
const TAKEN: [(&str, &str); 2] = [
    (
        "open it as one, or convert the model to GGUF",
        "`inspect`, `decode` and `matmul` take it under a name that ends with .safetensors",
    ),
    ("as those, or convert the model to GGUF", "`inspect`, `decode` and `matmul` take it under a name that ends with .json"),
];

/// A message of the library with what the command can do about it.
pub fn advised(message: &str) -> String {
    let advice = ADVICE.into_iter().chain(TAKEN).find(|(end, _)| message.ends_with(end));
    advice.map_or_else(|| message.to_owned(), |(_, what)| format!("{message}: {what}"))
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
    use quantloom::registry;

    use super::*;

    /// What the user hears of an error.
    fn told(error: Error) -> String {
        match Failure::from(error) {
            Failure::Input(message) => message,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn remedies_of_the_library_are_followed_by_commands() {
        let why = "has a type that no card describes; convert it to a format that has a card".to_owned();
        let unknown = Error::UnknownTensorType { path: "a".into(), tensor: "b".to_owned(), kind: u32::MAX, why };
        let format = registry::formats().find(|format| !registry::kernels(format).is_empty()).unwrap();
        let name = registry::kernels(format)[0].name;
        let none_of = |count| registry::no_kernel(format, "b", registry::kernels(format).iter().cycle().take(count));
        for (error, wanted) in [
            (registry::format_by_name("?").unwrap_err(), "; name one that is registered: `quantloom formats` lists them"),
            (registry::kernel_by_name("?").unwrap_err(), "is registered: `quantloom explain FORMAT` lists those of a format"),
            (unknown, "that has a card: `quantloom formats` lists them"),
            (none_of(0), "that has some: `quantloom formats` shows which"),
            (none_of(10), "and 2 more of them: `quantloom explain FORMAT` lists all"),
            (none_of(1), name),
            (Error::Abandoned { kernel: "a".to_owned() }, "in a process of its own: `quantloom tune` tries that"),
        ] {
            let message = told(error);
            assert!(message.ends_with(wanted), "{message}");
        }
        let near = format!("{}?", registry::formats().next().unwrap().name);
        assert!(told(registry::format_by_name(&near).unwrap_err()).ends_with("\"?"), "what is near is enough");
    }

    #[test]
    fn documents_stay_what_they_are() {
        let hostile = "\u{1b}[31m\u{9b}\u{202e}\u{e0001}\n\"\\";
        let document = serde_json::json!({ hostile: [hostile, "naïve"] });
        let text = super::document(&document);
        assert!(text.chars().all(|c| c == '\n' || !is_unseen(c)) && text.contains("naïve"), "{text:?}");
        assert_eq!(serde_json::from_str::<Json>(&text).unwrap(), document);
    }
}
