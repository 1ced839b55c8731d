//! What the benchmarks measure when nobody says otherwise: data, in `defaults.toml`.

use serde::Deserialize;

/// The file.
#[derive(Debug, Deserialize)]
#[non_exhaustive]
pub struct Defaults {
    /// For benchmarks.
    pub bench: Bench,
}

/// For benchmarks.
#[derive(Debug, Deserialize)]
#[non_exhaustive]
pub struct Bench {
    /// The formats.
    pub formats: Vec<String>,
    /// The shapes: rows and columns of the weights.
    pub shapes: Vec<(usize, usize)>,
    /// The batch sizes.
    pub batches: Vec<usize>,
}

impl Defaults {
    /// The defaults of this build.
    ///
    /// # Panics
    /// Never: the file is compiled in, and a test reads it.
    #[must_use]
    pub fn get() -> Self {
        toml::from_str(include_str!("../defaults.toml")).expect("defaults.toml was tested")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry;

    #[test]
    fn the_defaults_name_what_exists() {
        let Bench { formats, shapes, batches } = Defaults::get().bench;
        for name in &formats {
            let format = registry::format_by_name(name).unwrap();
            assert!(format.packed.is_some(), "{name}");
            assert!(shapes.iter().all(|&(n, k)| n > 0 && k > 0 && k.is_multiple_of(format.block_weights)), "{name}");
        }
        assert!(!batches.contains(&0));
    }
}
