//! The tensors of a model, each of the shape that it must have; none is passed over.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use quantloom::attention::KvType;
use quantloom::gguf::{BlockShape, TensorInfo};
use quantloom::model::{Kind, Model};
use quantloom::operation::Projection;
use quantloom::pool::Pool;
use quantloom::registry::Format;
use quantloom::stored::Stored;
use quantloom::weights::{Layout, Weights};

use crate::error::{Error, Result};

/// What the names of weights and of biases end with.
const WEIGHTS: &str = ".weight";
const BIASES: &str = ".bias";

/// A matrix, and what is added to its products.
#[derive(Clone, Debug)]
pub struct Matrix {
    pub name: String,
    pub weights: Arc<Weights>,
    pub bias: Option<Vec<f32>>,
}

impl Matrix {
    pub fn projection(&self) -> Projection<'_> {
        Projection { weights: &self.weights, bias: self.bias.as_deref() }
    }
}

/// The tensors of a file, some of which were asked for.
pub struct Tensors<'m> {
    pub model: &'m Model,
    pool: &'m Pool,
    asked: RefCell<BTreeSet<String>>,
}

impl<'m> Tensors<'m> {
    pub fn new(model: &'m Model, pool: &'m Pool) -> Self {
        Self { model, pool, asked: RefCell::default() }
    }

    /// A tensor by its whole name, if the file has it.
    fn find(&self, name: &str) -> Option<&'m TensorInfo> {
        self.asked.borrow_mut().insert(name.to_owned());
        self.model.file().tensor(name).ok()
    }

    fn need(&self, name: &str) -> Result<&'m TensorInfo> {
        self.find(name).map_or_else(|| Ok(self.model.file().tensor(name)?), Ok)
    }

    /// Whether the file has the weights of that name.
    pub fn has(&self, name: &str) -> bool {
        self.model.file().tensor(&format!("{name}{WEIGHTS}")).is_ok()
    }

    /// A tensor of `n` rows of `k`; any number of rows, if `n` is `None`.
    ///
    /// # Errors
    /// If there is none, or it has another shape.
    pub fn shaped(&self, name: &str, n: Option<usize>, k: usize) -> Result<&'m TensorInfo> {
        let tensor = self.need(&format!("{name}{WEIGHTS}"))?;
        self.check(tensor, n, k)?;
        Ok(tensor)
    }

    fn check(&self, tensor: &TensorInfo, n: Option<usize>, k: usize) -> Result<()> {
        if tensor.k() == k && n.is_none_or(|n| n == tensor.rows()) && tensor.rows() > 0 {
            return Ok(());
        }
        let wanted =
            n.map_or_else(|| format!("rows of {k}"), |n| if n == 1 { format!("{k} values") } else { format!("{n}x{k}") });
        let found = tensor.dims.iter().rev().map(u64::to_string).collect::<Vec<_>>().join("x");
        let detail = format!(
            "tensor {:?} has the shape {found}, and by the metadata must be {wanted}; convert the model again",
            tensor.name
        );
        Err(Error::model(self.model.file().path(), detail))
    }

    /// A matrix, with its bias if the file has one.
    ///
    /// # Errors
    /// As [`Tensors::shaped`] and [`Model::weights`].
    pub fn matrix(&self, name: &str, n: usize, k: usize) -> Result<Matrix> {
        let tensor = self.shaped(name, Some(n), k)?;
        let weights = Arc::new(weights(self.model, tensor, self.pool)?);
        let bias = self.find(&format!("{name}{BIASES}")).map(|bias| self.values(bias, n)).transpose()?;
        Ok(Matrix { name: name.to_owned(), weights, bias })
    }

    /// A row of values.
    ///
    /// # Errors
    /// As [`Tensors::shaped`]; if it is stored in a type that no card describes.
    pub fn vector(&self, name: &str, k: usize) -> Result<Vec<f32>> {
        self.values(self.need(&format!("{name}{WEIGHTS}"))?, k)
    }

    /// The same, if the file has it.
    ///
    /// # Errors
    /// As [`Tensors::vector`].
    pub fn vector_if(&self, name: &str, k: usize) -> Result<Option<Vec<f32>>> {
        self.find(&format!("{name}{WEIGHTS}")).map(|tensor| self.values(tensor, k)).transpose()
    }

    fn values(&self, tensor: &TensorInfo, k: usize) -> Result<Vec<f32>> {
        self.check(tensor, Some(1), k)?;
        let (format, shape) = stored_as(self.model, tensor)?.ok_or_else(|| self.model.unknown_type(tensor))?;
        let mut values = vec![0.0; k];
        Stored::new(format, 1, k, self.model.file().bytes(tensor, shape)?)?.decode(0..1, &mut values)?;
        Ok(values)
    }

    /// That the file has no tensor that nobody asked for: it might change results.
    ///
    /// # Errors
    /// [`Error::Model`] with the first.
    pub fn finish(&self) -> Result<()> {
        let asked = self.asked.borrow();
        match self.model.file().tensors().iter().find(|tensor| !asked.contains(&tensor.name)) {
            None => Ok(()),
            Some(tensor) => {
                let detail = format!(
                    "tensor {:?} means something that the card of this architecture does not know; it cannot be run",
                    tensor.name
                );
                Err(Error::model(self.model.file().path(), detail))
            }
        }
    }
}

/// How a tensor is stored, unless it is packed or holds no weights.
pub fn stored_as(model: &Model, tensor: &TensorInfo) -> Result<Option<(&'static Format, BlockShape)>> {
    Ok(match model.kind(tensor)? {
        Kind::Plain => Some((KvType::F32.format()?, BlockShape::F32)),
        Kind::Blocks(format, shape) => Some((format, shape)),
        Kind::Packed(_) | Kind::Items(_) => None,
    })
}

/// The weights of a tensor; plain ones are packed, too.
pub fn weights(model: &Model, tensor: &TensorInfo, pool: &Pool) -> Result<Weights> {
    if let Kind::Plain = model.kind(tensor)? {
        let bytes = model.file().bytes(tensor, BlockShape::F32)?;
        return Ok(Weights::pack(KvType::F32.format()?, tensor.rows(), tensor.k(), bytes, pool)?);
    }
    Ok(model.weights(tensor, Layout::Packed, pool)?)
}
