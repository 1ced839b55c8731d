//! What is measured when nobody says otherwise: data, in `defaults.toml`.

use serde::Deserialize;

use crate::shape::Shape;

/// The file.
#[derive(Debug, Deserialize)]
pub struct Defaults {
    /// Beside the peers.
    pub full: Cases,
    /// Beside the peers, in a few minutes.
    pub quick: Cases,
    /// For attention beside llama.cpp's.
    pub attention: Attention,
    /// For whole models.
    pub model: Model,
    /// With the processor's counters.
    pub counters: Counters,
    /// With a busy process on a core.
    pub contention: Contention,
    /// For operations in one call.
    pub fused: Fused,
    /// For the tuner's choices.
    pub tuning: Tuning,
    /// For the cost model of the tuner.
    pub cost_model: CostModel,
}

/// Every format in every shape with every batch on every number of threads.
#[derive(Clone, Debug, Deserialize)]
pub struct Cases {
    /// The formats.
    pub formats: Vec<String>,
    /// The shapes.
    pub shapes: Vec<Shape>,
    /// The batch sizes.
    pub batches: Vec<usize>,
    /// The numbers of threads.
    pub threads: Vec<usize>,
    /// Seconds for one case, all contenders together.
    pub seconds: f64,
}

/// For attention: heads of every size, every number of positions, and of queries.
#[derive(Clone, Debug, Deserialize)]
pub struct Attention {
    /// Heads of queries.
    pub query_heads: usize,
    /// Heads of keys, and of values.
    pub key_heads: usize,
    /// Values of a head.
    pub sizes: Vec<usize>,
    /// Positions that are cached.
    pub positions: Vec<usize>,
    /// How many of the last positions ask.
    pub queries: Vec<usize>,
}

/// A model with random weights, and how long prompts are.
#[derive(Clone, Debug, Deserialize)]
pub struct Model {
    /// Layers.
    pub layers: usize,
    /// Values of a token between layers.
    pub width: usize,
    /// Rows of gate and up.
    pub hidden: usize,
    /// Heads of queries.
    pub heads: usize,
    /// Heads of keys, and of values.
    pub key_heads: usize,
    /// Tokens that there are.
    pub vocabulary: usize,
    /// Positions, at most.
    pub context: usize,
    /// The usual format, and that of what is stored finer.
    pub formats: [String; 2],
    /// Tokens of prompts, and before generation.
    pub contexts: Vec<usize>,
}

/// For the tuner's choices: every format in every shape with every batch.
#[derive(Debug, Deserialize)]
pub struct Tuning {
    /// The formats.
    pub formats: Vec<String>,
    /// The shapes.
    pub shapes: Vec<Shape>,
    /// The batch sizes.
    pub batches: Vec<usize>,
}

/// For the counters.
#[derive(Debug, Deserialize)]
pub struct Counters {
    /// The formats.
    pub formats: Vec<String>,
    /// The shape.
    pub shape: Shape,
    /// The batch sizes.
    pub batches: Vec<usize>,
}

/// For contention.
#[derive(Debug, Deserialize)]
pub struct Contention {
    /// The format.
    pub format: String,
    /// The shape.
    pub shape: Shape,
    /// The batch sizes.
    pub batches: Vec<usize>,
}

/// For operations in one call: every operation with weights of every format, for every batch.
#[derive(Debug, Deserialize)]
pub struct Fused {
    /// The formats.
    pub formats: Vec<String>,
    /// The shape.
    pub shape: Shape,
    /// The batch sizes.
    pub batches: Vec<usize>,
}

/// For the cost model of the tuner.
#[derive(Clone, Debug, Deserialize)]
pub struct CostModel {
    /// Formats whose kernels it is fitted to.
    pub formats: Vec<String>,
    /// Formats whose kernels it is judged by.
    pub held_out: Vec<String>,
    /// The shapes.
    pub shapes: Vec<Shape>,
    /// The batch sizes, in ascending order.
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
    use quantloom::registry;

    #[test]
    fn the_defaults_name_what_exists() {
        let Defaults { full, quick, attention: _, model, counters, contention, fused, tuning, cost_model } = Defaults::get();
        let shapes = [&full.shapes, &quick.shapes, &tuning.shapes, &cost_model.shapes].into_iter().flatten();
        let shapes = shapes.chain([&counters.shape, &contention.shape, &fused.shape]);
        let of_cases = [&full.formats, &quick.formats, &counters.formats, &fused.formats, &tuning.formats];
        let formats = of_cases.into_iter().chain([&cost_model.formats, &cost_model.held_out]);
        for name in formats.flatten().chain(&model.formats).chain([&contention.format]) {
            let format = registry::format_by_name(name).unwrap();
            assert!(shapes.clone().all(|shape| shape.k.is_multiple_of(format.block_weights)), "{name}");
        }
    }
}
