//! Importance matrices: GGUF files that say how much each column of a matrix matters.
//!
//! For a matrix `NAME` such a file has `NAME.in_sum2`, the sums of the squares of the values that each column was multiplied
//! with, and `NAME.counts`, how many there were; for stacked matrices one row of sums and one count each, or all sums in a row and
//! one count for all. The importance of a column is the mean of the squares.

use std::path::Path;

use crate::error::{Error, Result, quoted};
use crate::gguf::{BlockShape, Gguf, PLAIN, TensorInfo};

/// What the sums and the counts of a matrix are called, behind its name.
const SUMS: &str = ".in_sum2";
/// See `SUMS`.
const COUNTS: &str = ".counts";

/// An open importance matrix.
#[derive(Debug)]
pub struct Imatrix {
    file: Gguf,
}

impl Imatrix {
    /// Opens a file.
    ///
    /// # Errors
    /// As [`Gguf::open`], and [`Error::Gguf`] if it has no sums of squares, or sums without counts or counts without sums.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let imatrix = Self { file: Gguf::open(path)? };
        for [part, other] in [[SUMS, COUNTS], [COUNTS, SUMS]] {
            let mut names = imatrix.file.tensors().iter().filter_map(|tensor| tensor.name.strip_suffix(part));
            if let Some(name) = names.find(|name| imatrix.file.tensor(&format!("{name}{other}")).is_err()) {
                let (found, lacking) = (quoted(&format!("{name}{part}")), quoted(&format!("{name}{other}")));
                return Err(imatrix.wrong(&format!("{found} is there and {lacking} is not; make the file anew")));
            }
        }
        if imatrix.names().next().is_none() {
            return Err(imatrix.wrong("no tensor is called NAME.in_sum2, so this is no importance matrix; name another file"));
        }
        Ok(imatrix)
    }

    /// The path it was opened with.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// The names of the matrices that it has something on, in file order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.file.tensors().iter().filter_map(|tensor| tensor.name.strip_suffix(SUMS))
    }

    /// Whether it has something on the matrix of that name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.file.tensor(&format!("{name}{SUMS}")).is_ok()
    }

    /// The importance of the columns of a matrix, for each of its `stacked` matrices of `k` columns; `None` if the file has
    /// nothing on it.
    ///
    /// # Errors
    /// [`Error::Gguf`] if sums or counts are not f32, not of the shape that the matrix asks for, not finite, or negative.
    pub fn importance(&self, name: &str, k: usize, stacked: usize) -> Result<Option<Vec<f32>>> {
        let [sums, counts] = [SUMS, COUNTS].map(|part| self.file.tensor(&format!("{name}{part}")));
        let (Ok(sums), Ok(counts)) = (sums, counts) else { return Ok(None) };
        let (sums, counts) = (self.floats(sums)?, self.floats(counts)?);
        if sums.len() != k.saturating_mul(stacked) || ![1, stacked].contains(&counts.len()) {
            let (found, counted) = (sums.len(), counts.len());
            return Err(self.wrong(&format!(
                "{found} sums and {counted} counts for {}, which has {stacked} matrices of {k} columns; it is of another model",
                quoted(name)
            )));
        }
        if let Some(count) = counts.iter().find(|count| !(count.is_finite() && **count >= 0.0)) {
            return Err(self.wrong(&format!("{} has a count of {count}; make the file anew", quoted(name))));
        }
        let mean = |(place, sum): (usize, &f32)| match counts[if counts.len() == 1 { 0 } else { place / k }] {
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
        if tensor.kind != PLAIN {
            return Err(self.wrong(&format!("tensor {} is not of f32; make the file anew", quoted(&tensor.name))));
        }
        let bytes = self.file.bytes(tensor, BlockShape::F32)?;
        Ok(bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
    }

    fn wrong(&self, detail: &str) -> Error {
        Error::Gguf { path: self.file.path().to_owned(), detail: detail.to_owned() }
    }
}
