//! The tensors of a model, each of the shape that it must have; none is passed over.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

use quantloom::attention::KvType;
use quantloom::gguf::{BlockShape, TensorInfo};
use quantloom::model::{Kind, Model};
use quantloom::operation::Projection;
use quantloom::pool::Pool;
use quantloom::registry::Format;
use quantloom::stored::Stored;
use quantloom::weights::{Layout, Shape, Weights};

use crate::error::{Error, Result};

/// What the names of weights and of biases end with.
const WEIGHTS: &str = ".weight";
const BIASES: &str = ".bias";

/// What is held of a matrix: its weights, or its shape alone, which takes neither time nor memory.
pub trait Held: Clone + Debug {
    fn shape(&self) -> Shape;
}

impl Held for Arc<Weights> {
    fn shape(&self) -> Shape {
        Shape::from(&**self)
    }
}

impl Held for Shape {
    fn shape(&self) -> Shape {
        *self
    }
}

/// A matrix, and what is added to its products.
#[derive(Clone, Debug)]
pub struct Matrix<W = Arc<Weights>> {
    pub name: String,
    pub weights: W,
    pub bias: Option<Vec<f32>>,
}

impl Matrix {
    pub fn projection(&self) -> Projection<'_> {
        Projection { weights: &self.weights, bias: self.bias.as_deref() }
    }
}

/// The matrices of a tensor, one behind the other.
#[derive(Clone, Copy, Debug)]
pub struct Stack {
    /// How many there are; a tensor of one has two axes.
    pub count: usize,
    /// Rows of each.
    pub n: usize,
    pub k: usize,
}

/// The tensors of a file, some of which were asked for.
pub struct Tensors<'m, W> {
    pub model: &'m Model,
    hold: &'m dyn Fn(&TensorInfo, Range<usize>) -> Result<W>,
    asked: RefCell<BTreeSet<String>>,
}

impl<'m, W> Tensors<'m, W> {
    /// Of a model; some rows of a tensor are held so.
    pub fn new(model: &'m Model, hold: &'m dyn Fn(&TensorInfo, Range<usize>) -> Result<W>) -> Self {
        Self { model, hold, asked: RefCell::default() }
    }

