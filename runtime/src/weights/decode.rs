//! Rows of weights as numbers, from whichever form is held.

use quantloom_kernels::abi::{PANEL_ROWS, TILE_ROWS};

use super::{Held, Weights, panel_bytes};
use crate::buffer::Buffer;
use crate::error::{Error, Result};
use crate::matmul::{Request, matmul};
use crate::pool::Pool;
use crate::registry::Numerics;

impl Weights {
    /// Decodes rows to f32, one after the other. Panels are read by what multiplies by them: of the panel that has a row, each unit
    /// multiplies the unit matrix in the class `exact`, which gives the decoder's numbers, but +0 for -0; where a weight is infinite or not a
    /// number, its neighbours in the unit are not numbers either.
    ///
    /// # Errors
    /// [`Error::Shape`] if there are no such rows, or `out` does not have one place per weight; [`Error::NoClass`] or [`Error::NoKernel`] if
    /// the format has no such kernels; [`Error::OutOfMemory`].
    pub fn decode(&self, rows: &[usize], out: &mut [f32], pool: &Pool) -> Result<()> {
        if let Some(row) = rows.iter().find(|row| **row >= self.n) {
            return Err(Error::Shape { what: "the weights", unit: "rows", found: self.n, wanted: row.saturating_add(1) });
        }
        let wanted = rows.len().saturating_mul(self.k);
        if out.len() != wanted {
            return Err(Error::Shape { what: "the decoded weights", unit: "values", found: out.len(), wanted });
        }
        if self.k == 0 {
            return Ok(());
        }
        let unit = self.packed.class.unit_weights.min(self.k);
        let mut identity = vec![0.0; unit * unit];
        (0..unit).for_each(|index| identity[index * unit + index] = 1.0);
        for (row, out) in rows.iter().zip(out.chunks_exact_mut(self.k)) {
            match &self.held {
                Held::Kept(kept) => kept.decode(self.format, self.first * PANEL_ROWS + row, self.k, out)?,
                Held::Panels(bytes) => self.decode_panel(bytes, *row, &identity, out, pool)?,
            }
        }
        Ok(())
    }

    /// The units of a panel are panels of a matrix that is a unit wide.
    fn decode_panel(&self, panels: &[u8], row: usize, identity: &[f32], out: &mut [f32], pool: &Pool) -> Result<()> {
        let (class, panel) = (self.packed.class, panel_bytes(self.packed.class, self.k));
        let n = (self.units() * PANEL_ROWS).next_multiple_of(TILE_ROWS);
        let bytes = n / PANEL_ROWS * class.unit_bytes;
        let mut buffer = Buffer::zeroed(bytes).map_err(|_| Error::OutOfMemory { bytes })?;
        let own = &panels[(self.first + row / PANEL_ROWS) * panel..][..panel];
        buffer.bytes_mut()[..panel].copy_from_slice(own);
        let unit = class.unit_weights.min(self.k);
        let units = Self::from_panels(self.format, n, unit, buffer.into())?;
        let mut columns = vec![0.0; unit * n];
        matmul(&units, identity, unit, &mut columns, &Request::default().numerics(Numerics::Exact), pool)?;
        for (index, out) in out.iter_mut().enumerate() {
            *out = columns[index % unit * n + index / unit * PANEL_ROWS + row % PANEL_ROWS];
        }
        Ok(())
    }
}
