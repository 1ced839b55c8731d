//! The decoder against the card.

use quantloom_spec::eval;
use quantloom_spec::model::{self, Blocks, Storage};

use super::definition::items;
use super::samples::{EVERYWHERE, Random, hard_rows};
use super::{Failure, card};
use crate::registry::Format;

/// Random blocks that are decoded, and weights in them at least.
const RANDOM: usize = 128;
const WEIGHTS: usize = 4096;

/// Compares the generated decoder with the card, bit for bit, over blocks with every bit alone, special floats, and random bits; one
/// NaN is as good as another. Separate tensors hold random bits, dense ones and sparse ones. Returns how many weights were compared.
///
/// # Errors
/// The first weight that differs.
pub fn decoding(format: &'static Format) -> Result<usize, Failure> {
    let card = card(format)?;
    match &card.storage {
        Storage::Blocks(blocks) => of_blocks(format, &card, blocks),
        Storage::Tensors(_) => of_tensors(format, &card),
    }
}

/// Every row is one block.
fn of_blocks(format: &'static Format, card: &model::Format, blocks: &Blocks) -> Result<usize, Failure> {
    let mut random = Random(0);
    let mut rows = hard_rows(blocks);
    rows.extend((0..RANDOM.max(WEIGHTS / blocks.weights)).map(|_| random.bytes(blocks.header + blocks.bytes)));
    let (n, k, bytes) = (rows.len(), blocks.weights, rows.concat());
    compare(format, n, k, &bytes, &eval::decode_rows(card, &bytes, k))
}

fn of_tensors(format: &'static Format, card: &model::Format) -> Result<usize, Failure> {
    let mut random = Random(0);
    let (n, k) = (2 * format.row_multiple(), 3 * format.block_weights);
    let length = format.stored_bytes(n, k).unwrap_or_default();
    let mut contents = EVERYWHERE.map(|byte| vec![byte; length]).to_vec();
    contents.extend((0..4).map(|_| random.bytes(length)));
    let sparse = |_| {
        random.bytes(length).iter().zip(random.bytes(length)).zip(random.bytes(length)).map(|((a, b), c)| a & b & c).collect()
    };
    contents.extend((0..4).map(sparse));
    let shapes = format.shapes(n, k).unwrap_or_default();
    let decode = |bytes: &Vec<u8>| {
        let wanted = eval::decode_tensors(card, &items(&shapes, bytes), n, k);
        compare(format, n, k, bytes, &wanted)
    };
    contents.iter().map(decode).sum()
}

/// Compares what is decoded with what is right.
fn compare(format: &'static Format, n: usize, k: usize, bytes: &[u8], wanted: &[f32]) -> Result<usize, Failure> {
    let mut found = vec![f32::MAX; n * k];
    crate::decode(format, n, k, bytes, &mut found).map_err(|error| Failure::new(format, error))?;
    let same = |(found, wanted): (&f32, &f32)| found.to_bits() == wanted.to_bits() || (found.is_nan() && wanted.is_nan());
    if let Some(index) = found.iter().zip(wanted).position(|pair| !same(pair)) {
        let (row, position, found, wanted) = (index / k, index % k, found[index], wanted[index]);
        let stored = &bytes[row * (bytes.len() / n)..][..bytes.len() / n];
        let what = format!("weight {position} of the row {stored:02x?} is decoded as {found:e}; by the card it is {wanted:e}");
        return Err(Failure::new(format, what));
    }
    Ok(n * k)
}
