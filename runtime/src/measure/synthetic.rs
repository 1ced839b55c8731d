//! Weights to measure with: random where any bits will do, moderate where they are scales.

use crate::error::{Error, Result};
use crate::limits;
use crate::registry::Format;
use crate::stored::{Spec, Storage, Stored};

/// Blocks that differ from each other.
const DISTINCT: usize = 64;
/// Random blocks that are looked at for those: many times as many as the formats that there are need.
const TRIES: usize = 1 << 16;

/// The stored bytes of `n` rows of `k` finite, moderate weights, the same on every call: see [`Stored::new`]. Where no bytes are found
/// that stand for such weights, they are finite, or any.
///
/// # Errors
/// What [`Stored::new`] reports of such a matrix, [`Error::OutOfMemory`].
pub fn synthetic(format: &'static Format, n: usize, k: usize) -> Result<Vec<u8>> {
    let bytes = match format.storage {
        Storage::Rows { header, block } => rows(format, header, block, n, k)?,
        Storage::Tensors { tensors, .. } => separate(format, tensors, n, k)?,
    };
    Stored::new(format, n, k, &bytes)?;
    Ok(bytes)
}

/// Rows of random blocks under one header.
fn rows(format: &'static Format, header: usize, block: usize, n: usize, k: usize) -> Result<Vec<u8>> {
    let (head, blocks) = blocks(header, block, |row| fit(format, row));
    // An odd stride, so that neighbouring rows differ.
    let block_at = |index: usize| &blocks[index * 37 % DISTINCT * block..][..block];
    let of_row = k / format.block_weights;
    let mut bytes = room(format, n, k)?;
    for row in 0..n {
        bytes.extend_from_slice(&head);
        for index in row * of_row..(row + 1) * of_row {
            bytes.extend_from_slice(block_at(index + index / DISTINCT));
        }
    }
    Ok(bytes)
}

/// Room for the stored bytes of a matrix.
fn room(format: &Format, n: usize, k: usize) -> Result<Vec<u8>> {
    limits::room(format.stored_bytes(n, k).ok_or(Error::OutOfMemory { bytes: usize::MAX })?)
}

/// A header and blocks that fit it, as `fit` says of a row of one block: the best that were found.
fn blocks(header: usize, block: usize, fit: impl Fn(&[u8]) -> Fit) -> (Vec<u8>, Vec<u8>) {
    let (mut random, mut tries) = (Random(1), TRIES);
    let row = drawn(&mut random, &mut tries, header + block, &fit).unwrap_or_else(|| vec![0; header + block]);
    let (head, first) = row.split_at(header);
    let mut blocks = first.to_vec();
    while blocks.len() < DISTINCT * block {
        let next = drawn(&mut random, &mut tries, block, |block| fit(&[head, block].concat()));
        blocks.extend(next.as_deref().unwrap_or(first));
    }
    (head.to_vec(), blocks)
}

/// The first random bytes that fit, or else the best of those that there were tries for.
fn drawn(random: &mut Random, tries: &mut usize, count: usize, fit: impl Fn(&[u8]) -> Fit) -> Option<Vec<u8>> {
    let mut best = None;
    while *tries > 0 {
        *tries -= 1;
        let bytes = random.bytes(count);
        let fits = fit(&bytes);
        if fits == Fit::Moderate {
            return Some(bytes);
        }
        if best.as_ref().is_none_or(|&(known, _)| known < fits) {
            best = Some((fits, bytes));
        }
    }
    best.map(|(_, bytes)| bytes)
}

/// What weights are to measure with: the last is the best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    /// Some are infinite or not a number.
    Unfit,
    /// All are finite.
    Finite,
    /// All are finite, and the largest is neither tiny nor huge.
    Moderate,
}

/// What the weights of a row of one block are.
fn fit(format: &'static Format, row: &[u8]) -> Fit {
    let mut weights = vec![0.0_f32; format.block_weights];
    let decoded = crate::decode(format, 1, format.block_weights, row, &mut weights);
    let largest = weights
        .iter()
        .fold(0.0_f32, |largest, weight| if weight.is_finite() { largest.max(weight.abs()) } else { f32::INFINITY });
    match largest {
        _ if decoded.is_err() || largest.is_infinite() => Fit::Unfit,
        _ if (1e-3..1e3).contains(&largest) => Fit::Moderate,
        _ => Fit::Finite,
    }
}

