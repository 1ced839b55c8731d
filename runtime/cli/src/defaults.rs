//! What the demo measures: data, in `demo.toml`.

use serde::Deserialize;

/// The file, beside the bundled model.
#[derive(Debug, Deserialize)]
pub struct Demo {
    /// Format of the layer shapes.
    pub format: String,
    /// The shapes: rows and columns of the weights.
    pub shapes: Vec<(usize, usize)>,
    /// The batch sizes.
    pub batches: Vec<usize>,
}

/// The demo's model: a GGUF file, bundled with the program.
pub const MODEL: &[u8] = include_bytes!(env!("QUANTLOOM_DEMO_MODEL"));

impl Demo {
    /// The file of this build: it is compiled in, and a test reads it.
    pub fn get() -> Self {
        toml::from_str(include_str!("../demo.toml")).expect("demo.toml was tested")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quantloom::registry;

    #[test]
    fn the_demo_names_what_exists() {
        let Demo { format, shapes, batches } = Demo::get();
        let format = registry::format_by_name(&format).unwrap();
        assert!(format.packed.is_some());
        assert!(shapes.iter().all(|&(n, k)| n > 0 && k > 0 && k.is_multiple_of(format.block_weights)));
        assert!(!batches.contains(&0));
    }
}
