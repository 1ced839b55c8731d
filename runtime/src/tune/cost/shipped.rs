//! The models that are shipped: one file for each architecture that was measured.

use std::sync::LazyLock;

use serde::Deserialize;

use super::Model;

/// A file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    model: Vec<Model>,
}

/// All of them. One that cannot be read would count for nothing; a test reads them.
pub fn models() -> &'static [Model] {
    static MODELS: LazyLock<Vec<Model>> = LazyLock::new(|| read(X86_64).unwrap_or_default());
    &MODELS
}

/// The text of the file of this architecture.
pub const X86_64: &str = include_str!("x86_64.toml");

/// Reads the text of such a file.
///
/// # Errors
/// It is no TOML, or says something else than such a file does; a coefficient is negative or not a number.
pub fn read(text: &str) -> Result<Vec<Model>, String> {
    let File { model: models } = toml::from_str(text).map_err(|error| error.to_string())?;
    match models.iter().find(|model| !model.nanoseconds.is_sound()) {
        Some(model) => {
            Err(format!("the model of {}, {}: coefficients are 0 or above, and not all 0", model.isa, model.numerics))
        }
        None => Ok(models),
    }
}
