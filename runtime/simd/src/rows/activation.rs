//! Activation functions that are no gates: those are in files of their own, by which operation cards name them.

use super::exp::tanh;

/// `cap * tanh(x / cap)`.
#[inline(always)]
#[must_use]
pub fn softcap(x: f32, cap: f32) -> f32 {
    cap * tanh(x / cap)
}

/// [`softcap`] of each value.
#[inline(always)]
pub fn softcap_row(values: &mut [f32], cap: f32) {
    for value in values {
        *value = softcap(*value, cap);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_near_their_definitions() {
        for step in -4000..=4000 {
            let x = step as f32 / 200.0;
            let wide = f64::from(x);
            let cap_wanted = 3.0 * (wide / 3.0).tanh();
            // An error of the exponent is multiplied by its size.
            let near = |found: f32, wanted: f64, of: f64| (f64::from(found) - wanted).abs() <= of * 2e-7 * wanted.abs() + 1e-36;
            assert!(near(softcap(x, 3.0), cap_wanted, 2.0), "softcap({x}) = {}, not {cap_wanted}", softcap(x, 3.0));
        }
        assert_eq!([softcap(0.0, 50.0), softcap(1e30, 50.0)], [0.0, 50.0]);
    }
}
