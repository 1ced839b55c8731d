//! What can go wrong with a model.

use std::path::{Path, PathBuf};

use quantloom_spec::text::{escaped, shown};

/// What went wrong, in one line, with a remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Something below the model: a file, memory, kernels.
    #[error(transparent)]
    Quantloom(#[from] quantloom::Error),

    /// The same, in a step of a model.
    #[error("{place}: {cause}")]
    Step {
        /// Which step.
        place: String,
        /// What went wrong, and the remedy.
        #[source]
        cause: quantloom::Error,
    },

    /// A file holds no model that can be run.
    #[error("{}: {}", shown(path), escaped(detail))]
    Model {
        /// The file.
        path: PathBuf,
        /// What is wrong, and the remedy.
        detail: String,
    },

    /// A model was asked for what it cannot do.
    #[error("{}", escaped(detail))]
    Input {
        /// What is wrong, and the remedy.
        detail: String,
    },
}

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn model(path: &Path, detail: impl Into<String>) -> Self {
        Self::Model { path: path.to_owned(), detail: detail.into() }
    }

    pub(crate) fn input(detail: impl Into<String>) -> Self {
        Self::Input { detail: detail.into() }
    }

    /// With the step of a model that it is of.
    pub(crate) fn within(self, place: impl FnOnce() -> String) -> Self {
        match self {
            Self::Quantloom(cause) => Self::Step { place: place(), cause },
            other => other,
        }
    }

    /// What is wrong with an input, where that is a file.
    pub(crate) fn of_file(self, path: &Path) -> Self {
        match self {
            Self::Input { detail } => Self::model(path, detail),
            other => other,
        }
    }
}
