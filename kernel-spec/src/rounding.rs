//! From values to stored bits: the inverse of [`Element::value`], for encoders.

use half::{bf16, f16};

use crate::model::Element;

/// Widest elements whose bits are listed one by one.
const LISTED_BITS: u32 = 16;

impl Element {
    /// The bits that an encoder may write, if they are a range: integers of at most 16 bits and the unsigned 8-bit floats, without
    /// the bits that other decoders read as not a number.
    #[must_use]
    pub fn listed(self) -> Option<std::ops::Range<u64>> {
        match self {
            Self::Unsigned(_) | Self::Signed(_) => (self.bits() <= LISTED_BITS).then(|| 0..1 << self.bits()),
            Self::E8m0 => Some(0..255),
            Self::Ue4m3 => Some(0..0x7F),
            Self::F16 | Self::Bf16 | Self::F32 | Self::E4m3 => None,
        }
    }

    /// The largest finite value.
    #[must_use]
    pub fn max(self) -> f64 {
        match self {
            Self::Unsigned(bits) => ((1_u64 << bits) - 1) as f64,
            Self::Signed(bits) => ((1_u64 << (bits - 1)) - 1) as f64,
            Self::F16 => f16::MAX.to_f64(),
            Self::Bf16 => bf16::MAX.to_f64(),
            Self::F32 => f64::from(f32::MAX),
            Self::E8m0 => Self::E8m0.value(254),
            Self::Ue4m3 | Self::E4m3 => self.value(0x7E),
        }
    }

    /// The bits of the element nearest to `value`, ties to even; what is out of range becomes the nearest end of it.
    /// Not a number becomes 0. The short floats are rounded by way of f32, which is the same on all processors.
    #[must_use]
    pub fn nearest(self, value: f64) -> u64 {
        let least = match self {
            Self::Signed(_) => -self.max() - 1.0,
            _ => -self.max(),
        };
        let value = if value.is_nan() { 0.0 } else { value.clamp(least, self.max()) };
        match self {
            Self::Unsigned(_) => value.max(0.0).round_ties_even() as u64,
            Self::Signed(width) => value.round_ties_even() as i64 as u64 & (u64::MAX >> (64 - u32::from(width))),
            Self::F16 => f16::from_f32(value as f32).to_bits().into(),
            Self::Bf16 => bf16::from_f32(value as f32).to_bits().into(),
            Self::F32 => u64::from((value as f32).to_bits()),
            Self::E8m0 | Self::Ue4m3 | Self::E4m3 => self.nearest_of(self.listed().unwrap_or(0..256), value),
        }
    }

    /// Ties go to the even bits; what is not a number is farther than anything.
    fn nearest_of(self, bits: std::ops::Range<u64>, value: f64) -> u64 {
        let distance = |bits: u64| (self.value(bits) - value).abs();
        let nearer = |a: &u64, b: &u64| distance(*a).total_cmp(&distance(*b)).then((a % 2).cmp(&(b % 2)));
        bits.min_by(nearer).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Element; 10] = [
        Element::Unsigned(8),
        Element::Unsigned(48),
        Element::Signed(8),
        Element::Signed(24),
        Element::F16,
        Element::Bf16,
        Element::F32,
        Element::E8m0,
        Element::Ue4m3,
        Element::E4m3,
    ];

    #[test]
    fn what_is_stored_comes_back() {
        for element in ALL {
            let bits = element.listed().unwrap_or(0..1 << element.bits().min(16));
            for bits in bits.filter(|bits| element.value(*bits).is_finite()) {
                let found = element.nearest(element.value(bits));
                assert_eq!(element.value(found), element.value(bits), "{element} {bits:#x}");
            }
        }
    }

    #[test]
    fn what_is_too_large_is_the_largest() {
        for element in ALL {
            for value in [1e300, f64::INFINITY] {
                assert_eq!(element.value(element.nearest(value)), element.max(), "{element}");
                assert!(element.value(element.nearest(-value)).is_finite());
            }
            assert!(element.value(element.nearest(f64::NAN)).abs() < 1e-30);
        }
    }

    #[test]
    fn halves_go_to_even() {
        assert_eq!(Element::Signed(8).nearest(-2.5), 0xFE);
        assert_eq!(Element::F16.nearest(2049.0), Element::F16.nearest(2048.0));
        assert_eq!(Element::F16.nearest(2051.0), Element::F16.nearest(2052.0));
    }
}
