//! What a model runs, step by step, for people.

use quantloom::attention::Heads;
use quantloom::registry::Format;
use quantloom::weights::Weights;

use crate::model::LanguageModel;
use crate::step::{Experts, Op, Step};

/// A line of what a model runs.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Line<'m> {
    /// The operation.
    pub operation: &'m str,
    /// What it does, in a word or two: the tensor that it multiplies by, or its numbers.
    pub what: String,
    /// What it multiplies by, if it does.
    pub weights: Option<&'m Weights>,
    /// How the numbers that it reads are stored, if that is one format.
    pub format: Option<&'static Format>,
    /// Bytes that it reads for one token; of a cache, for each position that it sees.
    pub bytes: usize,
}

/// What a model runs: the layers have the same steps.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Outline<'m> {
    /// Layers.
    pub layers: usize,
    /// What tokens become.
    pub embedding: Line<'m>,
    /// The first layer.
    pub layer: Vec<Line<'m>>,
    /// From the last layer to logits.
    pub head: Line<'m>,
}

impl LanguageModel {
    /// What it runs.
    #[must_use]
    pub fn outline(&self) -> Outline<'_> {
        let (format, bytes) = self.embedding().stored();
        let what = format!("a row of {}", self.embedding().name());
        let embedding = Line { operation: "embedding", what, weights: None, format: Some(format), bytes };
        let first = self.steps().iter().filter(|step| step.layer == 0);
        let head = product(self.operations().norm_linear.name, &self.head_parts().0.name, &self.head_parts().0.weights);
        Outline { layers: self.layers(), embedding, layer: first.flat_map(|step| self.lines(step)).collect(), head }
    }

    fn lines<'m>(&'m self, step: &'m Step) -> Vec<Line<'m>> {
        let operations = self.operations();
        let mut lines = Vec::new();
        match &step.op {
            Op::Attention(attend) => {
                let inputs = attend.inputs.iter();
                lines.extend(inputs.map(|matrix| product(operations.several.name, &matrix.name, &matrix.weights)));
                lines.push(self.attention(attend.attention.window));
                lines.push(product(operations.linear.name, &attend.out.name, &attend.out.weights));
            }
            Op::Gated(gated) => {
                let inputs = [&gated.gate, &gated.up];
                lines.extend(inputs.map(|matrix| product(gated.operation.name, &matrix.name, &matrix.weights)));
                lines.push(product(operations.linear.name, &gated.down.name, &gated.down.weights));
            }
            Op::Experts(experts) => {
                let router = &experts.router;
                lines.push(product(operations.norm_linear.name, &router.name, &router.weights));
                let gated = experts.operation.name;
                for expert in experts.all.iter().take(1) {
                    let matrices = [(gated, &expert.gate), (gated, &expert.up), (operations.linear.name, &expert.down)];
                    lines.extend(
                        matrices.map(|(operation, matrix)| used(experts, product(operation, &matrix.name, &matrix.weights))),
                    );
                }
            }
        }
        lines
    }

    fn attention<'m>(&self, window: Option<usize>) -> Line<'m> {
        let Heads { query, key, size } = self.heads();
        let seen = window.map_or_else(String::new, |window| format!(", a window of {window}"));
        let bytes =
            self.kv_types().map(|kv| kv.format().ok().and_then(|format| format.stored_bytes(key, size)).unwrap_or_default());
        let what = format!("{query} heads over {key}, of {size}{seen}");
        let format = self.kv_types()[0].format().ok();
        Line { operation: "attention", what, weights: None, format, bytes: bytes.iter().sum() }
    }
}

fn product<'m>(operation: &'m str, tensor: &str, weights: &'m Weights) -> Line<'m> {
    let what = tensor.to_owned();
    Line { operation, what, weights: Some(weights), format: Some(weights.format()), bytes: weights.held_bytes() }
}

/// A product of one expert, for all that a token goes through.
fn used<'m>(experts: &Experts, line: Line<'m>) -> Line<'m> {
    let (used, all) = (experts.used, experts.all.len());
    Line { what: format!("{}, {used} of {all} experts", line.what), bytes: used * line.bytes, ..line }
}
