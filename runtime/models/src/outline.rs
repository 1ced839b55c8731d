//! What a model runs, step by step, for people.

use std::path::Path;

use quantloom::attention::Heads;
use quantloom::gguf::TensorInfo;
use quantloom::matmul::Request;
use quantloom::model::Model;
use quantloom::registry::Format;
use quantloom::weights::Shape;
use quantloom_spec::architecture::Architecture;

use crate::error::Result;
use crate::model::{LanguageModel, Options};
use crate::plan::Plan;
use crate::step::{Attend, Experts, Op, Step};
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
    /// The layers, counted from 0, that have it so, where others do not.
    pub layers: Vec<usize>,
}

/// What a model runs: the layers have the same steps, of which some may differ in their formats, shapes or windows.
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
    /// The steps of a layer: a line for all layers, as the first has it, or one for each kind of them.
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
        plan.expect_caches(options.kv_types(), options.isa, model.file().path())?;
        Ok(Self::new(&plan, &options))
    }

    /// Of a plan, with options that are settled.
    pub(crate) fn new<W: Held>(plan: &Plan<W>, options: &Options) -> Self {
        let (format, bytes) = plan.embedding.stored();
        let what = format!("a row of {}", plan.embedding.name());
        let embedding = Line { operation: "embedding", what, weights: None, format: Some(format), bytes, layers: Vec::new() };
        let of_layers = plan.steps.chunk_by(|a, b| a.layer == b.layer);
        let of_layers = of_layers.map(|steps| steps.iter().flat_map(|step| lines(plan, options, step)).collect());
        Self {
            card: plan.card,
            request: options.request(),
            layers: plan.settings.layers,
            embedding,
            layer: merged(of_layers.collect()),
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

impl Line {
    /// Whether it is the same in another layer.
    fn is_like(&self, other: &Self) -> bool {
        let of_weights = |line: &Self| line.weights.map(|weights| (weights.n, weights.k));
        let format = |line: &Self| line.format.map(|format| format.name);
        // Tensors of layers differ in the number of the layer alone.
        let same_words = self.weights.is_some() || self.what == other.what;
        let [own, others] = [self, other].map(|line| (line.operation, of_weights(line), format(line), line.bytes));
        same_words && own == others
    }
}

/// The lines of all layers, each kind of a line once.
fn merged(of_layers: Vec<Vec<Line>>) -> Vec<Line> {
    let mut kinds: Vec<Vec<Line>> = Vec::new();
    for (layer, lines) in of_layers.into_iter().enumerate() {
        kinds.resize_with(lines.len().max(kinds.len()), Vec::new);
        for (kinds, line) in kinds.iter_mut().zip(lines) {
            match kinds.iter_mut().find(|kind| kind.is_like(&line)) {
                Some(kind) => kind.layers.push(layer),
                None => kinds.push(Line { layers: vec![layer], ..line }),
            }
        }
    }
    for kinds in &mut kinds {
        if let [only] = &mut kinds[..] {
            only.layers.clear();
        }
    }
    kinds.concat()
}

fn lines<W: Held>(plan: &Plan<W>, options: &Options, step: &Step<W>) -> Vec<Line> {
    let operations = plan.operations;
    let mut lines = Vec::new();
    match &step.op {
        Op::Attention(attend) => {
            let inputs = attend.inputs.iter();
            lines.extend(inputs.map(|matrix| product(operations.several.name, &matrix.name, &matrix.weights)));
            lines.push(attention(plan.settings.heads, options, attend));
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

fn attention<W>(heads: Heads, options: &Options, attend: &Attend<W>) -> Line {
    let Heads { query, key, size } = heads;
    let seen = attend.attention.window.map_or_else(String::new, |window| format!(", a window of {window}"));
    let turned = if attend.angles.is_some() { "" } else { ", not rotated" };
    let types = options.kv_types();
    let bytes = types.map(|kv| kv.format().ok().and_then(|format| format.stored_bytes(key, size)).unwrap_or_default());
    let what = format!("{query} heads over {key}, of {size}{seen}{turned}");
    let format = types[0].format().ok();
    Line { operation: "attention", what, weights: None, format, bytes: bytes.iter().sum(), layers: Vec::new() }
}

fn product(operation: &'static str, tensor: &str, weights: &impl Held) -> Line {
    let (what, shape) = (tensor.to_owned(), weights.shape());
    let bytes = shape.bytes().unwrap_or_default();
    Line { operation, what, weights: Some(shape), format: Some(shape.format), bytes, layers: Vec::new() }
}

/// A product of one expert, for all that a token goes through.
fn used<W>(experts: &Experts<W>, line: Line) -> Line {
    let (used, all) = (experts.used, experts.all.len());
    Line { what: format!("{}, {used} of {all} experts", line.what), bytes: used * line.bytes, ..line }
}
