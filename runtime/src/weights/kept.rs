//! Weights in their stored form, of which a multiplication packs a tile at a time.

use quantloom_kernels::abi::PANEL_ROWS;

use super::shared::Shared;
use crate::buffer::Buffer;
use crate::error::{Error, Result};
use crate::registry::{Format, Packed};
use crate::stored::{Stored, Tensor};

/// The tensors of a matrix, as files store them.
#[derive(Debug)]
pub struct Kept {
    /// Rows of the whole matrix.
    n: usize,
    /// Blocks of a row.
    blocks: usize,
    tensors: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    shape: Vec<usize>,
    item: usize,
    bytes: Shared,
}

impl Kept {
    /// A copy of a stored matrix.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn copy(stored: &Stored<'_>) -> Result<Self> {
        let bytes = stored.tensors().iter().map(|tensor| Shared::copy(tensor.bytes())).collect::<Result<_>>()?;
        Self::new(stored.format(), stored.n(), stored.k(), bytes)
    }

    /// The tensors of `n` rows of `k` weights, in the order of the card.
    ///
    /// # Errors
    /// As [`Stored::from_tensors`].
    pub fn new(format: &'static Format, n: usize, k: usize, bytes: Vec<Shared>) -> Result<Self> {
        Stored::from_tensors(format, n, k, &bytes.iter().map(|bytes| &**bytes).collect::<Vec<_>>())?;
        let shapes = format.shapes(n, k).ok_or(Error::OutOfMemory { bytes: usize::MAX })?;
        let tensors = shapes.into_iter().zip(bytes).map(|((shape, item), bytes)| Part { shape, item, bytes });
        Ok(Self { n, blocks: k / format.block_weights, tensors: tensors.collect() })
    }

    /// Decodes a row of `k` weights.
    ///
    /// # Errors
    /// As [`Stored::decode`].
    pub fn decode(&self, format: &'static Format, row: usize, k: usize, out: &mut [f32]) -> Result<()> {
        let tensors = self.tensors.iter().map(|part| &*part.bytes).collect::<Vec<_>>();
        Stored::from_tensors(format, self.n, k, &tensors)?.decode(row..row + 1, out)
    }

    /// The same in memory of its own.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn duplicate(&self) -> Result<Self> {
        let part =
            |Part { shape, item, bytes }: &Part| Ok(Part { shape: shape.clone(), item: *item, bytes: Shared::copy(bytes)? });
        Ok(Self { tensors: self.tensors.iter().map(part).collect::<Result<_>>()?, ..*self })
    }

    /// Packs panels of `panel` bytes each, `count` of them from `first` on.
    pub fn pack<'s>(&self, packed: &Packed, first: usize, count: usize, panel: usize, scratch: &'s mut Scratch) -> &'s [u8] {
        // The tensors have been checked.
        let tensors = self.tensors.iter().filter_map(|part| Tensor::new(&part.shape, part.item, &part.bytes));
        let tensors = tensors.collect::<Vec<_>>();
        let end = self.n.min((first + count) * PANEL_ROWS);
        let rows = end.saturating_sub(first * PANEL_ROWS);
        let panels = scratch.panels(Written { packer: packed.pack as usize, blocks: self.blocks, rows, bytes: count * panel });
        for (row, panel) in (first * PANEL_ROWS..end).step_by(PANEL_ROWS).zip(panels.chunks_mut(panel)) {
            (packed.pack)(&tensors, row..end.min(row + PANEL_ROWS), 0..self.blocks, panel);
        }
        panels
    }
}

/// Where a thread packs tiles of weights that keep their stored form.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    memory: Option<Buffer>,
    written: Written,
}

/// What was packed: a packer writes the same places for as many rows and blocks, and the others stay zeros.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Written {
    packer: usize,
    blocks: usize,
    rows: usize,
    bytes: usize,
}

impl Scratch {
    /// Memory that is zero wherever a packer will not write.
    fn panels(&mut self, written: Written) -> &mut [u8] {
        let bytes = written.bytes;
        let enough = |memory: &Buffer| memory.bytes().len() >= bytes;
        let kept = std::mem::replace(&mut self.written, written) == written;
        let memory = self.memory.take().filter(enough).unwrap_or_else(|| Buffer::lines(bytes));
        let memory = self.memory.insert(memory);
        let panels = &mut memory.bytes_mut()[..bytes];
        if !kept {
            panels.fill(0);
        }
        panels
    }
}
