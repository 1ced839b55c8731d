//! Rows of weights as numbers.

use quantloom_kernels::abi::PANEL_ROWS;

use super::{Context, Request, matmul};
use crate::error::{Error, Result};
use crate::registry::Numerics;
use crate::weights::Weights;

/// Decodes rows of weights to f32, one after the other, from whichever form they are held in. Panels are read by what multiplies by them:
/// of the panel that has a row, each unit multiplies the unit matrix in the class `exact`, which gives the decoder's numbers, but +0 for -0;
/// where a weight is infinite or not a number, its neighbours in the unit are not numbers either.
///
/// ```
/// use quantloom::matmul::decode_rows;
/// use quantloom::{measure::synthetic, pool::Pool, registry, weights::Weights};
///
/// # fn main() -> quantloom::Result<()> {
/// # let format = registry::formats().find(|format| format.packed.is_some() && format.row_multiple() == 1).unwrap();
/// # let (n, k, pool) = (20, 2 * format.block_weights, Pool::global());
/// let stored = synthetic(format, n, k)?;
/// let weights = Weights::pack(format, n, k, &stored, pool)?;
/// let mut rows = vec![0.0; 2 * k];
/// decode_rows(&weights, &[17, 3], &mut rows, pool)?;
///
/// let mut all = vec![0.0; n * k];
/// quantloom::decode(format, n, k, &stored, &mut all)?;
/// assert!(rows[..k] == all[17 * k..18 * k] && rows[k..] == all[3 * k..4 * k]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Shape`] if there are no such rows, or `out` does not have one place per weight; [`Error::NoClass`] or [`Error::NoKernel`] if
/// the format has no such kernels; [`Error::OutOfMemory`].
pub fn decode_rows<'c>(weights: &Weights, rows: &[usize], out: &mut [f32], context: impl Into<Context<'c>>) -> Result<()> {
    let (k, context) = (weights.k(), context.into());
    if let Some(row) = rows.iter().find(|row| **row >= weights.n()) {
        return Err(Error::Shape { what: "the weights", unit: "rows", found: weights.n(), wanted: row.saturating_add(1) });
    }
    let wanted = rows.len().saturating_mul(k);
    if out.len() != wanted {
        return Err(Error::Shape { what: "the decoded weights", unit: "values", found: out.len(), wanted });
    }
    if k == 0 {
        return Ok(());
    }
    for (row, out) in rows.iter().zip(out.chunks_exact_mut(k)) {
        if weights.decode_kept(*row, out)? {
            continue;
        }
        let units = weights.units_of_panel(*row)?;
        let (n, unit) = (units.n(), units.k());
        let mut identity = vec![0.0; unit * unit];
        identity.iter_mut().step_by(unit + 1).for_each(|one| *one = 1.0);
        let mut columns = vec![0.0; unit * n];
        matmul(&units, &identity, unit, &mut columns, &Request::default().numerics(Numerics::Exact), context)?;
        for (index, out) in out.iter_mut().enumerate() {
            *out = columns[index % unit * n + index / unit * PANEL_ROWS + row % PANEL_ROWS];
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::synthetic;
    use crate::pool::Pool;
    use crate::registry;
    use crate::stored::Stored;
    use crate::weights::Layout;

    #[test]
    fn rows_are_what_decoders_make_of_them() {
        for format in registry::formats().filter(|format| !registry::kernels(format).is_empty()) {
            let (n, k) = (37_usize.next_multiple_of(format.row_multiple()), 700_usize.next_multiple_of(format.block_weights));
            let stored = synthetic(format, n, k).unwrap();
            let mut all = vec![0.0; n * k];
            crate::decode(format, n, k, &stored, &mut all).unwrap();
            for layout in Layout::ALL {
                let matrix = Stored::new(format, n, k, &stored).unwrap();
                let weights = Weights::with_layout(&matrix, layout, Pool::global()).unwrap();
                let (rows, mut found) = ([n - 1, 0, 18], vec![f32::NAN; 3 * k]);
                decode_rows(&weights, &rows, &mut found, Pool::global()).unwrap();
                let wanted = rows.iter().flat_map(|row| &all[row * k..][..k]);
                assert!(found.iter().zip(wanted).all(|(found, wanted)| found == wanted), "{}, {layout:?}", format.name);
            }
        }
    }
}
