//! What a file says of a tensor, and how many bytes that makes.

use crate::registry::Format;
use crate::stored::Storage;

/// A tensor as its file lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TensorInfo {
    /// Its name.
    pub name: String,
    /// Its axes, the fastest first: `[K, N, ..]`. At most 4.
    pub dims: Vec<u64>,
    /// The number of its type: see [`crate::registry`].
    pub kind: u32,
    /// Where its bytes start, counted from the start of its file's data: a multiple of the file's alignment.
    pub offset: u64,
    /// Which of the model's files it is in.
    pub(super) part: usize,
}

impl TensorInfo {
    /// Weights of a row: the first axis, 1 for a scalar.
    #[must_use]
    pub fn k(&self) -> usize {
        self.dims.first().map_or(1, |&k| size(k))
    }

    /// Rows: the product of the other axes.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.dims.iter().skip(1).fold(1, |rows, &dim| rows.saturating_mul(size(dim)))
    }

    /// Bytes of the tensor when its rows are blocks of `shape`, or nothing if they are not whole blocks or too many.
    #[must_use]
    pub fn byte_len(&self, shape: BlockShape) -> Option<usize> {
        if !self.k().is_multiple_of(shape.weights) {
            return None;
        }
        let blocks = self.k().checked_div(shape.weights)?;
        blocks.checked_mul(shape.bytes)?.checked_add(shape.header)?.checked_mul(self.rows())
    }

    /// Bytes of the tensor, if its type is known.
    pub(super) fn known_len(&self) -> Option<usize> {
        self.byte_len(BlockShape::of_kind(self.kind)?)
    }
}

/// An axis as a size; the reader has checked that the product of a tensor's axes is one.
fn size(dim: u64) -> usize {
    usize::try_from(dim).unwrap_or(usize::MAX)
}

/// The stored rows of a format: what turns a shape into a number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockShape {
    /// Bytes of a row before its first block; 0 for most formats.
    pub header: usize,
    /// Weights in a block, at least 1.
    pub weights: usize,
    /// Bytes in a block.
    pub bytes: usize,
}

impl BlockShape {
    /// Plain f32.
    pub const F32: Self = Self { header: 0, weights: 1, bytes: 4 };

    /// Of a format; `None` if it is stored in separate tensors, which GGUF files do not have.
    #[must_use]
    pub fn of(format: &Format) -> Option<Self> {
        match format.storage {
            Storage::Rows { header, block } => Some(Self { header, weights: format.block_weights, bytes: block }),
            Storage::Tensors { .. } => None,
        }
    }
}
