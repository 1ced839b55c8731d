//! The decoder against the card.

use quantloom_spec::eval;

use super::samples::{Random, hard_blocks};
use super::{Failure, card};
use crate::registry::Format;

/// Random blocks that are decoded, and weights in them at least.
const RANDOM: usize = 128;
const WEIGHTS: usize = 4096;

/// Compares the generated decoder with the card, bit for bit, over blocks with every bit alone, special floats, and random bits; one
/// NaN is as good as another. Returns how many weights were compared.
///
/// # Errors
/// The first weight that differs.
pub fn decoding(format: &'static Format) -> Result<usize, Failure> {
    let card = card(format)?;
    let mut random = Random(0);
    let mut blocks = hard_blocks(&card);
    blocks.extend((0..RANDOM.max(WEIGHTS / format.block_weights)).map(|_| random.bytes(format.block_bytes)));
    let mut found = vec![f32::MAX; blocks.len() * format.block_weights];
    (format.decode)(&blocks.concat(), &mut found);
    for (block, found) in blocks.iter().zip(found.chunks(format.block_weights)) {
        let wanted = eval::decode_blocks(&card, block);
        let same = |(found, wanted): (&f32, &f32)| found.to_bits() == wanted.to_bits() || (found.is_nan() && wanted.is_nan());
        if let Some(position) = found.iter().zip(&wanted).position(|pair| !same(pair)) {
            let (found, wanted) = (found[position], wanted[position]);
            let what =
                format!("weight {position} of the block {block:02x?} is decoded as {found:e}; by the card it is {wanted:e}");
            return Err(Failure::new(format, what));
        }
    }
    Ok(blocks.len() * format.block_weights)
}
