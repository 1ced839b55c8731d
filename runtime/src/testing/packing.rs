//! The packed form against the card.

use quantloom_kernels::abi::{PANEL_ROWS, Palette, Unpacked};
use quantloom_kernels::scalar;

use super::definition::{Row, Units, integer};
use super::samples::Random;
use super::{Definition, Failure, card};
use crate::registry::{Format, Numerics, Packed};

/// Weights that several blocks have at least where blocks are small.
const FEW: usize = 64;

/// Rows and blocks of what is packed: whole panels and parts of one, units and parts of one.
fn shapes(format: &Format) -> [(usize, usize); 5] {
    let several = (FEW / format.block_weights).max(1);
    [(1, 1), (PANEL_ROWS, 2 * several), (7, 3), (PANEL_ROWS - 1, 4 * several), (3, 5 * several)]
}

/// Packs random blocks and takes them out again: codes, scales and mins must be those of the card. Returns how many weights were
/// compared; 0 if the format has no packed form.
///
/// # Errors
/// The first weight that differs.
pub fn packing(format: &'static Format) -> Result<usize, Failure> {
    let Some(packed) = &format.packed else { return Ok(0) };
    let card = card(format)?;
    let definition = Definition::new(card);
    let mut random = Random(4);
    let mut compared = 0;
    for (rows, blocks) in shapes(format) {
        let (n, k) = (rows.next_multiple_of(format.row_multiple()), blocks * format.block_weights);
        let bytes = random.bytes(format.stored_bytes(n, k).unwrap_or_default());
        let tensors = format.split(n, k, &bytes).ok_or_else(|| Failure::new(format, "its bytes are not as many as it says"))?;
        let mut panel = vec![0_u64; k.div_ceil(packed.class.unit_weights) * packed.class.unit_bytes / 8];
        (packed.pack)(&tensors, 0..rows, 0..blocks, bytemuck::cast_slice_mut(&mut panel));
        // Unit by unit, or block by block where those are of several, it is the same.
        let mut by_units = vec![0_u64; panel.len()];
        let whole = packed.class.unit_weights.max(format.block_weights);
        for start in (0..k).step_by(whole) {
            let of_unit = start / format.block_weights..(start + whole).min(k) / format.block_weights;
            (packed.pack)(&tensors, 0..rows, of_unit, bytemuck::cast_slice_mut(&mut by_units));
        }
        if by_units != panel {
            return Err(Failure::new(format, "packed unit by unit, it is another panel"));
        }
        for (index, row) in definition.rows(format, n, k, &bytes).iter().take(rows).enumerate() {
            let mut found = Unpacked::default();
            (packed.class.unpack)(bytemuck::cast_slice(&panel), index, &mut found);
            compare(packed, &found, row, definition.units())
                .map_err(|what| Failure::new(format, format!("row {index} of {rows}: {what}")))?;
            compared += k;
        }
    }
    Ok(compared)
}

/// Says where the packed integers of a row differ from the card's.
fn compare(packed: &Packed, found: &Unpacked, row: &Row<'_>, units: Units) -> Result<(), String> {
    let class = packed.class;
    let integers = packed.kernels.iter().any(|kernel| kernel.numerics == Numerics::Int8);
    for (position, weight) in row.weights().iter().enumerate() {
        match (found.codes.get(position), units.level.filter(|_| integers)) {
            (None, _) => is("value", position, found.roots[position], weight.value())?,
            (Some(&code), Some(unit)) => {
                let byte = if class.palette { packed.palette.bytes[usize::from(code)] } else { code };
                let zero = class.zero + class.zero_group.map_or(0, |group| found.zeros[position / group]);
                let wanted = integer(weight.level(), unit);
                is("level", position, (i32::from(byte) - zero) as f32, wanted as f32)?;
            }
            (Some(&code), None) => {
                let Palette { floats, .. } = &packed.palette;
                let looked_up = || floats[usize::from(code) % floats.len()];
                let found = if packed.palette == Palette::NONE { scalar::e4m3(u32::from(code)) } else { looked_up() };
                is("level", position, found, weight.level())?;
            }
        }
        let subs = [("scale", &found.scales, weight.scale), ("min", &found.mins, weight.min)];
        for ((what, subs, number), unit) in subs.into_iter().zip([units.scale, units.min]) {
            if let (Some(sub), Some(number)) = (subs.get(position / class.step), number) {
                // The sign of a unit goes to the root.
                is(what, position, sub.abs() as f32, (number.own / unit).abs())?;
            }
        }
    }
    Ok(())
}

fn is(what: &str, position: usize, found: f32, wanted: f32) -> Result<(), String> {
    if found == wanted || (found.is_nan() && wanted.is_nan()) {
        return Ok(());
    }
    Err(format!("the {what} of weight {position} is packed as {found}; by the card it is {wanted}"))
}
