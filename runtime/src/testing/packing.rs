//! The packed form against the card.

use quantloom_kernels::abi::{PANEL_ROWS, Unpacked};

use super::definition::{integer, own_unit};
use super::samples::Random;
use super::{Definition, Failure, card};
use crate::registry::{Format, Numerics, Packed, kernels};

/// Rows and blocks of what is packed: whole panels and parts of one, units and parts of one.
const SHAPES: [(usize, usize); 5] = [(1, 1), (PANEL_ROWS, 2), (7, 3), (PANEL_ROWS - 1, 4), (3, 5)];

/// Packs random blocks and takes them out again: codes, scales and mins must be those of the card. Returns how many weights were
/// compared; 0 if the format has no packed form.
///
/// # Errors
/// The first weight that differs.
pub fn packing(format: &'static Format) -> Result<usize, Failure> {
    let Some(packed) = &format.packed else { return Ok(0) };
    let card = card(format)?;
    let mut random = Random(4);
    let mut compared = 0;
    for (rows, blocks) in SHAPES {
        let row_bytes = blocks * format.block_bytes;
        let bytes = random.bytes(rows * row_bytes);
        let stored = bytes.chunks(row_bytes).collect::<Vec<_>>();
        let units = (blocks * format.block_weights).div_ceil(packed.class.unit_weights);
        let mut panel = vec![0_u64; units * packed.class.unit_bytes / 8];
        (packed.pack)(&stored, bytemuck::cast_slice_mut(&mut panel));
        for (index, row) in stored.iter().enumerate() {
            let mut found = Unpacked::default();
            (packed.class.unpack)(bytemuck::cast_slice(&panel), index, &mut found);
            let row = Definition::new(&card, row);
            compare(format, packed, &found, &row)
                .map_err(|what| Failure::new(format, format!("row {index} of {rows}: {what}")))?;
            compared += row.weights().len();
        }
    }
    Ok(compared)
}

/// Says where the packed integers of a row differ from the card's.
fn compare(format: &Format, packed: &Packed, found: &Unpacked, row: &Definition<'_>) -> Result<(), String> {
    let (class, card) = (packed.class, row.card());
    let units = [&card.scale, &card.min].map(|number| number.as_ref().map_or(1.0, |number| own_unit(card, number)));
    let levels =
        kernels(format).iter().any(|kernel| kernel.numerics == Numerics::Int8).then(|| card.integer_levels()).flatten();
    for (position, weight) in row.weights().iter().enumerate() {
        match (found.codes.get(position), &levels) {
            (None, _) => same("value", position, found.roots[position], weight.value())?,
            (Some(&code), Some(levels)) => {
                let byte = if class.palette { packed.palette.bytes[usize::from(code)] } else { code };
                let zero = class.zero + class.zero_group.map_or(0, |group| found.zeros[position / group]);
                let wanted = integer(weight.level(), levels.unit);
                same("level", position, (i32::from(byte) - zero) as f32, wanted as f32)?;
            }
            // Codes of floats: the products tell whether they are right.
            (Some(_), None) => {}
        }
        let subs = [("scale", &found.scales, weight.scale), ("min", &found.mins, weight.min)];
        for ((what, subs, number), unit) in subs.into_iter().zip(units) {
            if let (Some(sub), Some(number)) = (subs.get(position / class.step), number) {
                // The sign of a unit goes to the root.
                same(what, position, sub.abs() as f32, (number.own / unit).abs())?;
            }
        }
    }
    Ok(())
}

fn same(what: &str, position: usize, found: f32, wanted: f32) -> Result<(), String> {
    if found == wanted || (found.is_nan() && wanted.is_nan()) {
        return Ok(());
    }
    Err(format!("the {what} of weight {position} is packed as {found}; by the card it is {wanted}"))
}
