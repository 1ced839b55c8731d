//! Importance matrices: files that say how much each column of a matrix matters, by the mean of the squares of the values that it was
//! multiplied with.
//!
//! They are GGUF files, or of the older form that is called `imatrix.dat`. Which of them a file is, its contents say, not its name.

mod old;
mod sums;

use std::path::{Path, PathBuf};

use crate::error::{Error, Result, quoted};
use crate::gguf::Gguf;
use crate::storage::Storage;
use old::Entries;
use sums::Sums;

/// An open importance matrix.
#[derive(Debug)]
pub struct Imatrix {
    path: PathBuf,
    form: Form,
}

#[derive(Debug)]
enum Form {
    Sums(Sums),
    Old(Entries),
}

impl Imatrix {
    /// Opens a file.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read. For a GGUF file as [`Gguf::open`], and [`Error::Gguf`] if it has no sums of squares, or sums without
    /// counts or counts without sums. For any other [`Error::Imatrix`] if it is not of the older form, or damaged.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bytes = Storage::map(path).map_err(Error::io(path))?;
        let form = if Gguf::is(&bytes) {
            Form::Sums(Sums::new(Gguf::open(path)?)?)
        } else {
            Form::Old(Entries::read(&bytes).map_err(|detail| wrong(path, detail))?)
        };
        Ok(Self { path: path.to_owned(), form })
    }

    /// The path it was opened with.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The names of the matrices that it has something on, in file order.
    pub fn names(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        match &self.form {
            Form::Sums(sums) => Box::new(sums.names()),
            Form::Old(entries) => Box::new(entries.names()),
        }
    }

    /// Whether it has something on the matrix of that name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        match &self.form {
            Form::Sums(sums) => sums.has(name),
            Form::Old(entries) => entries.means(name).is_some(),
        }
    }

    /// The importance of the columns of a matrix, for each of its `stacked` matrices of `k` columns; `None` if the file has
    /// nothing on it.
    ///
    /// # Errors
    /// [`Error::Gguf`] if sums or counts are not f32, or not as many as the matrix asks for, [`Error::Imatrix`] if the means are not, or not finite,
    /// or negative.
    pub fn importance(&self, name: &str, k: usize, stacked: usize) -> Result<Option<Vec<f32>>> {
        let means = match &self.form {
            Form::Sums(sums) => sums.means(name, k, stacked)?,
            Form::Old(entries) => entries.means(name).map(<[f32]>::to_vec),
        };
        let Some(means) = means else { return Ok(None) };
        let (found, name) = (means.len(), quoted(name));
        if found != k.saturating_mul(stacked) {
            let detail =
                format!("{found} sums for {name}, which has {stacked} matrices of {k} columns; it is of another model");
            return Err(wrong(&self.path, detail));
        }
        match means.iter().position(|value| !value.is_finite() || *value < 0.0) {
            Some(column) => Err(wrong(&self.path, format!("column {column} of {name} is not a mean of squares; make it anew"))),
            None => Ok(Some(means)),
        }
    }
}

/// An error about a file; `detail` ends with a remedy.
fn wrong(path: &Path, detail: String) -> Error {
    Error::Imatrix { path: path.to_owned(), detail }
}
