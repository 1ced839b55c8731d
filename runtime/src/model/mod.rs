//! Models: the tensors of a GGUF file, or of a packed copy of one, as weights to multiply by.
//!
//! ```no_run
//! use quantloom::{model::{Load, Model}, pool::Pool};
//!
//! let model = Model::open("model.gguf")?;
//! for matrix in model.load(&Load::default(), Pool::global())?.matrices {
//!     println!("{}: {} x {}", matrix.name, matrix.weights.n(), matrix.weights.k());
//! }
//! model.pack("model.packed", Pool::global(), &mut |_| {})?; // opens at once, on any processor
//! # Ok::<(), quantloom::Error>(())
//! ```

mod load;
mod mark;
mod write;

use std::ops::Range;
use std::path::Path;

use quantloom_kernels::abi::TILE_ROWS;

use crate::error::{Error, Result};
use crate::gguf::{BlockShape, Gguf, Items, PLAIN, TensorInfo};
use crate::pool::Pool;
use crate::registry::{self, Format};
use crate::stored::Stored;
use crate::weights::{Layout, Shape, Weights};
pub use load::{Load, Loaded};
use mark::Mark;
pub use write::Packing;

/// An open model.
#[derive(Debug)]
pub struct Model {
    file: Gguf,
    /// What says that the file is a packed copy.
    mark: Option<Mark>,
}