/// Separate tensors, one after the other: floats between 1/2 and 1, and integers of any bits that make moderate weights.
fn separate(format: &'static Format, specs: &[Spec], n: usize, k: usize) -> Result<Vec<u8>> {
    // As exponents and as small floats these are between tiny and a hundred, and no bits of them are not a number.
    const SMALL: u8 = 0x6f;
    let (rows, columns) = (4 * format.row_multiple(), DISTINCT * format.block_weights);
    let mut weights = vec![0.0_f32; rows * columns];
    for keep in [0xff, SMALL] {
        let bytes = items(format, specs, rows, columns, keep)?;
        crate::decode(format, rows, columns, &bytes, &mut weights)?;
        if weights.iter().all(|weight| weight.abs() < 1e3) {
            return items(format, specs, n, k, keep);
        }
    }
    items(format, specs, n, k, SMALL)
}

/// Those items, with no other bits of integers than `keep` has.
fn items(format: &'static Format, specs: &[Spec], n: usize, k: usize, keep: u8) -> Result<Vec<u8>> {
    let mut random = Random(1);
    let mut bytes = room(format, n, k)?;
    for (spec, (shape, item)) in specs.iter().zip(format.shapes(n, k).unwrap_or_default()) {
        let end = bytes.len() + shape.iter().product::<usize>() * item;
        while bytes.len() < end {
            match spec.element {
                "f16" => bytes.extend((0x3800 | u16::from(random.byte())).to_le_bytes()),
                "bf16" => bytes.extend((0x3f00 | u16::from(random.byte() >> 1)).to_le_bytes()),
                "f32" => bytes.extend((0x3f00_0000 | u32::from(random.byte()) << 15).to_le_bytes()),
                "e8m0" | "ue4m3" | "e4m3" => bytes.push(0x30 | random.byte() & 7),
                _ => bytes.extend(random.bytes(item).into_iter().map(|byte| byte & keep)),
            }
        }
    }
    Ok(bytes)
}

/// Numbers that repeat from run to run.
pub(super) struct Random(pub u64);

impl Random {
    pub fn byte(&mut self) -> u8 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 56) as u8
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.byte()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::registry;

    #[test]
    fn synthetic_weights_are_finite() {
        for format in registry::formats() {
            let (n, k) = (3 * format.row_multiple(), 4 * format.block_weights);
            let bytes = synthetic(format, n, k).unwrap();
            let mut weights = vec![f32::NAN; n * k];
            crate::decode(format, n, k, &bytes, &mut weights).unwrap();
            assert!(weights.iter().all(|weight| weight.abs() < 1e3), "{}", format.name);
            assert!(weights.iter().any(|&weight| weight != 0.0), "{}", format.name);
        }
    }

    #[test]
    fn what_is_moderate_is_found_long_before_tries_end() {
        for format in registry::formats() {
            if let Storage::Rows { header, block } = format.storage {
                let seen = Cell::new(0);
                let (head, blocks) = blocks(header, block, |row| {
                    seen.set(seen.get() + 1);
                    fit(format, row)
                });
                assert!(seen.get() * 4 < TRIES, "{}: {}", format.name, seen.get());
                let mut blocks = blocks.chunks(block);
                assert!(blocks.all(|block| fit(format, &[&head, block].concat()) == Fit::Moderate), "{}", format.name);
            }
        }
    }

    #[test]
    fn what_is_never_moderate_comes_to_an_end() {
        for wanted in [Fit::Unfit, Fit::Finite] {
            // One in 256 is what is wanted, if any is.
            let fit = |row: &[u8]| if row[0] == 7 { wanted } else { Fit::Unfit };
            let (head, blocks) = blocks(2, 3, fit);
            assert_eq!((head.len(), blocks.len()), (2, DISTINCT * 3));
            assert!(wanted == Fit::Unfit || head[0] == 7);
        }
    }
}
