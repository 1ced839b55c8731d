//! How the numbers of keys and values are stored, and which format does that.

use std::fmt;

use quantloom_kernels::abi::rows::Rows;
use quantloom_spec::model::{Blocks, Element, Home, Storage, Stored};

use crate::error::{Error, Result};
use crate::registry::{self, Format};

/// Weights of a block of [`KvType::Q8`].
const BLOCK: usize = 32;

/// How the numbers of keys or values are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KvType {
    /// Half precision.
    F16,
    /// The upper half of an f32.
    Bf16,
    /// As they are.
    F32,
    /// Keys only: blocks of 32 signed bytes along the head, under an f16 scale. Scores are of the class `int8`.
    Q8,
}

impl KvType {
    /// All types.
    pub const ALL: [Self; 4] = [Self::F16, Self::Bf16, Self::F32, Self::Q8];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::F32 => "f32",
            Self::Q8 => "q8",
        }
    }

    /// The first format whose card stores numbers so and which has kernels.
    ///
    /// # Errors
    /// [`Error::Attention`] if this build has none.
    pub fn format(self) -> Result<&'static Format> {
        self.encoding().map(|(format, _)| format)
    }

    /// As [`KvType::format`], and how it stores rows.
    ///
    /// # Errors
    /// [`Error::Attention`] if this build has none.
    pub(super) fn encoding(self) -> Result<(&'static Format, Encoding)> {
        let of = |format: &'static Format| {
            let encoding = Encoding::of(format).filter(|encoding| encoding.kv_type() == self)?;
            Some((format, encoding))
        };
        registry::formats().filter(|format| !registry::kernels(format).is_empty()).find_map(of).ok_or_else(|| {
            let detail = format!("this build has no kernels that read {self}; choose another type, or build with them");
            Error::Attention { detail }
        })
    }
}

impl fmt::Display for KvType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What a format makes of a row of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    F16,
    Bf16,
    F32,
    Blocks(Block),
}

/// A block of 32 numbers: where its scale and its codes lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    bytes: usize,
    scale: usize,
    codes: usize,
}

impl Encoding {
    /// What the card of a format says, if it is one of those.
    fn of(format: &'static Format) -> Option<Self> {
        if ![1, BLOCK].contains(&format.block_weights) {
            return None;
        }
        let card = registry::model(format).ok()?;
        let Storage::Blocks(blocks) = &card.storage else { return None };
        let plain = card.zero.is_none() && card.sign.is_none() && card.min.is_none();
        match (&blocks.fields[..], &card.scale) {
            ([field], None) if plain && blocks.weights == 1 => match field.element {
                Element::F16 => Some(Self::F16),
                Element::Bf16 => Some(Self::Bf16),
                Element::F32 => Some(Self::F32),
                _ => None,
            },
            (_, Some(scale)) if plain => match (&scale.stored, &card.pieces[..]) {
                (Stored::Item { field: scale, .. }, [piece]) => {
                    let Stored::Item { field: codes, .. } = piece.code.stored else { return None };
                    Block::of(blocks, *scale, codes).filter(|block| block.is_decoded_so(format)).map(Self::Blocks)
                }
                _ => None,
            },
            _ => None,
        }
    }

    fn kv_type(self) -> KvType {
        match self {
            Self::F16 => KvType::F16,
            Self::Bf16 => KvType::Bf16,
            Self::F32 => KvType::F32,
            Self::Blocks(_) => KvType::Q8,
        }
    }

    /// Values that rows are filled up to a multiple of.
    pub fn multiple(self) -> usize {
        if matches!(self, Self::Blocks(_)) { BLOCK } else { 1 }
    }

    /// Bytes of a stored row of so many values, which are such a multiple.
    pub fn row_bytes(self, values: usize) -> usize {
        match self {
            Self::F16 | Self::Bf16 => size_of::<u16>() * values,
            Self::F32 => size_of::<f32>() * values,
            Self::Blocks(block) => values / BLOCK * block.bytes,
        }
    }

    /// Stores a row; whether all of it is finite. `bytes` begin where an f32 may.
    pub fn encode(self, rows: &Rows, values: &[f32], bytes: &mut [u8]) -> bool {
        // SAFETY: the rows are those of an instruction set that is available: the caller took them from one.
        let short = |store: unsafe fn(&[f32], &mut [u16]) -> bool, bytes: &mut [u8]| unsafe {
            store(values, bytemuck::cast_slice_mut(bytes))
        };
        match self {
            Self::F16 => short(rows.f16, bytes),
            Self::Bf16 => short(rows.bf16, bytes),
            Self::F32 => {
                bytes.copy_from_slice(bytemuck::cast_slice(values));
                values.iter().all(|value| value.is_finite())
            }
            Self::Blocks(block) => block.encode(rows, values, bytes),
        }
    }
}

