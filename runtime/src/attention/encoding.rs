//! How the numbers of keys and values are stored, and which format does that.

use std::fmt;
use std::sync::OnceLock;

use quantloom_kernels::abi::rows::Rows;
use quantloom_kernels::scalar;

use crate::error::{Error, Result};
use crate::registry::{self, Format};
use crate::stored::Storage;

/// Weights of a block of [`KvType::Q8`].
const BLOCK: usize = 32;

/// Bytes of the scale of such a block, and of the block.
const SCALE: usize = size_of::<u16>();
const BLOCK_BYTES: usize = SCALE + BLOCK;

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
        /// What was found, by type: to look takes a decoder 65,536 numbers, and every layer of every sequence asks.
        static FOUND: [OnceLock<(&Format, Encoding)>; KvType::ALL.len()] = [const { OnceLock::new() }; KvType::ALL.len()];
        let found = &FOUND[self as usize];
        if let Some(found) = found.get() {
            return Ok(*found);
        }
        let of = |format: &'static Format| {
            let encoding = Encoding::of(format).filter(|encoding| encoding.kv_type() == self)?;
            Some((format, encoding))
        };
        let first = registry::formats().filter(|format| !registry::kernels(format).is_empty()).find_map(of);
        first.map(|first| *found.get_or_init(|| first)).ok_or_else(|| {
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
    scale: usize,
    codes: usize,
}

impl Encoding {
    /// What a format stores, if it is one of those: told by what it decodes.
    fn of(format: &'static Format) -> Option<Self> {
        let Storage::Rows { header: 0, block } = format.storage else { return None };
        let all = [Self::F16, Self::Bf16, Self::F32].into_iter().chain(Block::ALL.map(Self::Blocks));
        let mut fitting = all.filter(|encoding| encoding.multiple() == format.block_weights);
        fitting.find(|encoding| encoding.row_bytes(format.block_weights) == block && encoding.is_decoded_by(format))
    }

    /// Whether a format means by its bits what is meant here: all patterns of 16 bits, and as many of more.
    fn is_decoded_by(self, format: &'static Format) -> bool {
        let (mut bytes, mut wanted) = (Vec::new(), Vec::new());
        for pattern in 0..=u16::MAX {
            let bits = u32::from(pattern);
            match self {
                Self::F16 | Self::Bf16 => {
                    bytes.extend(pattern.to_le_bytes());
                    wanted.push(if self == Self::F16 { scalar::f16(bits) } else { f32::from_bits(bits << 16) });
                }
                Self::F32 => {
                    let value = f32::from_bits(bits << 16 | u32::from(pattern.reverse_bits()));
                    bytes.extend(value.to_le_bytes());
                    wanted.push(value);
                }
                // Each code, and each exponent of a scale.
                Self::Blocks(block) if usize::from(pattern).is_multiple_of(BLOCK) => {
                    let codes = std::array::from_fn(|index| (bits as u8).wrapping_add(index as u8).cast_signed());
                    let mut stored = [0; BLOCK_BYTES];
                    block.write(pattern.to_le_bytes(), &codes, &mut stored);
                    bytes.extend(stored);
                    wanted.extend(codes.map(|code| scalar::f16(bits) * f32::from(code)));
                }
                Self::Blocks(_) => {}
            }
        }
        let mut decoded = vec![0.0; wanted.len()];
        let same = |(found, wanted): (&f32, &f32)| found == wanted || found.is_nan() && wanted.is_nan();
        crate::decode(format, 1, wanted.len(), &bytes, &mut decoded).is_ok() && decoded.iter().zip(&wanted).all(same)
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
            Self::Blocks(_) => values / BLOCK * BLOCK_BYTES,
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
    /// Those that there may be: the scale comes first, or last.
    const ALL: [Self; 2] = [Self { scale: 0, codes: SCALE }, Self { scale: BLOCK, codes: 0 }];

    fn write(self, scale: [u8; SCALE], codes: &[i8; BLOCK], block: &mut [u8]) {
        block[self.scale..][..scale.len()].copy_from_slice(&scale);
        block[self.codes..][..BLOCK].copy_from_slice(bytemuck::cast_slice(codes));
    }

    fn encode(self, rows: &Rows, values: &[f32], bytes: &mut [u8]) -> bool {
        let (values, rest) = values.as_chunks::<BLOCK>();
        debug_assert!(rest.is_empty());
        let mut finite = true;
        for (values, block) in values.iter().zip(bytes.chunks_exact_mut(BLOCK_BYTES)) {
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
    use quantloom_spec::model::{Element, Field};

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

    /// What is told by decoding is what cards say.
    #[test]
    fn no_other_format_is_taken_for_one_of_these() {
        for format in registry::formats() {
            let card = registry::model(format).unwrap();
            let has = |wanted| {
                card.blocks().is_some_and(|blocks| {
                    let of = |field: &Field| (field.element, field.count.unwrap_or(1));
                    blocks.header == 0 && blocks.fields.iter().map(of).eq(wanted)
                })
            };
            let plain = [&card.zero, &card.sign, &card.min].into_iter().all(Option::is_none);
            match Encoding::of(format).map(Encoding::kv_type) {
                Some(KvType::F16) => assert!(plain && has(vec![(Element::F16, 1)])),
                Some(KvType::Bf16) => assert!(plain && has(vec![(Element::Bf16, 1)])),
                Some(KvType::F32) => assert!(plain && has(vec![(Element::F32, 1)])),
                Some(KvType::Q8) => assert!(plain && has(vec![(Element::F16, 1), (Element::Signed(8), BLOCK)])),
                None => {
                    assert!([Element::F16, Element::Bf16, Element::F32].into_iter().all(|element| !has(vec![(element, 1)])))
                }
            }
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
