//! Where a matrix comes from: a model file, and which of its tensors.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use quantloom::Error;
use quantloom::model::Model;
use quantloom::registry;
use quantloom::safetensors::SafeTensors;
use quantloom::stored::Stored;

use super::Failure;
use super::args::shape;
use super::failure::tell;

/// The endings of the names of safetensors files, and of the index of several.
const SAFETENSORS: [&str; 2] = ["safetensors", "json"];

/// Which matrix of which file.
#[derive(Debug, clap::Args)]
pub struct Source {
    /// The model: a GGUF file, a packed copy of one, or a safetensors file; of several, the index, any of them, or their folder
    pub file: PathBuf,
    /// Name of a tensor in it; in safetensors files, what the names of a matrix's tensors begin with
    pub tensor: String,
    /// Format of the matrix, which safetensors files do not say
    #[arg(long, value_name = "NAME")]
    format: Option<String>,
    /// Rows and columns, for a safetensors file that does not say them
    #[arg(long, value_name = "NxK", value_parser = shape)]
    shape: Option<(usize, usize)>,
}

/// Opens a GGUF file, or a packed copy of one, and warns of what is doubtful about it.
///
/// # Errors
/// As [`Model::open`].
pub fn model(path: &Path) -> Result<Model, Error> {
    let model = Model::open(path)?;
    if let Some(doubt) = model.file().doubt() {
        tell(&format!("warning: {doubt}"));
    }
    Ok(model)
}

/// An open file.
#[derive(Debug)]
pub enum Input {
    /// A GGUF file, or a packed copy of one.
    Gguf(Model),
    /// A safetensors file, or several.
    SafeTensors(SafeTensors),
}

impl Input {
    /// Opens a file as what its name says it is: GGUF, unless it ends with `.safetensors` or `.json`. A folder is one of safetensors files.
    ///
    /// # Errors
    /// The file cannot be read, or is something else.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let is_safetensors = |extension: &OsStr| SAFETENSORS.iter().any(|known| extension.eq_ignore_ascii_case(known));
        if path.is_dir() || path.extension().is_some_and(is_safetensors) {
            SafeTensors::open(path).map(Self::SafeTensors)
        } else {
            model(path).map(Self::Gguf)
        }
    }

    /// The files that it is in.
    pub fn paths(&self) -> Vec<&Path> {
        match self {
            Self::Gguf(model) => model.file().paths().collect(),
            Self::SafeTensors(file) => file.paths().chain(file.index()).collect(),
        }
    }
}

impl Source {
    /// Opens the file.
    ///
    /// # Errors
    /// As [`Input::open`], or the format or shape is given for a file that says them itself.
    pub fn open(&self) -> Result<Input, Failure> {
        let input = Input::open(&self.file)?;
        if matches!(input, Input::Gguf(_)) && (self.format.is_some() || self.shape.is_some()) {
            let file = self.file.display();
            return Err(Failure::Input(format!(
                "{file}: a GGUF file says itself what it holds; leave out --format and --shape"
            )));
        }
        Ok(input)
    }

    /// The matrix in a safetensors file.
    ///
    /// # Errors
    /// No or an unknown format, or tensors that are not what it needs.
    pub fn matrix<'f>(&self, file: &'f SafeTensors) -> Result<Stored<'f>, Failure> {
        let Some(name) = &self.format else {
            let fits = file.fits(&self.tensor, self.shape).into_iter().map(|format| format.name).collect::<Vec<_>>();
            let fits = if fits.is_empty() { String::new() } else { format!(": it fits {}", fits.join(" or ")) };
            let file = self.file.display();
            return Err(Failure::Input(format!(
                "{file}: safetensors files do not say the format of a matrix; name it with --format{fits}"
            )));
        };
        let stored = file.matrix(registry::format_by_name(name)?, &self.tensor, self.shape)?;
        if let Some(doubt) = file.doubt(&self.tensor, &stored) {
            tell(&format!("warning: {doubt}"));
        }
        Ok(stored)
    }
}
