//! What the demo and the benchmark measure when nobody says otherwise: data, in `defaults.toml`.

use serde::Deserialize;

use super::Failure;
use super::args::shape;

/// The file.
#[derive(Debug, Deserialize)]
pub struct Defaults {
    /// For the demo.
    pub demo: Demo,
    /// For `quantloom bench`.
    pub bench: Bench,
}

/// For the demo.
#[derive(Debug, Deserialize)]
pub struct Demo {
    /// Format of the layer shapes.
    pub format: String,
    /// The shapes, rows x columns.
    pub shapes: Vec<String>,
    /// The batch sizes.
    pub batches: Vec<usize>,
}

/// For `quantloom bench`.
#[derive(Debug, Deserialize)]
pub struct Bench {
    /// The formats.
    pub formats: Vec<String>,
    /// The shapes, rows x columns.
    pub shapes: Vec<String>,
    /// The batch sizes.
    pub batches: Vec<usize>,
}

impl Defaults {
    /// Reads the file that was compiled in.
    ///
    /// # Errors
    /// The file does not say what it should.
    pub fn read() -> Result<Self, Failure> {
        toml::from_str(include_str!("../../defaults.toml")).map_err(|error| Failure::input(format!("defaults.toml: {error}")))
    }
}

/// Shapes as numbers.
///
/// # Errors
/// One is not `NxK`.
pub fn shapes(texts: &[String]) -> Result<Vec<(usize, usize)>, Failure> {
    texts.iter().map(|text| shape(text).map_err(|error| Failure::input(format!("{text}: {error}")))).collect()
}

#[cfg(test)]
mod tests {
    use quantloom::registry;

    use super::*;

    #[test]
    fn the_defaults_name_what_exists() {
        let Defaults { demo, bench } = Defaults::read().unwrap_or_else(|_| panic!("defaults.toml cannot be read"));
        for format in bench.formats.iter().chain([&demo.format]) {
            assert!(registry::format_by_name(format).is_ok_and(|format| format.packed.is_some()), "{format}");
        }
        assert!(shapes(&bench.shapes).is_ok_and(|shapes| !shapes.is_empty()));
        assert!(shapes(&demo.shapes).is_ok_and(|shapes| !shapes.is_empty()));
        assert!(!bench.batches.contains(&0) && !demo.batches.contains(&0));
    }
}