impl Block {
    /// Of blocks of an f16 scale and 32 signed bytes.
    fn of(blocks: &Blocks, scale: usize, codes: usize) -> Option<Self> {
        let (scale, codes) = (&blocks.fields[scale], &blocks.fields[codes]);
        let right = scale.element == Element::F16
            && scale.count.is_none()
            && (codes.element, codes.count) == (Element::Signed(8), Some(BLOCK))
            && [scale, codes].iter().all(|field| field.home == Home::Block)
            && (blocks.header, blocks.weights, blocks.bytes) == (0, BLOCK, size_of::<u16>() + BLOCK);
        right.then_some(Self { bytes: blocks.bytes, scale: scale.at, codes: codes.at })
    }

    /// Whether the format means by such a block what is meant here: no code is looked up, moved or scaled otherwise.
    fn is_decoded_so(self, format: &'static Format) -> bool {
        const HALF: [u8; 2] = 0x3800_u16.to_le_bytes();
        let codes = std::array::from_fn::<i8, BLOCK, _>(|index| (8 * index as i32 - 127) as i8);
        let mut block = vec![0; self.bytes];
        self.write(HALF, &codes, &mut block);
        let mut decoded = [0.0; BLOCK];
        crate::decode(format, 1, BLOCK, &block, &mut decoded).is_ok() && decoded == codes.map(|code| 0.5 * f32::from(code))
    }

    fn write(self, scale: [u8; 2], codes: &[i8; BLOCK], block: &mut [u8]) {
        block[self.scale..][..scale.len()].copy_from_slice(&scale);
        block[self.codes..][..BLOCK].copy_from_slice(bytemuck::cast_slice(codes));
    }

    fn encode(self, rows: &Rows, values: &[f32], bytes: &mut [u8]) -> bool {
        let (values, rest) = values.as_chunks::<BLOCK>();
        debug_assert!(rest.is_empty());
        let mut finite = true;
        for (values, block) in values.iter().zip(bytes.chunks_exact_mut(self.bytes)) {
            let (mut codes, mut scale, mut bits) = ([0; BLOCK], [0.0], [0]);
            // SAFETY: as in `Encoding::encode`.
            unsafe {
                finite &= (rows.quantize)(values, (BLOCK, BLOCK), &mut codes, &mut scale, &mut [0]);
                finite &= (rows.f16)(&scale, &mut bits);
            }
            self.write(bits[0].to_le_bytes(), &codes, block);
        }
        finite
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_a_format_that_decodes_what_is_encoded() {
        let values = (0..64).map(|index| (index as f32 - 20.0) / 7.0).collect::<Vec<_>>();
        for (kv_type, most) in KvType::ALL.into_iter().zip([2e-3, 2e-2, 0.0, 2.5e-2]) {
            let (format, encoding) = kv_type.encoding().unwrap();
            let mut words = vec![0_u32; encoding.row_bytes(64).div_ceil(4)];
            let bytes = &mut bytemuck::cast_slice_mut(&mut words)[..encoding.row_bytes(64)];
            assert!(encoding.encode(registry::best_isa().rows(), &values, bytes), "{kv_type}");
            let mut decoded = vec![0.0; 64];
            crate::decode(format, 1, 64, bytes, &mut decoded).unwrap();
            let worst = values.iter().zip(&decoded).map(|(value, decoded)| (value - decoded).abs()).fold(0.0, f32::max);
            assert!(worst <= most, "{kv_type}: {worst}");
        }
    }

    #[test]
    fn what_is_not_finite_when_it_is_stored_is_found() {
        for (kv_type, too_large) in
            [(KvType::F16, 1e5), (KvType::Bf16, f32::MAX), (KvType::F32, f32::INFINITY), (KvType::Q8, 1e7)]
        {
            let (_, encoding) = kv_type.encoding().unwrap();
            for (bad, fine) in [(f32::NAN, false), (too_large, false), (1e3, true)] {
                let (mut values, mut words) = (vec![0.0; 32], vec![0_u32; 32]);
                values[9] = bad;
                let bytes = &mut bytemuck::cast_slice_mut(&mut words)[..encoding.row_bytes(32)];
                assert_eq!(encoding.encode(registry::best_isa().rows(), &values, bytes), fine, "{kv_type}: {bad}");
            }
        }
    }
}
