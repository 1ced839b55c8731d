//! Importance matrices: GGUF files that say how much each column of a matrix matters.
//!
//! For a matrix `NAME` such a file has `NAME.in_sum2`, the sums of the squares of the values that each column was multiplied
//! with, and `NAME.counts`, how many there were; for stacked matrices one row of sums and one count each. The importance of a
//! column is the mean of the squares.

use std::path::Path;

use crate::error::{Error, Result, quoted};
use crate::gguf::{BlockShape, Gguf, TensorInfo};

/// Type number of f32.
const F32: u32 = 0;

/// An open importance matrix.
#[derive(Debug)]
pub struct Imatrix {
    file: Gguf,
}

impl Imatrix {
    /// Opens a file.
    ///
    /// # Errors
    /// As [`Gguf::open`], and [`Error::Gguf`] if it has no sums of squares.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let file = Gguf::open(path)?;
        let imatrix = Self { file };
        if imatrix.file.tensors().iter().any(|tensor| tensor.name.ends_with(".in_sum2")) {
            return Ok(imatrix);
        }
        Err(imatrix.wrong("no tensor is called NAME.in_sum2, so this is no importance matrix; name another file"))
    }

    /// The importance of the columns of a matrix, for each of its `stacked` matrices of `k` columns; `None` if the file has
    /// nothing on it.
    ///
    /// # Errors
    /// [`Error::Gguf`] if sums or counts are not f32, not of the shape that the matrix asks for, or not finite.
    pub fn importance(&self, name: &str, k: usize, stacked: usize) -> Result<Option<Vec<f32>>> {
        let [sums, counts] = ["in_sum2", "counts"].map(|part| self.file.tensor(&format!("{name}.{part}")));
        let (Ok(sums), Ok(counts)) = (sums, counts) else { return Ok(None) };
        let (sums, counts) = (self.floats(sums)?, self.floats(counts)?);
        if sums.len() != k * stacked || counts.len() != stacked {
            let (found, counted) = (sums.len(), counts.len());
            return Err(self.wrong(&format!(
                "{found} sums and {counted} counts for {}, which has {stacked} matrices of {k} columns; it is of another model",
                quoted(name)
            )));
        }
        let mean = |(place, sum): (usize, &f32)| match counts[place / k] {
            count if count > 0.0 => sum / count,
            _ => 1.0,
        };
        let importance = sums.iter().enumerate().map(mean).collect::<Vec<_>>();
        match importance.iter().position(|value| !value.is_finite() || *value < 0.0) {
            Some(column) => {
                Err(self.wrong(&format!("column {column} of {} is not a mean of squares; make it anew", quoted(name))))
            }
            None => Ok(Some(importance)),
        }
    }

    fn floats(&self, tensor: &TensorInfo) -> Result<Vec<f32>> {
        if tensor.kind != F32 {
            return Err(self.wrong(&format!("tensor {} is not of f32; make the file anew", quoted(&tensor.name))));
        }
        let bytes = self.file.bytes(tensor, BlockShape::F32)?;
        Ok(bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
    }

    fn wrong(&self, detail: &str) -> Error {
        Error::Gguf { path: self.file.path().to_owned(), detail: detail.to_owned() }
    }
}
