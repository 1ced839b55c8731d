//! Activations as the class `int8` wants them.

use crate::abi::ALIGNMENT;
use crate::lanes::prefetch;

/// Quantises a row span by span: `d = max|x| / 127`, `q = round_half_even(x * (127 / max|x|))`, one scale d per span; a span
/// whose largest magnitude is 0, or so small that the quotient is infinite, gives zeros. `lengths` are those of a span, of which
/// `values` holds whole ones, and of a step, which divides it; there are as many `quants` as values, one of `scales` per span, and
/// one of `sums` per step: the sum of its quants. Returns whether every value is finite.
///
/// Plain code that is compiled once per instruction set: every operation rounds by itself, so all of them give the same bits.
/// (In a structure, LLVM would no longer know that the slices do not overlap: up to four times slower.)
#[inline(always)]
#[must_use]
pub fn quantize(values: &[f32], lengths: (usize, usize), quants: &mut [i8], scales: &mut [f32], sums: &mut [i32]) -> bool {
    let (span, step) = lengths;
    // A length that is known takes a fifth of the time off spans of 32, and half off steps.
    let finite = match span {
        32 => quantize_spans(values.as_chunks::<32>().0, quants.as_chunks_mut::<32>().0, scales),
        256 => quantize_spans(values.as_chunks::<256>().0, quants.as_chunks_mut::<256>().0, scales),
        _ => quantize_spans(values.chunks_exact(span), quants.chunks_exact_mut(span), scales),
    };
    match step {
        16 => sum_steps(quants.as_chunks::<16>().0, sums),
        32 => sum_steps(quants.as_chunks::<32>().0, sums),
        _ => sum_steps(quants.chunks_exact(step), sums),
    }
    finite
}

/// Bytes from a span that is quantised to the one that is asked for: 4 to 12% faster from the last-level cache.
const AHEAD: isize = 4096;

/// Quantises spans; whether every value is finite.
#[inline(always)]
fn quantize_spans<V: AsRef<[f32]>, Q: AsMut<[i8]>>(
    values: impl IntoIterator<Item = V>,
    quants: impl IntoIterator<Item = Q>,
    scales: &mut [f32],
) -> bool {
    let mut finite = true;
    for ((values, mut quants), scale) in values.into_iter().zip(quants).zip(scales) {
        let values = values.as_ref();
        for line in bytemuck::cast_slice(values).chunks(ALIGNMENT) {
            prefetch(line, AHEAD);
        }
        let largest = largest_magnitude(values);
        finite &= largest.is_finite();
        let inverse = 127.0 / largest;
        // Without a branch LLVM makes plain vectors of a span of known length.
        let inverse = if inverse.is_finite() { inverse } else { 0.0 };
        *scale = if inverse > 0.0 { largest / 127.0 } else { 0.0 };
        for (quant, value) in quants.as_mut().iter_mut().zip(values) {
            *quant = round_half_even(value * inverse) as i8;
        }
    }
    finite
}

/// Sums steps.
#[inline(always)]
fn sum_steps<Q: AsRef<[i8]>>(quants: impl IntoIterator<Item = Q>, sums: &mut [i32]) {
    for (quants, sum) in quants.into_iter().zip(sums) {
        *sum = quants.as_ref().iter().map(|&quant| i32::from(quant)).sum();
    }
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
        let mut sums = [9; 6];
        assert!(quantize(&values, (4, 2), &mut quants, &mut scales, &mut sums));
        assert_eq!(quants, [64, -127, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(scales, [2.0 / 127.0, 0.0, 0.0]);
        assert_eq!(sums, [-63, 32, 0, 0, 0, 0]);
    }

    #[test]
    fn lengths_that_are_known_change_nothing() {
        let values = (0..512).map(|index: i32| (index * 37 % 101 - 50) as f32 * 0.3).collect::<Vec<_>>();
        for (span, step) in [(32, 16), (32, 32), (256, 16), (256, 32), (256, 256), (64, 8)] {
            let (mut quants, mut scales, mut sums) = ([0; 512], vec![0.0; 512 / span], vec![0; 512 / step]);
            assert!(quantize(&values, (span, step), &mut quants, &mut scales, &mut sums));
            for ((values, quants), scale) in values.chunks(span).zip(quants.chunks(span)).zip(scales) {
                let largest = values.iter().fold(0.0, |largest: f32, value| largest.max(value.abs()));
                let wanted = values.iter().map(|value| (value * (127.0 / largest)).round_ties_even() as i8);
                assert_eq!(scale, largest / 127.0);
                assert!(wanted.eq(quants.iter().copied()), "spans of {span}");
            }
            let wanted = quants.chunks(step).map(|quants| quants.iter().map(|&quant| i32::from(quant)).sum::<i32>());
            assert!(wanted.eq(sums), "steps of {step}");
        }
    }

    #[test]
    fn values_that_are_not_finite_are_found() {
        for bad in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN, -f32::NAN] {
            assert!(!quantize(&[1.0, bad], (2, 2), &mut [0; 2], &mut [0.0], &mut [0]));
        }
    }
}
