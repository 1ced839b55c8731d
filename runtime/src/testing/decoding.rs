//! The decoder against the card.

use quantloom_spec::eval::{self, Items, Value, Weight};
use quantloom_spec::model::{self, Blocks, Storage};

use super::definition::{items, weight};
use super::samples::{EVERYWHERE, Random, hard_rows};
use super::{Failure, card, same};
use crate::registry::Format;
use crate::stored::Stored;

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
        Storage::Blocks(blocks) => of_blocks(format, card, blocks),
        Storage::Tensors(_) => of_tensors(format, card),
    }
}

/// Compares what is decoded of stored weights with what they are, row by row and bit for bit; one NaN is as good as another. For
/// weights that come from elsewhere, with their values. Returns how many were compared.
///
/// # Errors
/// The first weight that differs, with what its card reads there; or `wanted` is not a value for each weight.
pub fn decodes_to(stored: &Stored<'_>, wanted: &[f32]) -> Result<usize, Failure> {
    let (format, n, k) = (stored.format(), stored.n(), stored.k());
    if wanted.len() != n * k {
        return Err(Failure::new(format, format!("there are {} values for {n} rows of {k} weights", wanted.len())));
    }
    let mut found = vec![f32::MAX; n * k];
    stored.decode(0..n, &mut found).map_err(|error| Failure::new(format, error))?;
    let differs = found.iter().zip(wanted).position(|(found, wanted)| !same(*found, *wanted));
    let Some(index) = differs else { return Ok(n * k) };
    let (row, position, found, wanted) = (index / k, index % k, found[index], wanted[index]);
    let (card, shapes) = (card(format)?, format.shapes(n, k).unwrap_or_default());
    let items = shapes.iter().zip(stored.tensors()).map(|((shape, _), tensor)| Items { shape, bytes: tensor.bytes() });
    let read = parts(&weight(card, &items.collect::<Vec<_>>(), row, position));
    let what = format!("row {row}, weight {position} is decoded as {found:e} and should be {wanted:e}; the card reads {read}");
    Err(Failure::new(format, what))
}

/// The numbers of a weight, as text.
fn parts(weight: &Weight) -> String {
    let named = [("zero", weight.zero), ("sign", weight.sign), ("scale", weight.scale), ("min", weight.min)];
    let named = named.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let text = |(name, Value { own, outer }): (&str, Value)| match outer {
        Some(outer) => format!("{name} {outer} * {own}"),
        None => format!("{name} {own}"),
    };
    [("code", weight.code)].into_iter().chain(named).map(text).collect::<Vec<_>>().join(", ")
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
    decodes_to(&Stored::new(format, n, k, bytes).map_err(|error| Failure::new(format, error))?, wanted)
}
