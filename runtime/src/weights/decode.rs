//! Where the numbers of a row are, in whichever form weights are held.

use quantloom_kernels::abi::{PANEL_ROWS, TILE_ROWS};

use super::{Held, Weights, panel_bytes};
use crate::buffer::Buffer;
use crate::error::{Error, Result};

impl Weights {
    /// Decodes a row, if it is kept as it is stored: whether it is.
    pub(crate) fn decode_kept(&self, row: usize, out: &mut [f32]) -> Result<bool> {
        let Held::Kept(kept) = &self.held else { return Ok(false) };
        kept.decode(self.format, self.first * PANEL_ROWS + row, self.k, out)?;
        Ok(true)
    }

    /// The units of the panel that has a row, each a panel of a matrix that is a unit wide; K is not 0, and weights are packed.
    pub(crate) fn units_of_panel(&self, row: usize) -> Result<Self> {
        let (class, panel) = (self.packed.class, panel_bytes(self.packed.class, self.k));
        let n = (self.units() * PANEL_ROWS).next_multiple_of(TILE_ROWS);
        let bytes = n / PANEL_ROWS * class.unit_bytes;
        let mut buffer = Buffer::zeroed(bytes).map_err(|_| Error::OutOfMemory { bytes })?;
        if let Held::Panels(panels) = &self.held {
            buffer.bytes_mut()[..panel].copy_from_slice(&panels[(self.first + row / PANEL_ROWS) * panel..][..panel]);
        }
        Self::from_panels(self.format, n, class.unit_weights.min(self.k), buffer.into())
    }
}
