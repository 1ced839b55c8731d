//! What is to be done with each tensor.

use quantloom::Error;
use quantloom::gguf::{Gguf, TensorInfo};
use quantloom::recipes::{Recipe, Target};

use super::super::Failure;
use super::super::stored::Stored;

/// A tensor, and what it becomes.
#[derive(Debug)]
pub struct Step<'f> {
    /// The tensor.
    pub tensor: &'f TensorInfo,
    /// How it is stored.
    pub from: Stored,
    /// How it will be stored.
    pub to: Stored,
    /// The type number of that.
    pub to_kind: u32,
    /// Bytes of it.
    pub bytes: usize,
}

impl Step<'_> {
    /// Weights of the tensor.
    pub fn weights(&self) -> usize {
        self.tensor.k() * self.tensor.rows()
    }

    /// The matrices that are stacked in the tensor.
    pub fn stacked(&self) -> usize {
        let rows = self.tensor.dims.get(1).map_or(1, |rows| *rows as usize);
        self.tensor.rows().checked_div(rows).unwrap_or(0)
    }

    /// Whether the bytes stay as they are.
    pub fn copies(&self) -> bool {
        self.tensor.kind == self.to_kind
    }
}

/// The steps for all tensors, in file order.
///
/// # Errors
/// A type without a card or without a number in GGUF files, rows that are not whole blocks, or a tensor that is quantised
/// already unless that is allowed.
pub fn plan<'f>(file: &'f Gguf, recipe: &Recipe<'_>, imatrix: bool, requantize: bool) -> Result<Vec<Step<'f>>, Failure> {
    let targets = recipe.assign(file, imatrix)?;
    let steps = file.tensors().iter().zip(targets).map(|(tensor, target)| {
        let from = Stored::of(file, tensor)?;
        let to = match target {
            Target::Keep => from,
            Target::Plain => Stored::Plain,
            Target::Blocks(format) => Stored::blocks(format).ok_or_else(|| {
                Failure::input(format!("{} is stored in separate tensors; choose another format", format.name))
            })?,
        };
        let to_kind = if let Target::Keep = target { Some(tensor.kind) } else { to.kind() };
        let Some(to_kind) = to_kind else {
            return Err(Failure::input(format!("{} has no type number in GGUF files; choose another format", to.name())));
        };
        let bytes = if to_kind == tensor.kind { file.bytes(tensor, from.shape())?.len() } else { bytes(tensor, to)? };
        let step = Step { tensor, from, to, to_kind, bytes };
        if !step.copies() && from.shape().weights > 1 && !requantize {
            let (path, name) = (file.path().display(), from.name());
            return Err(Failure::input(format!(
                "{path}: tensor {:?} is quantised already, as {name}; start from f32, f16 or bf16, or say --allow-requantize",
                tensor.name
            )));
        }
        Ok(step)
    });
    steps.collect()
}

fn bytes(tensor: &TensorInfo, to: Stored) -> Result<usize, Error> {
    let (k, multiple) = (tensor.k(), to.shape().weights);
    let format = || format!("tensor {:?}: {}", tensor.name, to.name());
    tensor.byte_len(to.shape()).ok_or_else(|| Error::BadK { format: format(), k, multiple })
}
