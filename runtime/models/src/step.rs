//! The steps of layers: what a card says, with the tensors of a file.

use std::sync::Arc;

use quantloom::attention::{Attention, Heads};
use quantloom::operation::{self, Operation, Projections, Prologue};
use quantloom::weights::Weights;
use quantloom_spec::architecture::{self, Architecture, Matrices};

use crate::error::{Error, Result};
use crate::metadata::Metadata;
use crate::settings::Settings;
use crate::tensors::{Held, Matrix, Stack, Tensors};

/// A step of a layer: `x + residual * post_norm(op(norm(x)))`.
#[derive(Debug)]
pub struct Step<W = Arc<Weights>> {
    pub layer: usize,
    pub norm: Vec<f32>,
    pub op: Op<W>,
    pub post_norm: Option<Vec<f32>>,
    pub residual: Option<f32>,
}

/// What a step does.
#[derive(Debug)]
pub enum Op<W = Arc<Weights>> {
    Attention(Box<Attend<W>>),
    Gated(Box<Gated<W>>),
    Experts(Box<Experts<W>>),
}

impl Step {
    /// What it is called in messages.
    pub fn place(&self) -> String {
        let what = match &self.op {
            Op::Attention(_) => "attention",
            Op::Gated(_) => "the feed-forward network",
            Op::Experts(_) => "the experts",
        };
        format!("{what} of layer {} (counted from 0)", self.layer)
    }

    /// The matrices that it multiplies by; of experts, those of one, which have the shapes of all.
    pub fn matrices(&self) -> Vec<&Matrix> {
        match &self.op {
            Op::Attention(attend) => attend.inputs.iter().chain([&attend.out]).collect(),
            Op::Gated(gated) => vec![&gated.gate, &gated.up, &gated.down],
            Op::Experts(experts) => {
                let first = experts.all.first();
                let of_first = first.map(|expert| [&expert.gate, &expert.up, &expert.down]);
                [&experts.router].into_iter().chain(of_first.into_iter().flatten()).collect()
            }
        }
    }
}

/// A feed-forward network.
#[derive(Debug)]
pub struct Gated<W = Arc<Weights>> {
    pub operation: &'static Operation,
    pub gate: Matrix<W>,
    pub up: Matrix<W>,
    pub down: Matrix<W>,
}

/// The experts of a step.
#[derive(Debug)]
pub struct Experts<W = Arc<Weights>> {
    /// A row for each.
    pub router: Matrix<W>,
    /// What gates them.
    pub operation: &'static Operation,
    pub all: Vec<Expert<W>>,
    /// How many of them a row goes through.
    pub used: usize,
}

/// The network of an expert.
#[derive(Debug)]
pub struct Expert<W = Arc<Weights>> {
    pub gate: Matrix<W>,
    pub up: Matrix<W>,
    pub down: Matrix<W>,
}

/// Attention of a layer.
#[derive(Debug)]
pub struct Attend<W = Arc<Weights>> {
    /// Queries, keys and values.
    pub inputs: [Matrix<W>; 3],
    pub q_norm: Option<Vec<f32>>,
    pub k_norm: Option<Vec<f32>>,
    /// Which angles rotate queries and keys, if any do.
    pub angles: Option<Angles>,
    pub attention: Attention<'static>,
    pub sinks: Option<Vec<f32>>,
    pub temperature: Option<Temperature>,
    /// Which of the caches of a sequence is its own.
    pub cache: usize,
    /// From heads to the width.
    pub out: Matrix<W>,
}

/// How queries grow with the logarithm of their position.
#[derive(Clone, Copy, Debug)]
pub struct Temperature {
    pub scale: f64,
    /// Positions before which they do not.
    pub from: usize,
}

impl Temperature {
    /// What the query at a position is multiplied by.
    pub fn of(&self, position: usize) -> f32 {
        (libm::log((position / self.from) as f64 + 1.0) * self.scale + 1.0) as f32
    }
}

/// Which of the angles of a model.
#[derive(Clone, Copy, Debug)]
pub enum Angles {
    All,
    Window,
}

