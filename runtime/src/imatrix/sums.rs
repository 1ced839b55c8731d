//! Importance matrices as GGUF files.
//!
//! For a matrix `NAME` such a file has `NAME.in_sum2`, the sums of the squares of the values that each column was multiplied
//! with, and `NAME.counts`, how many there were; for stacked matrices one row of sums and one count each, or all sums in a row and
//! one count for all.

use crate::error::{Error, Result, quoted};
use crate::gguf::{BlockShape, Gguf, PLAIN, TensorInfo};

/// What the sums and the counts of a matrix are called, behind its name.
const SUMS: &str = ".in_sum2";
/// See `SUMS`.
const COUNTS: &str = ".counts";

/// A GGUF file that has sums and counts.
#[derive(Debug)]
pub(super) struct Sums(Gguf);

impl Sums {
    /// A file that has both for each matrix, and for one at least.
    pub fn new(file: Gguf) -> Result<Self> {
        let sums = Self(file);
        for [part, other] in [[SUMS, COUNTS], [COUNTS, SUMS]] {
            let mut names = sums.0.tensors().iter().filter_map(|tensor| tensor.name.strip_suffix(part));
            if let Some(name) = names.find(|name| sums.0.tensor(&format!("{name}{other}")).is_err()) {
                let (found, lacking) = (quoted(&format!("{name}{part}")), quoted(&format!("{name}{other}")));
                return Err(sums.wrong(&format!("{found} is there and {lacking} is not; make the file anew")));
            }
        }
        if sums.names().next().is_none() {
            return Err(sums.wrong("no tensor is called NAME.in_sum2, so this is no importance matrix; name another file"));
        }
        Ok(sums)
    }

    /// The names of its matrices, in file order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.tensors().iter().filter_map(|tensor| tensor.name.strip_suffix(SUMS))
    }

    /// Whether it has the matrix of that name.
    pub fn has(&self, name: &str) -> bool {
        self.0.tensor(&format!("{name}{SUMS}")).is_ok()
    }

    /// The means for a matrix of `stacked` matrices of `k` columns, if the file has it.
    pub fn means(&self, name: &str, k: usize, stacked: usize) -> Result<Option<Vec<f32>>> {
        let [sums, counts] = [SUMS, COUNTS].map(|part| self.0.tensor(&format!("{name}{part}")));
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
        Ok(Some(sums.iter().enumerate().map(mean).collect()))
    }

    fn floats(&self, tensor: &TensorInfo) -> Result<Vec<f32>> {
        if tensor.kind != PLAIN {
            return Err(self.wrong(&format!("tensor {} is not of f32; make the file anew", quoted(&tensor.name))));
        }
        let bytes = self.0.bytes(tensor, BlockShape::F32)?;
        Ok(bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
    }

    fn wrong(&self, detail: &str) -> Error {
        Error::Gguf { path: self.0.path().to_owned(), detail: detail.to_owned() }
    }
}
