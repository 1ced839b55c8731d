//! What the demo does: data, in `demo.toml`.

use std::path::Path;

use serde::Deserialize;

/// The file, beside the bundled model.
#[derive(Debug, Deserialize)]
pub struct Demo {
    model: String,
    /// The batch sizes.
    pub batches: Vec<usize>,
    /// What the model writes.
    #[cfg(feature = "models")]
    pub text: Text,
    /// The matrices of a larger model.
    pub layers: Layers,
}

/// What the demo's model writes.
#[cfg(feature = "models")]
#[derive(Debug, Deserialize)]
pub struct Text {
    /// What it goes on from.
    pub prompt: String,
    /// How many tokens it writes.
    pub tokens: usize,
}

/// The matrices of a model that nobody has.
#[derive(Debug, Deserialize)]
pub struct Layers {
    /// What they are of.
    pub name: String,
    /// Their format.
    pub format: String,
    /// How many there are of each, rows, and columns.
    pub matrices: Vec<(usize, usize, usize)>,
}

/// The demo's model: a GGUF file, bundled with the program.
pub const MODEL: &[u8] = include_bytes!(env!("QUANTLOOM_DEMO_MODEL"));

impl Demo {
    /// The file of this build: it is compiled in, and a test reads it.
    pub fn get() -> Self {
        toml::from_str(include_str!("../demo.toml")).expect("demo.toml was tested")
    }

    /// The name of the bundled model's file.
    pub fn model(&self) -> &str {
        Path::new(&self.model).file_name().and_then(|name| name.to_str()).unwrap_or(&self.model)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quantloom::registry;

    #[test]
    fn the_demo_names_what_exists() {
        let Demo { layers: Layers { format, matrices, .. }, batches, .. } = Demo::get();
        let format = registry::format_by_name(&format).unwrap();
        assert!(format.packed.is_some());
        assert!(matrices.iter().all(|&(count, n, k)| count > 0 && n > 0 && k > 0 && k.is_multiple_of(format.block_weights)));
        assert!(!batches.contains(&0));
    }
}
