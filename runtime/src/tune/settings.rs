//! What the user asks of the tuner by environment variables.

use std::env;

use super::{Mode, Pins};
use crate::error::{Error, Result};

/// The environment variable that says when to measure: see [`Mode`].
pub const MODE: &str = "QUANTLOOM_TUNE";
/// The environment variable that names kernels: see [`Pins`].
pub const PIN: &str = "QUANTLOOM_PIN";

/// When to measure, and kernels that are named.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Settings {
    /// What the user says; `None`: nothing.
    pub mode: Option<Mode>,
    /// Kernels that run whatever was measured.
    pub pins: Pins,
}

impl Settings {
    /// Those of this process's environment. An empty variable counts for none.
    ///
    /// # Errors
    /// [`Error::Setting`] for a variable that says nothing that is understood.
    pub fn from_env() -> Result<Self> {
        Ok(Self { mode: variable(MODE)?, pins: variable(PIN)?.unwrap_or_default() })
    }
}

/// A variable's value, read.
fn variable<T: std::str::FromStr<Err = String>>(name: &'static str) -> Result<Option<T>> {
    let Some(value) = env::var_os(name).filter(|value| !value.is_empty()) else { return Ok(None) };
    let value = value.to_string_lossy().into_owned();
    value.parse().map(Some).map_err(|detail| Error::Setting { variable: name, value, detail })
}
