//! Activation functions, and the products that gated layers make with them.

use super::exp::{exp, tanh};

/// `x / (1 + e^-x)`.
#[inline(always)]
#[must_use]
pub fn silu(x: f32) -> f32 {
    x / (1.0 + exp(-x))
}

/// `-2 sqrt(2 / pi)`.
const LINEAR: f32 = -1.595_769_1;
/// `-2 sqrt(2 / pi) * 0.044715`.
const CUBIC: f32 = -7.135_481_4e-2;

/// GELU by a tangent, `x / (1 + e^-2z)` with `z = sqrt(2 / pi) (x + 0.044715 x^3)`: `-2z = x * fma(x * x, CUBIC, LINEAR)`.
#[inline(always)]
#[must_use]
pub fn gelu_tanh(x: f32) -> f32 {
    x / (1.0 + exp(x * (x * x).mul_add(CUBIC, LINEAR)))
}

/// `cap * tanh(x / cap)`.
#[inline(always)]
#[must_use]
pub fn softcap(x: f32, cap: f32) -> f32 {
    cap * tanh(x / cap)
}

/// `g = silu(g) * u`.
///
/// # Panics
/// If there are not as many gates as ups.
#[inline(always)]
pub fn silu_gate(gates: &mut [f32], ups: &[f32]) {
    gate(gates, ups, silu);
}

/// `g = gelu_tanh(g) * u`.
///
/// # Panics
/// If there are not as many gates as ups.
#[inline(always)]
pub fn gelu_tanh_gate(gates: &mut [f32], ups: &[f32]) {
    gate(gates, ups, gelu_tanh);
}

#[inline(always)]
fn gate(gates: &mut [f32], ups: &[f32], activation: impl Fn(f32) -> f32) {
    assert_eq!(gates.len(), ups.len(), "as many gates as ups");
    for (gate, up) in gates.iter_mut().zip(ups) {
        *gate = activation(*gate) * up;
    }
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
            let silu_wanted = wide / (1.0 + (-wide).exp());
            let z = (2.0 / std::f64::consts::PI).sqrt() * (wide + 0.044_715 * wide.powi(3));
            let gelu_wanted = wide / (1.0 + (-2.0 * z).exp());
            let cap_wanted = 3.0 * (wide / 3.0).tanh();
            // An error of the exponent is multiplied by its size.
            let near = |found: f32, wanted: f64, of: f64| (f64::from(found) - wanted).abs() <= of * 2e-7 * wanted.abs() + 1e-36;
            assert!(near(silu(x), silu_wanted, 2.0), "silu({x}) = {}, not {silu_wanted}", silu(x));
            assert!(near(gelu_tanh(x), gelu_wanted, 3.0 + 2.0 * z.abs()), "gelu({x}) = {}, not {gelu_wanted}", gelu_tanh(x));
            assert!(near(softcap(x, 3.0), cap_wanted, 2.0), "softcap({x}) = {}, not {cap_wanted}", softcap(x, 3.0));
        }
        assert_eq!([silu(0.0), gelu_tanh(0.0), softcap(0.0, 50.0)], [0.0; 3]);
        assert_eq!([silu(1e30), gelu_tanh(1e30), softcap(1e30, 50.0)], [1e30, 1e30, 50.0]);
    }

    #[test]
    fn gates_multiply() {
        let mut gates = [1.0, -2.0, 3.0];
        silu_gate(&mut gates, &[2.0, 3.0, -1.0]);
        assert_eq!(gates, [silu(1.0) * 2.0, silu(-2.0) * 3.0, -silu(3.0)]);
        let mut gates = [1.0, -2.0];
        gelu_tanh_gate(&mut gates, &[2.0, 3.0]);
        assert_eq!(gates, [gelu_tanh(1.0) * 2.0, gelu_tanh(-2.0) * 3.0]);
    }
}
