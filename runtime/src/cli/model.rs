//! The matrices of a model that kernels exist for.

use quantloom::gguf::Gguf;
use quantloom::pool::Pool;
use quantloom::weights::Weights;

use super::Failure;
use super::stored::Stored;

/// A packed matrix of a model.
#[derive(Debug)]
pub struct Matrix {
    /// Name of the tensor.
    pub name: String,
    /// Its weights.
    pub weights: Weights,
}

impl Matrix {
    /// Whether another matrix is the same problem for a kernel.
    pub fn same_problem(&self, other: &Self) -> bool {
        let problem = |matrix: &Self| (matrix.weights.format().name, matrix.weights.n(), matrix.weights.k());
        problem(self) == problem(other)
    }

    /// Its bytes in the file.
    ///
    /// # Errors
    /// The file does not hold them.
    pub fn stored<'a>(&self, file: &'a Gguf) -> Result<&'a [u8], Failure> {
        let tensor = file.tensor(&self.name)?;
        Ok(file.bytes(tensor, Stored::of(file, tensor)?.shape())?)
    }
}

/// Packs every matrix of a file that kernels exist for, in file order.
///
/// # Errors
/// A tensor is of an unknown type, or the file does not hold it.
pub fn matrices(file: &Gguf, pool: &Pool) -> Result<Vec<Matrix>, Failure> {
    let mut matrices = Vec::new();
    for tensor in file.tensors() {
        let Stored::Blocks(format, shape) = Stored::of(file, tensor)? else { continue };
        if format.packed.is_some() && tensor.dims.len() > 1 {
            let bytes = file.bytes(tensor, shape)?;
            let weights = Weights::pack(format, tensor.rows(), tensor.k(), bytes, pool)?;
            file.release(bytes);
            matrices.push(Matrix { name: tensor.name.clone(), weights });
        }
    }
    Ok(matrices)
}
