//! Cards in, source text out: plan, lower, emit.
//!
//! [`Config`] is the door for build scripts. Inside, [`plan`] decides which kernels exist, [`lower`] brings a checked format into
//! neutral form ([`ir`] for the value of a weight, [`lower::class`] for what a kernel needs to know), [`kernel`] makes kernels of it in
//! neutral form too, and [`emit`] prints all that for a target.

mod config;
pub mod emit;
mod functions;
pub mod ir;
pub mod kernel;
pub mod lower;
pub mod plan;

use std::path::PathBuf;
use std::{fmt, io};

pub use config::Config;
pub(crate) use quantloom_abi::fnv::of_text as hash;
use quantloom_spec::Diagnostics;
pub use quantloom_spec::cards_dir;
pub use quantloom_spec::kernels::Set;
use quantloom_spec::model::Format;

/// A generated file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SourceFile {
    /// File name.
    pub name: String,
    /// Its text.
    pub text: String,
    /// The architecture that it is for, as Rust's `target_arch` has it; without it, any.
    pub arch: Option<String>,
}

impl SourceFile {
    /// The name without its extension.
    #[must_use]
    pub fn stem(&self) -> &str {
        self.name.split_once('.').map_or(&self.name, |(stem, _)| stem)
    }
}

/// Why nothing was generated.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// Cards are wrong.
    Cards(Diagnostics),
    /// A card asks for something that no lowering covers.
    Unsupported {
        /// Name of the format.
        format: String,
        /// What is not covered.
        what: String,
    },
    /// The file of an activation function is not what an operation needs.
    Function {
        /// Name of the operation.
        operation: String,
        /// Name of the function.
        name: String,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A file or folder cannot be read or written.
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is nowhere to write.
    NoOutDir,
    /// No folder of format cards was named.
    NoFormats,
    /// No format has that name.
    UnknownFormat {
        /// The name that was asked for.
        name: String,
    },
    /// Modules for graphics processors are not printed in a language of that name.
    UnknownLanguage {
        /// The name that was asked for.
        name: String,
        /// The names that exist.
        known: Vec<String>,
    },
    /// No instruction set has that name.
    UnknownTarget {
        /// The name that was asked for.
        name: String,
        /// The names that exist.
        known: Vec<String>,
    },
}

impl Error {
    pub(crate) fn unsupported(format: &Format, what: &str) -> Self {
        Self::Unsupported { format: format.name.clone(), what: what.to_owned() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Each of them begins with `error:` by itself.
            Self::Cards(diagnostics) => write!(f, "{diagnostics}"),
            Self::Unsupported { format, what } => write!(f, "error: {format}: no lowering covers {what}"),
            Self::Function { operation, name, path, what } => {
                write!(f, "error: {}: the activation function `{name}` of the operation {operation} {what}", path.display())
            }
            Self::Io { path, source } => write!(f, "error: {}: {source}", path.display()),
            Self::NoOutDir => {
                write!(f, "error: OUT_DIR is not set: call this from a build script, or name a folder with `out_dir`")
            }
            Self::NoFormats => write!(f, "error: there are no cards to generate from: name their folder with `formats`"),
            Self::UnknownFormat { name } => {
                write!(f, "error: no format is called {name:?}; `quantloom formats` lists those that there are")
            }
            Self::UnknownLanguage { name, known } => {
                write!(f, "error: no language is called {name:?}; there is {}", known.join(", "))
            }
            Self::UnknownTarget { name, known } => {
                write!(f, "error: no instruction set is called {name:?}; there is {}", known.join(", "))
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Cards(diagnostics) => Some(diagnostics),
            Self::Io { source, .. } => Some(source),
            Self::Unsupported { .. }
            | Self::Function { .. }
            | Self::NoOutDir
            | Self::NoFormats
            | Self::UnknownLanguage { .. }
            | Self::UnknownTarget { .. }
            | Self::UnknownFormat { .. } => None,
        }
    }
}
