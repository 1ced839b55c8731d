//! The steps of layers: what a card says, with the tensors of a file.

use quantloom::attention::{Attention, Heads};
use quantloom::operation::{self, Operation, Projections, Prologue};
use quantloom_spec::architecture::{self, Architecture};

use crate::error::{Error, Result};
use crate::metadata::Metadata;
use crate::settings::Settings;
use crate::tensors::{Matrix, Tensors};

/// A step of a layer: `x + residual * post_norm(op(norm(x)))`.
#[derive(Debug)]
pub struct Step {
    pub layer: usize,
    pub norm: Vec<f32>,
    pub op: Op,
    /// The last matrix of the step, whose products are added.
    pub out: Matrix,
    pub post_norm: Option<Vec<f32>>,
    pub residual: Option<f32>,
}

/// What a step does up to its last matrix.
#[derive(Debug)]
pub enum Op {
    Attention(Box<Attend>),
    Gated { operation: &'static Operation, gate: Matrix, up: Matrix },
}

/// Attention of a layer.
#[derive(Debug)]
pub struct Attend {
    /// Queries, keys and values.
    pub inputs: [Matrix; 3],
    pub q_norm: Option<Vec<f32>>,
    pub k_norm: Option<Vec<f32>>,
    /// Which angles rotate queries and keys, if any do.
    pub angles: Option<Angles>,
    pub attention: Attention<'static>,
    /// Which of the caches of a sequence is its own.
    pub cache: usize,
}

/// Which of the angles of a model.
#[derive(Clone, Copy, Debug)]
pub enum Angles {
    All,
    Window,
}

/// What the steps of a model are made of.
pub struct Parts<'p> {
    pub card: &'p Architecture,
    pub settings: Settings,
    pub metadata: &'p Metadata<'p>,
    pub tensors: &'p Tensors<'p>,
}

impl Parts<'_> {
    /// The steps of all layers, in their order.
    ///
    /// # Errors
    /// [`Error`] of the first tensor or number that is missing or wrong.
    pub fn steps(&self) -> Result<Vec<Step>> {
        let (mut steps, mut caches) = (Vec::new(), 0);
        for layer in 0..self.settings.layers {
            for step in &self.card.layer {
                steps.push(self.step(layer, step, &mut caches)?);
            }
        }
        Ok(steps)
    }

    fn step(&self, layer: usize, step: &architecture::Step, caches: &mut usize) -> Result<Step> {
        let name = |tensor: &str| format!("blk.{layer}.{tensor}");
        let width = self.settings.width;
        let (op, out) = match &step.op {
            architecture::Op::Attention(card) => {
                let Heads { query, key, size } = self.settings.heads;
                let inputs = [(&card.q, query), (&card.k, key), (&card.v, key)];
                let [q, k, v] = inputs.map(|(tensor, heads)| self.tensors.matrix(&name(tensor), heads * size, width));
                let attend = Attend {
                    inputs: [q?, k?, v?],
                    q_norm: self.vector(layer, card.q_norm.as_ref(), size)?,
                    k_norm: self.vector(layer, card.k_norm.as_ref(), size)?,
                    angles: self.angles(layer, card),
                    attention: self.attention(layer, card)?,
                    cache: *caches,
                };
                *caches += 1;
                (Op::Attention(Box::new(attend)), self.tensors.matrix(&name(&card.out), width, query * size)?)
            }
            architecture::Op::Gated(card) => {
                // Metadata may say how many rows it has; the tensors do.
                let rows = self.tensors.shaped(&name(&card.gate), None, width)?.rows();
                let [gate, up] = [&card.gate, &card.up].map(|tensor| self.tensors.matrix(&name(tensor), rows, width));
                let op = Op::Gated { operation: gated(&card.act)?, gate: gate?, up: up? };
                (op, self.tensors.matrix(&name(&card.down), width, rows)?)
            }
        };
        Ok(Step {
            layer,
            norm: self.tensors.vector(&name(&step.norm), width)?,
            op,
            out,
            post_norm: self.vector(layer, step.post_norm.as_ref(), width)?,
            residual: step.residual.as_ref().map(|key| self.metadata.number(key)).transpose()?.map(|number| number as f32),
        })
    }

    fn vector(&self, layer: usize, tensor: Option<&String>, k: usize) -> Result<Option<Vec<f32>>> {
        tensor.map(|tensor| self.tensors.vector(&format!("blk.{layer}.{tensor}"), k)).transpose()
    }

    fn angles(&self, layer: usize, card: &architecture::Attention) -> Option<Angles> {
        let windowed = card.window.as_ref().is_some_and(|window| window.is_in(layer));
        self.card.rope.is_in(layer).then_some(if windowed { Angles::Window } else { Angles::All })
    }

    fn attention(&self, layer: usize, card: &architecture::Attention) -> Result<Attention<'static>> {
        let attention = Attention::new(self.settings.heads.size);
        let attention = match &card.scale {
            Some(key) => attention.scale(self.metadata.number(key)? as f32),
            None => attention,
        };
        let Some(window) = &card.window else { return Ok(attention) };
        let positions = self.metadata.count(&window.key)?;
        Ok(if window.is_in(layer) { attention.window(positions) } else { attention })
    }
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
