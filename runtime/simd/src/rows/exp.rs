//! The exponential, and the hyperbolic tangent that is made of it.

use std::f32::consts::LOG2_E;

/// Beyond this magnitude an argument counts as this: the power of two of a result stays that of a normal number.
const LIMIT: f32 = 87.0;
/// Adding it leaves no fraction bits: 1.5 * 2^23. The integer is in the lowest bits of the sum.
const MAGIC: f32 = 12_582_912.0;
/// ln 2 in two parts: products of the first, which has 9 bits, with integers up to 126 are exact.
const LN2: [f32; 2] = [355.0 / 512.0, -2.121_944_4e-4];
/// Of `(e^r - 1 - r) / r^2` for `|r| <= ln 2 / 2`, highest power first.
const COEFFICIENTS: [f32; 6] = [1.987_569_1e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_6e-1, 0.5];

/// `e^x`, within 1.01 units in the last place; arguments are limited to -87 to 87.
///
/// ```
/// use quantloom_simd::rows::exp;
///
/// assert_eq!(exp(0.0), 1.0);
/// assert_eq!(exp(-1000.0), exp(-87.0));
/// assert!(exp(f32::NAN).is_nan());
/// ```
#[inline(always)]
#[must_use]
pub fn exp(x: f32) -> f32 {
    let limited = if x < -LIMIT { -LIMIT } else { x };
    let limited = if limited > LIMIT { LIMIT } else { limited };
    let t = limited.mul_add(LOG2_E, MAGIC);
    let n = t - MAGIC;
    let r = n.mul_add(-LN2[1], n.mul_add(-LN2[0], limited));
    let mut p = COEFFICIENTS[0];
    for coefficient in &COEFFICIENTS[1..] {
        p = p.mul_add(r, *coefficient);
    }
    let y = p.mul_add(r * r, r) + 1.0;
    let scaled = f32::from_bits(y.to_bits().wrapping_add(t.to_bits() << 23));
    if x.is_nan() { x } else { scaled }
}

/// Below this magnitude the tangent is a polynomial.
const SMALL: f32 = 0.625;
/// Of `(tanh(z) / z - 1) / z^2` in powers of `z^2`, highest first.
const TANH: [f32; 5] = [-6.096_714e-3, 2.099_718e-2, -5.385_090_8e-2, 1.333_277e-1, -3.333_332_8e-1];

/// `tanh(z)`, within 1.31 units in the last place.
#[inline(always)]
#[must_use]
pub fn tanh(z: f32) -> f32 {
    let square = z * z;
    let mut p = TANH[0];
    for coefficient in &TANH[1..] {
        p = p.mul_add(square, *coefficient);
    }
    let small = (p * square).mul_add(z, z);
    let magnitude = z.abs();
    let large = (1.0 - 2.0 / (exp(magnitude + magnitude) + 1.0)).copysign(z);
    if magnitude < SMALL { small } else { large }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The distance of a result from the right value, in units of its last place.
    fn ulps(found: f32, wanted: f64) -> f64 {
        let magnitude = (wanted as f32).abs();
        let unit = f64::from(f32::from_bits(magnitude.to_bits() + 1)) - f64::from(magnitude);
        (f64::from(found) - wanted).abs() / unit
    }

    /// Every 997th float between two magnitudes, with both signs.
    fn sweep(least: f32, most: f32) -> impl Iterator<Item = f32> {
        (least.to_bits()..=most.to_bits()).step_by(997).map(f32::from_bits).flat_map(|x| [x, -x])
    }

    #[test]
    fn the_exponential_is_as_near_as_the_contract_says() {
        let worst = sweep(1e-9, LIMIT).map(|x| ulps(exp(x), f64::from(x).exp())).fold(0.0, f64::max);
        assert!(worst <= 1.01, "{worst}");
        assert!((sweep(1e-9, LIMIT).count()) > 500_000);
    }

    #[test]
    fn the_exponential_has_ends() {
        for (x, end) in [(f32::INFINITY, LIMIT), (1e30, LIMIT), (88.0, LIMIT), (-88.0, -LIMIT), (f32::NEG_INFINITY, -LIMIT)] {
            assert_eq!(exp(x).to_bits(), exp(end).to_bits(), "{x}");
        }
        assert_eq!([exp(0.0), exp(-0.0)], [1.0, 1.0]);
        // A payload must not end in the exponent.
        for bits in [0x7fc0_0000, 0x7fc0_0001, 0x7fff_ffff, 0xffc0_0123] {
            assert!(exp(f32::from_bits(bits)).is_nan(), "{bits:x}");
        }
    }

    #[test]
    fn the_tangent_is_as_near_as_the_contract_says() {
        let worst = sweep(1e-9, 20.0).map(|z| ulps(tanh(z), f64::from(z).tanh())).fold(0.0, f64::max);
        assert!(worst <= 1.31, "{worst}");
        assert_eq!([tanh(f32::INFINITY), tanh(f32::NEG_INFINITY), tanh(0.0)], [1.0, -1.0, 0.0]);
        assert!(tanh(f32::NAN).is_nan());
    }
}
