//! What a model runs, step by step, for people.

use std::path::Path;

use quantloom::attention::Heads;
use quantloom::gguf::TensorInfo;
use quantloom::matmul::Request;
use quantloom::model::Model;
use quantloom::registry::Format;
use quantloom::weights::Shape;
use quantloom_spec::architecture::Architecture;

use crate::error::{Error, Result};
use crate::model::{LanguageModel, Options};
use crate::plan::Plan;
use crate::step::{Experts, Op, Step};
use crate::tensors::{self, Held, Tensors};

/// A line of what a model runs.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Line {
    /// The operation.
    pub operation: &'static str,
    /// What it does, in a word or two: the tensor that it multiplies by, or its numbers.
    pub what: String,
    /// The shape of what it multiplies by, if it does.
    pub weights: Option<Shape>,
    /// How the numbers that it reads are stored, if that is one format.
    pub format: Option<&'static Format>,
    /// Bytes that it reads for one token; of a cache, for each position that it sees.
    pub bytes: usize,
}

/// What a model runs: the layers have the same steps.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Outline {
    /// The card of its architecture.
    pub card: &'static Architecture,
    /// What it asks of kernels.
    pub request: Request,
    /// Layers.
    pub layers: usize,
    /// What tokens become.
    pub embedding: Line,
    /// The first layer.
    pub layer: Vec<Line>,
    /// From the last layer to logits.
    pub head: Line,
}

impl Outline {
    /// What the model in a file would run. Its weights are not read: this takes as little time and memory for a large model as for a small one.
    ///
    /// # Errors
    /// As [`crate::LanguageModel::open`], but for memory.
    pub fn open(path: impl AsRef<Path>, options: &Options) -> Result<Self> {
        let model = Model::open(path)?;
        let hold = |tensor: &TensorInfo, rows| tensors::shape(&model, tensor, rows);
        let plan = Plan::read(&model, &Tensors::new(&model, &hold))?;
        let options = options.settled(model.file());
        plan.caches(options.kv_types()).map_err(|error| Error::model(model.file().path(), error.to_string()))?;
        Ok(Self::new(&plan, &options))
    }

    /// Of a plan, with options that are settled.
    pub(crate) fn new<W: Held>(plan: &Plan<W>, options: &Options) -> Self {
        let (format, bytes) = plan.embedding.stored();
        let what = format!("a row of {}", plan.embedding.name());
        let embedding = Line { operation: "embedding", what, weights: None, format: Some(format), bytes };
        let first = plan.steps.iter().filter(|step| step.layer == 0);
        Self {
            card: plan.card,
            request: options.request(),
            layers: plan.settings.layers,
            embedding,
            layer: first.flat_map(|step| lines(plan, options, step)).collect(),
            head: product(plan.operations.norm_linear.name, &plan.head.name, &plan.head.weights),
        }
    }
}

impl LanguageModel {
    /// What it runs, step by step.
    #[must_use]
    pub fn outline(&self) -> Outline {
        Outline::new(self.plan(), self.options())
    }
}

fn lines<W: Held>(plan: &Plan<W>, options: &Options, step: &Step<W>) -> Vec<Line> {
    let operations = plan.operations;
    let mut lines = Vec::new();
    match &step.op {
        Op::Attention(attend) => {
            let inputs = attend.inputs.iter();
            lines.extend(inputs.map(|matrix| product(operations.several.name, &matrix.name, &matrix.weights)));
            lines.push(attention(plan.settings.heads, options, attend.attention.window));
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

fn attention(heads: Heads, options: &Options, window: Option<usize>) -> Line {
    let Heads { query, key, size } = heads;
    let seen = window.map_or_else(String::new, |window| format!(", a window of {window}"));
    let types = options.kv_types();
    let bytes = types.map(|kv| kv.format().ok().and_then(|format| format.stored_bytes(key, size)).unwrap_or_default());
    let what = format!("{query} heads over {key}, of {size}{seen}");
    let format = types[0].format().ok();
    Line { operation: "attention", what, weights: None, format, bytes: bytes.iter().sum() }
}

fn product(operation: &'static str, tensor: &str, weights: &impl Held) -> Line {
    let (what, shape) = (tensor.to_owned(), weights.shape());
    Line { operation, what, weights: Some(shape), format: Some(shape.format), bytes: shape.bytes().unwrap_or_default() }
}

/// A product of one expert, for all that a token goes through.
fn used<W>(experts: &Experts<W>, line: Line) -> Line {
    let (used, all) = (experts.used, experts.all.len());
    Line { what: format!("{}, {used} of {all} experts", line.what), bytes: used * line.bytes, ..line }
}
