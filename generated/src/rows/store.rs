//! Numbers in 16 bits.

/// Rounds to IEEE half precision, to nearest, ties to even; whether every result is finite.
///
/// # Panics
/// If there is not one place per value.
#[inline(always)]
#[must_use]
pub fn f16(values: &[f32], bits: &mut [u16]) -> bool {
    /// The least value that rounds to infinity.
    const TOO_LARGE: u32 = 65_520_f32.to_bits();
    /// The least normal value.
    const NORMAL: u32 = f32::to_bits(1.0 / 16_384.0);
    /// Its last place is the least subnormal value: adding it leaves those, rounded.
    const SUBNORMAL: f32 = 0.5;
    /// What exponents are less by, in place.
    const BIAS: u32 = (127 - 15) << 23;
    store(values, bits, TOO_LARGE, |sign, magnitude| {
        let odd = (magnitude >> 13) & 1;
        let normal = (magnitude.wrapping_sub(BIAS) + 0xfff + odd) >> 13;
        let subnormal = (f32::from_bits(magnitude) + SUBNORMAL).to_bits().wrapping_sub(SUBNORMAL.to_bits());
        ((sign >> 16) | if magnitude < NORMAL { subnormal } else { normal }) as u16
    })
}

/// Rounds to the upper half of an f32, to nearest, ties to even; whether every result is finite.
///
/// # Panics
/// If there is not one place per value.
#[inline(always)]
#[must_use]
pub fn bf16(values: &[f32], bits: &mut [u16]) -> bool {
    /// The least value that rounds to infinity: halfway from the largest.
    const TOO_LARGE: u32 = 0x7f7f_8000;
    store(values, bits, TOO_LARGE, |sign, magnitude| {
        let odd = (magnitude >> 16) & 1;
        ((sign | (magnitude + 0x7fff + odd)) >> 16) as u16
    })
}

/// Stores what `of` makes of a sign and a magnitude; whether no magnitude is too large. What is stored of those is anything.
#[inline(always)]
fn store(values: &[f32], bits: &mut [u16], too_large: u32, of: impl Fn(u32, u32) -> u16) -> bool {
    const SIGN: u32 = 1 << 31;
    assert_eq!(values.len(), bits.len(), "a place per value");
    let mut largest = 0;
    for (value, bits) in values.iter().zip(bits) {
        let (sign, magnitude) = (value.to_bits() & SIGN, value.to_bits() & !SIGN);
        largest = largest.max(magnitude);
        *bits = of(sign, magnitude);
    }
    largest < too_large
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A conversion of one value; `None` if it is not finite.
    fn one(convert: fn(&[f32], &mut [u16]) -> bool, value: f32) -> Option<u16> {
        let mut bits = [0];
        convert(&[value], &mut bits).then_some(bits[0])
    }

    #[test]
    fn values_are_rounded_as_elsewhere() {
        for value in (0..=u32::MAX).step_by(4099).map(f32::from_bits) {
            let half = half::f16::from_f32(value);
            assert_eq!(one(f16, value), half.is_finite().then(|| half.to_bits()), "{value}");
            let brain = half::bf16::from_f32(value);
            assert_eq!(one(bf16, value), brain.is_finite().then(|| brain.to_bits()), "{value}");
        }
    }

    #[test]
    fn ends_and_ties_are_rounded_as_elsewhere() {
        for value in (0..0x7c00_u16).flat_map(|bits| {
            let [here, next] = [bits, bits + 1].map(|bits| half::f16::from_bits(bits).to_f32());
            [here, (here + next) / 2.0]
        }) {
            let half = half::f16::from_f32(value);
            assert_eq!(one(f16, -value), half.is_finite().then(|| half.to_bits() | 0x8000), "{value}");
        }
        let largest = f32::from_bits(0x7f7f_7fff);
        assert_eq!([one(bf16, largest), one(bf16, f32::from_bits(0x7f7f_8000))], [Some(0x7f7f), None]);
        assert_eq!([one(f16, f32::NAN), one(f16, f32::NEG_INFINITY), one(f16, -65_519.9)], [None, None, Some(0xfbff)]);
    }
}