/// What the steps of a model are made of.
pub struct Parts<'p, W> {
    pub card: &'p Architecture,
    pub settings: Settings,
    pub metadata: &'p Metadata<'p>,
    pub tensors: &'p Tensors<'p, W>,
}

impl<W: Held> Parts<'_, W> {
    /// The steps of all layers, in their order.
    ///
    /// # Errors
    /// [`Error`] of the first tensor or number that is missing or wrong.
    pub fn steps(&self) -> Result<Vec<Step<W>>> {
        let (mut steps, mut caches) = (Vec::new(), 0);
        for layer in 0..self.settings.layers {
            for step in &self.card.layer {
                steps.push(self.step(layer, step, &mut caches)?);
            }
        }
        Ok(steps)
    }

    fn step(&self, layer: usize, step: &architecture::Step, caches: &mut usize) -> Result<Step<W>> {
        let width = self.settings.width;
        let op = match &step.op {
            architecture::Op::Attention(card) => {
                let attend = self.attend(layer, card, *caches)?;
                *caches += 1;
                Op::Attention(Box::new(attend))
            }
            architecture::Op::Gated(card) => Op::Gated(Box::new(self.gated(layer, card)?)),
            architecture::Op::Experts(card) => Op::Experts(Box::new(self.experts(layer, card)?)),
        };
        Ok(Step {
            layer,
            norm: self.tensors.vector(&named(layer, &step.norm), width)?,
            op,
            post_norm: self.vector(layer, step.post_norm.as_ref(), width)?,
            residual: step.residual.as_ref().map(|key| self.metadata.number(key)).transpose()?.map(|number| number as f32),
        })
    }

    fn attend(&self, layer: usize, card: &architecture::Attention, cache: usize) -> Result<Attend<W>> {
        let (width, Heads { query, key, size }) = (self.settings.width, self.settings.heads);
        let names = self.names(layer, &card.inputs);
        Ok(Attend {
            inputs: self.inputs(&names, [query, key, key].map(|heads| heads * size), 1, 0)?,
            q_norm: self.vector(layer, card.q_norm.as_ref(), size)?,
            k_norm: self.vector(layer, card.k_norm.as_ref(), size)?,
            angles: self.angles(layer, card),
            attention: self.attention(layer, card)?,
            sinks: self.sinks(layer, card, query)?,
            temperature: self.temperature(card)?,
            cache,
            out: self.tensors.matrix(&named(layer, &card.out), width, query * size)?,
        })
    }

    fn gated(&self, layer: usize, card: &architecture::Gated) -> Result<Gated<W>> {
        let names = self.names(layer, &card.inputs);
        let n = self.inner(&names, 1)?;
        let [gate, up] = self.inputs(&names, [n, n], 1, 0)?;
        let down = self.tensors.matrix(&named(layer, &card.down), self.settings.width, n)?;
        Ok(Gated { operation: gated(&card.act)?, gate, up, down })
    }

    fn experts(&self, layer: usize, card: &architecture::Experts) -> Result<Experts<W>> {
        let (count, used) = (self.metadata.count(&card.count)?, self.metadata.count(&card.used)?);
        if used > count {
            let detail = format!("is {used}, and there are {count} experts; convert the model again");
            return Err(self.metadata.wrong(&card.used, &detail));
        }
        let width = self.settings.width;
        let names = self.names(layer, &card.network.inputs);
        let (down, n) = (named(layer, &card.network.down), self.inner(&names, count)?);
        let expert = |index| -> Result<Expert<W>> {
            let [gate, up] = self.inputs(&names, [n, n], count, index)?;
            Ok(Expert { gate, up, down: self.tensors.part(&down, Stack { count, n: width, k: n }, index, 0..width)? })
        };
        Ok(Experts {
            router: self.tensors.matrix(&named(layer, &card.router), count, width)?,
            operation: gated(&card.network.act)?,
            all: (0..count).map(expert).collect::<Result<_>>()?,
            used,
        })
    }

    /// The tensors that matrices are in: the one that is fused, where a file has it.
    fn names<const N: usize>(&self, layer: usize, card: &Matrices<N>) -> Names<N> {
        let fused = card.fused.as_ref().map(|name| named(layer, name));
        match (&card.each, fused) {
            (Some(each), Some(fused)) if !self.tensors.has(&fused) => {
                Names::Each(each.each_ref().map(|name| named(layer, name)))
            }
            (_, Some(fused)) => Names::Fused(fused),
            (Some(each), None) => Names::Each(each.each_ref().map(|name| named(layer, name))),
            (None, None) => unreachable!("a card names the tensors of its matrices"),
        }
    }

    /// Rows of a gate, of one of so many networks. Metadata may say how many it has; the tensors do.
    fn inner(&self, names: &Names<2>, count: usize) -> Result<usize> {
        let width = self.settings.width;
        match names {
            Names::Each([gate, _]) => self.tensors.stacked(gate, count, 1, width),
            Names::Fused(fused) => Ok(self.tensors.stacked(fused, count, 2, width)? / 2),
        }
    }

    /// Matrices of so many rows that multiply the same values; tensors have those of `count` layers, experts say.
    fn inputs<const N: usize>(&self, names: &Names<N>, rows: [usize; N], count: usize, index: usize) -> Result<[Matrix<W>; N]> {
        let (k, all) = (self.settings.width, rows.iter().sum());
        let part = |place: usize| match names {
            Names::Each(each) => self.tensors.part(&each[place], Stack { count, n: rows[place], k }, index, 0..rows[place]),
            Names::Fused(fused) => {
                let first = rows[..place].iter().sum();
                self.tensors.part(fused, Stack { count, n: all, k }, index, first..first + rows[place])
            }
        };
        let parts = (0..N).map(part).collect::<Result<Vec<_>>>()?;
        Ok(parts.try_into().expect("a matrix for each number of rows"))
    }

    fn vector(&self, layer: usize, tensor: Option<&String>, k: usize) -> Result<Option<Vec<f32>>> {
        tensor.map(|tensor| self.tensors.vector(&named(layer, tensor), k)).transpose()
    }

    fn sinks(&self, layer: usize, card: &architecture::Attention, query: usize) -> Result<Option<Vec<f32>>> {
        let Some(name) = card.sinks.as_ref().map(|name| named(layer, name)) else { return Ok(None) };
        let sinks = self.tensors.vector(&name, query)?;
        self.tensors.expect(&name, &sinks, "finite", |sink| sink.is_finite())?;
        Ok(Some(sinks))
    }

    fn angles(&self, layer: usize, card: &architecture::Attention) -> Option<Angles> {
        let windowed = card.window.as_ref().is_some_and(|window| window.is_in(layer));
        self.card.rope.is_in(layer).then_some(if windowed { Angles::Window } else { Angles::All })
    }

    fn temperature(&self, card: &architecture::Attention) -> Result<Option<Temperature>> {
        let scale = card.temperature.as_ref().map(|key| self.metadata.number_if(key)).transpose()?.flatten();
        Ok(scale.map(|scale| Temperature { scale, from: self.settings.original }))
    }

    fn attention(&self, layer: usize, card: &architecture::Attention) -> Result<Attention<'static>> {
        let attention = Attention::new(self.settings.heads.size);
        let attention = match &card.scale {
            Some(key) => attention.scale(self.metadata.number(key)? as f32),
            None => attention,
        };
        let Some(window) = &card.window else { return Ok(attention) };
        let positions = self.metadata.window(&window.key, window.default)?;
        Ok(if window.is_in(layer) { attention.window(positions) } else { attention })
    }
}

/// The tensors that matrices are in, which multiply the same values.
enum Names<const N: usize> {
    Each([String; N]),
    Fused(String),
}

/// A tensor of a layer.
fn named(layer: usize, tensor: &str) -> String {
    format!("blk.{layer}.{tensor}")
}

/// The operation of a gate with that function, behind its norm.
fn gated(act: &str) -> Result<&'static Operation> {
    let fits = |operation: &&Operation| {
        operation.projections == Projections::Gated
            && operation.prologue == Prologue::RmsNorm
            && operation.epilogue.activation.is_some_and(|function| function.name == act)
    };
    let none =
        || Error::input(format!("no operation of this build gates by {act} behind a norm; build again with a card of one"));
    operation::all().iter().find(fits).ok_or_else(none)
}
