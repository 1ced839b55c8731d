//! The packed form against the card.

use quantloom_kernels::abi::{PANEL_ROWS, Unpacked};

use super::definition::{integer, run};
use super::samples::Random;
use super::{Definition, Failure, card};
use crate::registry::{Format, Packed};

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
            compare(packed, &found, &row).map_err(|what| Failure::new(format, format!("row {index} of {rows}: {what}")))?;
            compared += row.weights().len();
        }
    }
    Ok(compared)
}

/// Says where the packed integers of a row differ from the card's.
fn compare(packed: &Packed, found: &Unpacked, row: &Definition<'_>) -> Result<(), String> {
    let (class, card) = (packed.class, row.card());
    let unit = card.integer_levels().map_or(1.0, |levels| levels.unit);
    let scale_run = card.scale.as_ref().map_or(class.step, |scale| run(card, scale)).min(class.step);
    for (position, weight) in row.weights().iter().enumerate() {
        let level = i32::from(found.codes[position]) - class.zero;
        same("level", position, level as f32, integer(weight.level(), unit) as f32)?;
        if position % scale_run == 0
            && let (Some(sub), Some(scale)) = (found.scales.get(position / class.step), weight.scale)
        {
            same("scale", position, *sub as f32, scale.own)?;
        }
        if let (Some(sub), Some(min)) = (found.mins.get(position / class.step), weight.min) {
            same("min", position, *sub as f32, min.own.abs())?;
        }
    }
    Ok(())
}

fn same(what: &str, position: usize, found: f32, wanted: f32) -> Result<(), String> {
    if found == wanted {
        return Ok(());
    }
    Err(format!("the {what} of weight {position} is packed as {found}; by the card it is {wanted}"))
}
