//! Activations as the class `int8` wants them.

/// Quantises a row in groups of `group` values: `d = max|x| / 127`, `q = round_half_even(x * (127 / max|x|))`, one scale d per
/// group; a group whose largest magnitude is 0, or so small that the quotient is infinite, gives zeros. `values` holds whole
/// groups, `quants` as many, `scales` one per group. Returns whether every value is finite.
///
/// Plain code that is compiled once per instruction set: every operation rounds by itself, so all of them give the same bits.
#[inline(always)]
#[must_use]
pub fn quantize(values: &[f32], group: usize, quants: &mut [i8], scales: &mut [f32]) -> bool {
    let mut finite = true;
    for ((values, quants), scale) in values.chunks_exact(group).zip(quants.chunks_exact_mut(group)).zip(scales) {
        let largest = largest_magnitude(values);
        finite &= largest.is_finite();
        let inverse = 127.0 / largest;
        if inverse.is_finite() {
            *scale = largest / 127.0;
            for (quant, value) in quants.iter_mut().zip(values) {
                *quant = round_half_even(value * inverse) as i8;
            }
        } else {
            *scale = 0.0;
            quants.fill(0);
        }
    }
    finite
}

/// The largest magnitude; infinite if any value is not a number.
#[inline(always)]
fn largest_magnitude(values: &[f32]) -> f32 {
    // Magnitudes order like their bits, and every NaN lies above infinity.
    let bits = values.iter().fold(0, |largest: u32, value| largest.max(value.to_bits() & 0x7fff_ffff));
    if bits > f32::INFINITY.to_bits() { f32::INFINITY } else { f32::from_bits(bits) }
}

/// Rounds a magnitude of at most 2^22 to an integer, halves to even: adding 1.5 * 2^23 leaves no fraction bits.
#[inline(always)]
fn round_half_even(value: f32) -> i32 {
    const MAGIC: f32 = 12_582_912.0;
    (value + MAGIC).to_bits().wrapping_sub(MAGIC.to_bits()).cast_signed()
}

/// The sum of products of two rows, in as many partial sums as the widest vectors need; not one of the numerics classes.
#[inline(always)]
#[must_use]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    const SUMS: usize = 64;
    let mut sums = [0.0; SUMS];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<SUMS>(), b.as_chunks::<SUMS>());
    for (a, b) in a.iter().zip(b) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::{quantize, round_half_even};

    #[test]
    fn rounding_is_half_to_even() {
        for value in [0.0, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 126.5, -126.5, 127.0, 0.499_999_97, -127.0] {
            assert_eq!(round_half_even(value) as f32, value.round_ties_even(), "{value}");
        }
    }

    #[test]
    fn groups_are_scaled_to_127() {
        let values = [1.0, -2.0, 0.5, 0.0, 1e-45, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        let (mut quants, mut scales) = ([9; 12], [9.0; 3]);
        assert!(quantize(&values, 4, &mut quants, &mut scales));
        assert_eq!(quants, [64, -127, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(scales, [2.0 / 127.0, 0.0, 0.0]);
    }

    #[test]
    fn values_that_are_not_finite_are_found() {
        for bad in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN, -f32::NAN] {
            assert!(!quantize(&[1.0, bad], 2, &mut [0; 2], &mut [0.0]));
        }
    }
}
