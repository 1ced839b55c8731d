//! Weights to measure with: random where any bits will do, moderate where they are scales.

use crate::error::{Error, Result};
use crate::registry::Format;
use crate::stored::{Spec, Storage, Stored};

/// Blocks that differ from each other.
const DISTINCT: usize = 64;

/// The stored bytes of `n` rows of `k` finite, moderate weights, the same on every call: see [`Stored::new`].
///
/// # Errors
/// What [`Stored::new`] reports of such a matrix.
pub fn synthetic(format: &'static Format, n: usize, k: usize) -> Result<Vec<u8>> {
    let bytes = match format.storage {
        Storage::Rows { header, block } => rows(format, header, block, n, k),
        Storage::Tensors { tensors, .. } => separate(format, tensors, n, k)?,
    };
    Stored::new(format, n, k, &bytes)?;
    Ok(bytes)
}

/// Rows of random blocks under one header.
fn rows(format: &'static Format, header: usize, block: usize, n: usize, k: usize) -> Vec<u8> {
    let mut random = Random(1);
    let mut row = random.bytes(header + block);
    while !moderate(format, &row) {
        row = random.bytes(header + block);
    }
    let (head, first) = row.split_at(header);
    let mut blocks = first.to_vec();
    while blocks.len() < DISTINCT * block {
        let candidate = random.bytes(block);
        if moderate(format, &[head, &candidate].concat()) {
            blocks.extend(candidate);
        }
    }
    // An odd stride, so that neighbouring rows differ.
    let block_at = |index: usize| &blocks[index * 37 % DISTINCT * block..][..block];
    let of_row = k / format.block_weights;
    let mut bytes = Vec::with_capacity(format.stored_bytes(n, k).unwrap_or_default());
    for row in 0..n {
        bytes.extend_from_slice(head);
        for index in row * of_row..(row + 1) * of_row {
            bytes.extend_from_slice(block_at(index + index / DISTINCT));
        }
    }
    bytes
}

/// Whether the weights of a row of one block are finite, and the largest is neither tiny nor huge.
fn moderate(format: &'static Format, row: &[u8]) -> bool {
    let mut weights = vec![0.0_f32; format.block_weights];
    let decoded = crate::decode(format, 1, format.block_weights, row, &mut weights);
    let largest = weights
        .iter()
        .fold(0.0_f32, |largest, weight| if weight.is_finite() { largest.max(weight.abs()) } else { f32::INFINITY });
    decoded.is_ok() && (1e-3..1e3).contains(&largest)
}

/// Separate tensors, one after the other: floats between 1/2 and 1, and arbitrary integers.
fn separate(format: &'static Format, specs: &[Spec], n: usize, k: usize) -> Result<Vec<u8>> {
    let mut random = Random(1);
    let total = format.stored_bytes(n, k).ok_or(Error::OutOfMemory { bytes: usize::MAX })?;
    let mut bytes = Vec::with_capacity(total);
    for (spec, (shape, item)) in specs.iter().zip(format.shapes(n, k).unwrap_or_default()) {
        let end = bytes.len() + shape.iter().product::<usize>() * item;
        while bytes.len() < end {
            match spec.element {
                "f16" => bytes.extend((0x3800 | u16::from(random.byte())).to_le_bytes()),
                "bf16" => bytes.extend((0x3f00 | u16::from(random.byte() >> 1)).to_le_bytes()),
                "f32" => bytes.extend((0x3f00_0000 | u32::from(random.byte()) << 15).to_le_bytes()),
                "e8m0" | "ue4m3" | "e4m3" => bytes.push(0x30 | random.byte() & 7),
                _ => bytes.extend(random.bytes(item)),
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
}
