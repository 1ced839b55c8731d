//! Why a command stopped, and what the user hears of it.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use quantloom::Error;

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

/// Prints to standard output.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|cause| Error::io("standard output")(cause).into())
}

/// Prints a line to standard error, where notes go. With standard error closed there is nobody to tell.
pub fn tell(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