    /// All rows of a tensor.
    ///
    /// # Errors
    /// As [`Model::weights`].
    pub fn hold(&self, tensor: &TensorInfo) -> Result<W> {
        (self.hold)(tensor, 0..tensor.rows())
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

    /// Rows of each of the matrices of a tensor, which has `count` of them, and parts of as many rows each.
    ///
    /// # Errors
    /// If there is none, or it has another shape.
    pub fn stacked(&self, name: &str, count: usize, parts: usize, k: usize) -> Result<usize> {
        let tensor = self.need(&format!("{name}{WEIGHTS}"))?;
        let n = rows_of(tensor, count).filter(|n| tensor.k() == k && *n > 0 && n.is_multiple_of(parts));
        let of_parts = if parts == 1 { String::new() } else { format!(", their number a multiple of {parts}") };
        let of_all = if count == 1 { String::new() } else { format!(", {count} times as many") };
        n.ok_or_else(|| self.misshapen(tensor, &format!("rows of {k}{of_parts}{of_all}")))
    }

    fn check(&self, tensor: &TensorInfo, n: Option<usize>, k: usize) -> Result<()> {
        if tensor.k() == k && n.is_none_or(|n| n == tensor.rows()) && tensor.rows() > 0 {
            return Ok(());
        }
        let wanted =
            n.map_or_else(|| format!("rows of {k}"), |n| if n == 1 { format!("{k} values") } else { format!("{n}x{k}") });
        Err(self.misshapen(tensor, &wanted))
    }

    fn misshapen(&self, tensor: &TensorInfo, wanted: &str) -> Error {
        let found = tensor.dims.iter().rev().map(u64::to_string).collect::<Vec<_>>().join("x");
        let detail = format!(
            "tensor {:?} has the shape {found}, and by the metadata must be {wanted}; convert the model again",
            tensor.name
        );
        Error::model(self.model.file().path(), detail)
    }

    /// A matrix, with its bias if the file has one.
    ///
    /// # Errors
    /// As [`Tensors::shaped`] and [`Model::weights`].
    pub fn matrix(&self, name: &str, n: usize, k: usize) -> Result<Matrix<W>> {
        self.part(name, Stack { count: 1, n, k }, 0, 0..n)
    }

    /// Some rows of one of the matrices of a tensor, with what the bias has for them, if the file has one.
    ///
    /// # Errors
    /// As [`Tensors::shaped`] and [`Model::rows`].
    pub fn part(&self, name: &str, stack: Stack, index: usize, rows: Range<usize>) -> Result<Matrix<W>> {
        let Stack { count, n, k } = stack;
        let tensor = self.need(&format!("{name}{WEIGHTS}"))?;
        if rows_of(tensor, count) != Some(n) || tensor.k() != k {
            let of_all = if count == 1 { String::new() } else { format!("{count}x") };
            return Err(self.misshapen(tensor, &format!("{of_all}{n}x{k}")));
        }
        let first = index * n;
        let weights = (self.hold)(tensor, first + rows.start..first + rows.end)?;
        let bias = self.find(&format!("{name}{BIASES}")).map(|bias| self.row(bias, count, n, index)).transpose()?;
        let bias = bias.map(|bias| bias[rows].to_vec());
        Ok(Matrix { name: name.to_owned(), weights, bias })
    }

    /// A row of values.
    ///
    /// # Errors
    /// As [`Tensors::shaped`]; if it is stored in a type that no card describes.
    pub fn vector(&self, name: &str, k: usize) -> Result<Vec<f32>> {
        self.row(self.need(&format!("{name}{WEIGHTS}"))?, 1, k, 0)
    }

    /// That values of a row have a meaning.
    ///
    /// # Errors
    /// [`Error::Model`] with the first that has none.
    pub fn expect(&self, name: &str, values: &[f32], wanted: &str, has: impl Fn(f32) -> bool) -> Result<()> {
        let Some(index) = values.iter().position(|value| !has(*value)) else { return Ok(()) };
        let (tensor, found) = (format!("{name}{WEIGHTS}"), values[index]);
        let detail = format!(
            "tensor {tensor:?}: value {index} (counted from 0) is {found}, and must be {wanted}; convert the model again"
        );
        Err(Error::model(self.model.file().path(), detail))
    }

    /// One of `n` rows of `k` values.
    fn row(&self, tensor: &TensorInfo, n: usize, k: usize, index: usize) -> Result<Vec<f32>> {
        self.check(tensor, Some(n), k)?;
        let (format, shape) = stored_as(self.model, tensor)?.ok_or_else(|| self.model.unknown_type(tensor))?;
        let mut values = vec![0.0; k];
        Stored::new(format, n, k, self.model.file().bytes(tensor, shape)?)?.decode(index..index + 1, &mut values)?;
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

/// The weights of some rows of a tensor, which it has; plain ones are packed, too.
pub fn weights(model: &Model, tensor: &TensorInfo, rows: Range<usize>, pool: &Pool) -> Result<Weights> {
    if let Kind::Plain = model.kind(tensor)? {
        let (bytes, row_bytes) = (model.file().bytes(tensor, BlockShape::F32)?, tensor.k() * size_of::<f32>());
        let bytes = &bytes[rows.start * row_bytes..rows.end * row_bytes];
        return Ok(Weights::pack(KvType::F32.format()?, rows.len(), tensor.k(), bytes, pool)?);
    }
    Ok(model.rows(tensor, rows, Layout::Packed, pool)?)
}

/// What the same weights are.
pub fn shape(model: &Model, tensor: &TensorInfo, rows: Range<usize>) -> Result<Shape> {
    if let Kind::Plain = model.kind(tensor)? {
        model.bytes(tensor)?;
        let shape = Shape { format: KvType::F32.format()?, n: rows.len(), k: tensor.k(), layout: Layout::Packed };
        shape.bytes()?;
        return Ok(shape);
    }
    Ok(model.shape(tensor, rows, Layout::Packed)?)
}

/// Rows of each of the matrices of a tensor, if it has so many.
fn rows_of(tensor: &TensorInfo, count: usize) -> Option<usize> {
    let of_axis = |axis: &u64| usize::try_from(*axis).ok();
    match (count, &tensor.dims[..]) {
        (1, _) => Some(tensor.rows()),
        (_, [_, n, found]) if of_axis(found) == Some(count) => of_axis(n),
        _ => None,
    }
}