/// How a tensor is stored.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Little-endian f32.
    Plain,
    /// Blocks of a format.
    Blocks(&'static Format, BlockShape),
    /// The packed form of a format.
    Packed(&'static Format),
    /// Items that are not weights.
    Items(&'static Items),
}

impl Kind {
    /// What a type number stands for in every GGUF file, if anything. In a packed copy, some stand for packed forms.
    #[must_use]
    pub fn of(number: u32) -> Option<Self> {
        if number == PLAIN {
            return Some(Self::Plain);
        }
        let blocks = registry::format_by_gguf(number).and_then(|format| Some(Self::Blocks(format, BlockShape::of(format)?)));
        blocks.or_else(|| Items::of(number).map(Self::Items))
    }
}

/// A matrix of a model.
#[derive(Debug)]
#[non_exhaustive]
pub struct Matrix {
    /// Name of the tensor.
    pub name: String,
    /// Its weights.
    pub weights: Weights,
}

impl Matrix {
    /// Weights under a name.
    #[must_use]
    pub fn new(name: impl Into<String>, weights: Weights) -> Self {
        Self { name: name.into(), weights }
    }
}

impl Model {
    /// Opens a GGUF file, or a packed copy of one.
    ///
    /// # Errors
    /// As [`Gguf::open`] and [`Model::new`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::new(Gguf::open(path)?)
    }

    /// A model from an open file.
    ///
    /// # Errors
    /// [`Error::Gguf`] if it is a packed copy that is damaged, or that another version of quantloom made in another layout.
    pub fn new(file: Gguf) -> Result<Self> {
        let mark = Mark::of(&file)?;
        let model = Self { file, mark };
        if model.is_packed() {
            model.check_places()?;
        }
        Ok(model)
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> &Gguf {
        &self.file
    }

    /// Whether it is a packed copy.
    #[must_use]
    pub fn is_packed(&self) -> bool {
        self.mark.is_some()
    }

    /// Compares every byte of a packed copy with the checksums that were written with it. `done` hears of bytes as they are done.
    ///
    /// # Errors
    /// [`Error::Gguf`] if some are others, or if the file has no checksums: only packed copies have, and not those of earlier versions.
    pub fn verify(&self, done: &mut dyn FnMut(usize)) -> Result<()> {
        let detail = match self.mark {
            _ if self.file.has_checksums() => return self.file.verify(done),
            Some(_) => "it was packed by an earlier version of quantloom, which wrote no checksums; pack the model again",
            None => "it has no checksums, which only packed copies have; compare it with what its source says of it",
        };
        Err(Error::Gguf { path: self.file.path().to_owned(), detail: detail.to_owned() })
    }

    /// How a tensor of the file is stored.
    ///
    /// # Errors
    /// [`Error::UnknownTensorType`] if no card describes its type.
    pub fn kind(&self, tensor: &TensorInfo) -> Result<Kind> {
        if let Some(format) = self.mark.as_ref().and_then(|mark| mark.format(tensor.kind)) {
            return Ok(Kind::Packed(format));
        }
        Kind::of(tensor.kind).ok_or_else(|| self.unknown_type(tensor))
    }

    /// The error about a tensor that does not hold weights which anything here reads.
    #[must_use]
    pub fn unknown_type(&self, tensor: &TensorInfo) -> Error {
        self.file.unknown_type(tensor)
    }

    /// The weights of a tensor in a layout. Those of a packed copy stay in the file, as do those in [`Layout::Stored`]; else they
    /// are packed, and what was read is released.
    ///
    /// # Errors
    /// As [`Model::kind`], also for items that are not weights; [`Error::Gguf`] if the file does not hold them, if they are plain f32, or
    /// packed and asked for as they were stored; as [`Weights::pack_stored`].
    pub fn weights(&self, tensor: &TensorInfo, layout: Layout, pool: &Pool) -> Result<Weights> {
        self.rows(tensor, 0..tensor.rows(), layout, pool)
    }

    /// The weights of some rows of a tensor, which has several matrices one behind the other.
    ///
    /// # Errors
    /// As [`Model::weights`]; [`Error::Gguf`] if the tensor does not have those rows, or it is packed and they begin within a tile of 64.
    pub fn rows(&self, tensor: &TensorInfo, rows: Range<usize>, layout: Layout, pool: &Pool) -> Result<Weights> {
        let Shape { format, n, k, .. } = self.shape(tensor, rows.clone(), layout)?;
        let all = tensor.rows();
        let Kind::Blocks(_, shape) = self.kind(tensor)? else {
            let panels = self.file.shared(tensor, Weights::bytes_packed(format, all, k)?)?;
            return Ok(Weights::from_panels(format, all, k, panels)?.rows(rows.start, n));
        };
        let bytes = self.file.bytes(tensor, shape)?;
        let row_bytes = bytes.len().checked_div(all).unwrap_or(0);
        let part = rows.start * row_bytes..rows.end * row_bytes;
        match layout {
            Layout::Stored => {
                let stored = self.file.shared(tensor, bytes.len())?.part(part);
                Weights::in_place(format, n, k, vec![stored])
            }
            Layout::Packed => {
                let bytes = &bytes[part];
                let stored = Stored::new(format, n, k, bytes)?;
                Weights::pack_by_steps(&stored, pool, &mut |rows| {
                    self.file.release(&bytes[rows.start * row_bytes..rows.end * row_bytes]);
                })
            }
        }
    }

    /// What the weights of some rows of a tensor are, without reading or packing them.
    ///
    /// # Errors
    /// As [`Model::rows`], but for memory.
    pub fn shape(&self, tensor: &TensorInfo, rows: Range<usize>, layout: Layout) -> Result<Shape> {
        let all = tensor.rows();
        let wrong = |detail: &str| Err(self.file.wrong(tensor, detail));
        if rows.start > rows.end || rows.end > all {
            return wrong(&format!("it has {all} rows, not {rows:?}; ask for those that it has"));
        }
        let format = match (self.kind(tensor)?, layout) {
            (Kind::Plain, _) => return wrong("it is plain f32, which has no kernels; name a quantised tensor"),
            (Kind::Items(_), _) => return Err(self.unknown_type(tensor)),
            (Kind::Packed(_), Layout::Stored) => {
                return wrong("it is packed; open the model that it was packed from for layout `stored`");
            }
            (Kind::Packed(_), Layout::Packed) if !rows.start.is_multiple_of(TILE_ROWS) => {
                let first = rows.start;
                return wrong(&format!(
                    "it is packed, and row {first} is within a tile; open the model that it was packed from"
                ));
            }
            (Kind::Packed(format) | Kind::Blocks(format, _), _) => format,
        };
        self.bytes(tensor)?;
        let shape = Shape { format, n: rows.len(), k: tensor.k(), layout };
        // Of a format without kernels there are none.
        shape.bytes()?;
        Ok(shape)
    }

    /// Every matrix that kernels exist for, in file order. Tensors of types that no card describes are passed over.
    ///
    /// # Errors
    /// As [`Model::weights`].
    pub fn matrices(&self, layout: Layout, pool: &Pool) -> Result<Vec<Matrix>> {
        let mut matrices = Vec::new();
        for tensor in self.file.tensors() {
            if self.is_matrix(tensor) {
                matrices.push(Matrix { name: tensor.name.clone(), weights: self.weights(tensor, layout, pool)? });
            }
        }
        Ok(matrices)
    }

    /// Whether kernels exist for a tensor.
    #[must_use]
    pub fn is_matrix(&self, tensor: &TensorInfo) -> bool {
        match self.kind(tensor) {
            Ok(Kind::Blocks(format, _)) => format.packed.is_some() && tensor.dims.len() > 1,
            Ok(Kind::Packed(_)) => true,
            Ok(Kind::Plain | Kind::Items(_)) | Err(_) => false,
        }
    }

    /// Bytes of a tensor in the file.
    ///
    /// # Errors
    /// As [`Model::kind`], [`Error::Gguf`] if the file does not hold them.
    pub fn bytes(&self, tensor: &TensorInfo) -> Result<usize> {
        let held = match self.kind(tensor)? {
            Kind::Plain => self.file.bytes(tensor, BlockShape::F32)?.len(),
            Kind::Blocks(_, shape) => self.file.bytes(tensor, shape)?.len(),
            Kind::Items(items) => self.file.bytes(tensor, items.shape())?.len(),
            Kind::Packed(format) => self.weights_bytes(tensor, format)?,
        };
        Ok(held)
    }

    /// Bytes of a packed tensor, which the file must have.
    fn weights_bytes(&self, tensor: &TensorInfo, format: &'static Format) -> Result<usize> {
        let length = Weights::bytes_packed(format, tensor.rows(), tensor.k())?;
        self.file.shared(tensor, length).map(|bytes| bytes.len())
    }

    /// Checks the places of tensors once more, now that it is known how many bytes packed ones have.
    fn check_places(&self) -> Result<()> {
        let size = |tensor: &TensorInfo| match self.kind(tensor).ok()? {
            Kind::Packed(format) => Weights::bytes_packed(format, tensor.rows(), tensor.k()).ok(),
            Kind::Plain | Kind::Blocks(..) | Kind::Items(_) => tensor.byte_len(BlockShape::of_kind(tensor.kind)?),
        };
        self.file.check_places(size, |_| "the file is damaged: pack the model again".to_owned())
    }
}
