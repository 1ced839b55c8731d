//! What decoders call: stored bits as numbers. Every function is exact.

/// IEEE half precision.
#[inline]
#[must_use]
pub fn f16(bits: u32) -> f32 {
    half::f16::from_bits(bits as u16).to_f32_const()
}

/// `2^(exponent - bias)`, subnormal where f32 is; the caller keeps it in range.
#[inline]
#[must_use]
pub fn power_of_two(exponent: u32, bias: i32) -> f32 {
    let biased = exponent as i32 - bias + 127;
    if biased > 0 { f32::from_bits((biased as u32) << 23) } else { f32::from_bits((1 << 22) >> -biased) }
}

/// Four exponent and three mantissa bits: 0x7F is 0, exponent 0 is subnormal, and bit 7 counts for nothing else.
#[inline]
#[must_use]
pub fn ue4m3(bits: u32) -> f32 {
    let (exponent, mantissa) = ((bits >> 3) & 15, bits & 7);
    match bits {
        0x7f => 0.0,
        _ if exponent == 0 => mantissa as f32 / 512.0,
        _ => f32::from_bits(((exponent + 120) << 23) | (mantissa << 20)),
    }
}

/// A signed float of four exponent and three mantissa bits: no infinities, a magnitude of 0x7F is not a number.
#[inline]
#[must_use]
pub fn e4m3(bits: u32) -> f32 {
    if bits & 0x7f == 0x7f {
        return f32::NAN;
    }
    let magnitude = ue4m3(bits & 0x7f);
    if bits & 0x80 == 0 { magnitude } else { -magnitude }
}

/// Base-3 digit n of a byte that holds a base-3 fraction.
#[inline]
#[must_use]
pub fn trit(byte: u8, digit: usize) -> u32 {
    const POWERS: [u8; 5] = [1, 3, 9, 27, 81];
    (u32::from(byte.wrapping_mul(POWERS[digit])) * 3) >> 8
}

/// [`trit`] of each byte of a word: two bytes at a time, each with 16 bits to grow into. The power is multiplied by in factors that
/// are a shift and a sum, because not every vector can be multiplied.
#[inline]
#[must_use]
pub fn trits(bytes: u32, digit: usize) -> u32 {
    const FACTORS: [[u32; 2]; 5] = [[1, 1], [3, 1], [9, 1], [9, 3], [9, 9]];
    const TWO: u32 = 0x00ff_00ff;
    const DIGITS: u32 = 0x0003_0003;
    let [one, other] = FACTORS[digit];
    let thrice = |two: u32| ((((two * one) & TWO) * other) & TWO) * 3;
    (thrice(bytes & TWO) >> 8) & DIGITS | thrice((bytes >> 8) & TWO) & (DIGITS << 8)
}

/// Word i holds byte i of each of four words.
#[inline]
#[must_use]
pub fn transposed(words: [u32; 4]) -> [u32; 4] {
    const EVEN: u32 = 0x00ff_00ff;
    let [a, b, c, d] = words;
    let pairs = |one: u32, other: u32| (one & EVEN | (other & EVEN) << 8, one >> 8 & EVEN | other & !EVEN);
    let ((even, odd), (even_after, odd_after)) = (pairs(a, b), pairs(c, d));
    let halves = |one: u32, other: u32| (one & 0xffff | other << 16, one >> 16 | other & 0xffff_0000);
    let ((first, third), (second, fourth)) = (halves(even, even_after), halves(odd, odd_after));
    [first, second, third, fourth]
}

#[cfg(test)]
mod tests {
    #[test]
    fn words_are_transposed_byte_by_byte() {
        let words = [0x0403_0201, 0x1413_1211, 0x2423_2221, 0x3433_3231];
        assert_eq!(super::transposed(words), [0x3121_1101, 0x3222_1202, 0x3323_1303, 0x3424_1404]);
    }

    #[test]
    fn digits_of_a_word_are_those_of_its_bytes() {
        for byte in 0..=255_u8 {
            let bytes = [byte, !byte, byte.wrapping_mul(7), 255];
            for digit in 0..5 {
                let wanted = bytes.map(|byte| super::trit(byte, digit) as u8);
                assert_eq!(super::trits(u32::from_le_bytes(bytes), digit).to_le_bytes(), wanted, "{bytes:?} {digit}");
            }
        }
    }

    #[test]
    fn powers_of_two_reach_the_subnormals() {
        for (exponent, bias) in [(0, 127), (1, 127), (255, 128), (0, 128), (1, 128), (127, 127)] {
            let want = 2_f64.powi(exponent - bias);
            assert_eq!(f64::from(super::power_of_two(exponent as u32, bias)), want, "{exponent} {bias}");
        }
    }

    #[test]
    fn small_floats() {
        assert_eq!(super::ue4m3(0x38), 1.0);
        assert_eq!(super::ue4m3(0xB8), 1.0);
        assert_eq!(super::ue4m3(0x7f), 0.0);
        assert_eq!(super::ue4m3(0xff), 480.0);
        assert_eq!(super::ue4m3(0x7e), 448.0);
        assert_eq!(super::ue4m3(0x01), 1.0 / 512.0);
        assert_eq!(super::e4m3(0xB8), -1.0);
        assert_eq!(super::e4m3(0x7e), 448.0);
        assert_eq!(super::e4m3(0x80).to_bits(), (-0.0_f32).to_bits());
        assert!(super::e4m3(0x7f).is_nan() && super::e4m3(0xff).is_nan());
    }
}
