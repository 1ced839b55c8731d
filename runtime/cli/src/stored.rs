//! How a tensor of a file is stored: in a format with a card, or as plain f32.

use quantloom::gguf::{BlockShape, Gguf, TensorInfo};
use quantloom::registry::{self, Format};
use quantloom::{Error, Result};

/// The type number of plain f32, which needs no card.
const PLAIN: u32 = 0;

/// How a tensor is stored.
#[derive(Clone, Copy, Debug)]
pub enum Stored {
    /// Little-endian f32.
    Plain,
    /// Blocks of a format.
    Blocks(&'static Format, BlockShape),
}

impl Stored {
    /// What the type number `kind` stands for, if anything.
    pub fn of_kind(kind: u32) -> Option<Self> {
        if kind == PLAIN {
            return Some(Self::Plain);
        }
        registry::format_by_gguf(kind).and_then(Self::blocks)
    }

    /// A format that GGUF files can hold: not one of separate tensors.
    pub fn blocks(format: &'static Format) -> Option<Self> {
        BlockShape::of(format).map(|shape| Self::Blocks(format, shape))
    }

    /// How a tensor of `file` is stored.
    ///
    /// # Errors
    /// [`Error::UnknownTensorType`] if no card describes its type.
    pub fn of(file: &Gguf, tensor: &TensorInfo) -> Result<Self> {
        Self::of_kind(tensor.kind).ok_or_else(|| Error::UnknownTensorType {
            path: file.path().to_owned(),
            tensor: tensor.name.clone(),
            kind: tensor.kind,
        })
    }

    /// The name users know it by.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "F32",
            Self::Blocks(format, _) => format.name,
        }
    }

    /// Its type number in GGUF files, if it has one.
    pub fn kind(self) -> Option<u32> {
        match self {
            Self::Plain => Some(PLAIN),
            Self::Blocks(format, _) => format.gguf,
        }
    }

    /// What makes a row of a given length a number of bytes.
    pub fn shape(self) -> BlockShape {
        match self {
            Self::Plain => BlockShape::F32,
            Self::Blocks(_, shape) => shape,
        }
    }

    /// The weights and bytes of the smallest part of a row of `k` weights that can be decoded by itself: a block, unless the
    /// row has a header.
    pub fn unit(self, k: usize) -> (usize, usize) {
        let BlockShape { header, weights, bytes } = self.shape();
        if header == 0 { (weights, bytes) } else { (k, header + k / weights * bytes) }
    }

    /// Decodes units of `k` weights to `values`, which has one place per weight.
    ///
    /// # Errors
    /// As [`quantloom::decode`].
    pub fn decode(self, k: usize, bytes: &[u8], values: &mut [f32]) -> Result<()> {
        match self {
            Self::Plain => {
                let (stored, _) = bytes.as_chunks();
                for (value, bytes) in values.iter_mut().zip(stored) {
                    *value = f32::from_le_bytes(*bytes);
                }
                Ok(())
            }
            Self::Blocks(format, _) => quantloom::decode(format, values.len().checked_div(k).unwrap_or(0), k, bytes, values),
        }
    }
}
