//! How a tensor of a file is stored: in a format with a card, as plain f32, or as items that are not weights.

use quantloom::gguf::{BlockShape, Gguf, Items, PLAIN, TensorInfo};
use quantloom::model::{Kind, Model};
use quantloom::registry::Format;
use quantloom::{Error, Result};

use super::failure::tell;

/// How a tensor is stored.
#[derive(Clone, Copy, Debug)]
pub enum Stored {
    /// Little-endian f32.
    Plain,
    /// Blocks of a format.
    Blocks(&'static Format, BlockShape),
    /// Items that are not weights.
    Items(&'static Items),
}

impl Stored {
    /// What the type number `kind` stands for, if anything.
    pub fn of_kind(kind: u32) -> Option<Self> {
        match Kind::of(kind)? {
            Kind::Plain => Some(Self::Plain),
            Kind::Blocks(format, shape) => Some(Self::Blocks(format, shape)),
            Kind::Items(items) => Some(Self::Items(items)),
            Kind::Packed(_) => None,
        }
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
        Self::of_kind(tensor.kind).ok_or_else(|| file.unknown_type(tensor))
    }

    /// The name users know it by.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "F32",
            Self::Blocks(format, _) => format.name,
            Self::Items(items) => &items.name,
        }
    }

    /// Its type number in GGUF files, if it has one.
    pub fn kind(self) -> Option<u32> {
        match self {
            Self::Plain => Some(PLAIN),
            Self::Blocks(format, _) => format.gguf,
            Self::Items(items) => Some(items.number),
        }
    }

    /// What makes a row of a given length a number of bytes.
    pub fn shape(self) -> BlockShape {
        match self {
            Self::Plain => BlockShape::F32,
            Self::Blocks(_, shape) => shape,
            Self::Items(items) => items.shape(),
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
    /// As [`quantloom::decode`]; [`Error::UnknownFormat`] for items that are not weights.
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
            Self::Items(items) => Err(not_weights(items)),
        }
    }
}

/// Warns of the first tensor that no card describes: nothing will multiply by it.
pub fn warn_of_unknown_types(model: &Model) {
    if let Some(unknown) = model.file().tensors().iter().find_map(|tensor| model.kind(tensor).err()) {
        tell(&format!("warning: {unknown}"));
    }
}

/// The error about items that are to be decoded or encoded.
pub fn not_weights(items: &Items) -> Error {
    Error::UnknownFormat { name: items.name.clone(), hint: "such items are not weights; name a tensor of weights".to_owned() }
}
