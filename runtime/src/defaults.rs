//! What the demo and the benchmarks measure when nobody says otherwise: data, in `defaults.toml`.

use serde::Deserialize;

/// The file.
#[derive(Debug, Deserialize)]
pub struct Defaults {
    /// For the demo.
    pub demo: Demo,
    /// For benchmarks.
    pub bench: Bench,
}

/// For the demo, beside the bundled model.
#[derive(Debug, Deserialize)]
pub struct Demo {
    /// Format of the layer shapes.
    pub format: String,
    /// The shapes: rows and columns of the weights.
    pub shapes: Vec<(usize, usize)>,
    /// The batch sizes.
    pub batches: Vec<usize>,
}

/// For benchmarks.
#[derive(Debug, Deserialize)]
pub struct Bench {
    /// The formats.
    pub formats: Vec<String>,
    /// The shapes: rows and columns of the weights.
    pub shapes: Vec<(usize, usize)>,
    /// The batch sizes.
    pub batches: Vec<usize>,
}

/// The demo's model: a GGUF file, bundled with the program.
pub const MODEL: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/model.gguf"));

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
        let Defaults { demo, bench } = Defaults::get();
        for name in bench.formats.iter().chain([&demo.format]) {
            let format = registry::format_by_name(name).unwrap();
            assert!(format.packed.is_some(), "{name}");
            let shapes = bench.shapes.iter().chain(&demo.shapes);
            assert!(shapes.clone().all(|&(n, k)| n > 0 && k > 0 && k.is_multiple_of(format.block_weights)), "{name}");
        }
        assert!(!bench.batches.contains(&0) && !demo.batches.contains(&0));
    }
}
