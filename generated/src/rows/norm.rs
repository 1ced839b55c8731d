//! The norm of a row.

use super::sum_of_squares;

/// RMSNorm: `(x * r) * w`, with `r = 1 / sqrt(s / n + eps)` and s the row sum of squares.
///
/// # Panics
/// If there is not one weight and one place per value.
#[inline(always)]
pub fn rms_norm(values: &[f32], weights: &[f32], eps: f32, out: &mut [f32]) {
    assert!(values.len() == weights.len() && values.len() == out.len(), "a weight and a place per value");
    let r = 1.0 / (sum_of_squares(values) / values.len() as f32 + eps).sqrt();
    for ((out, value), weight) in out.iter_mut().zip(values).zip(weights) {
        *out = (value * r) * weight;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_the_mean_square_of_its_weights() {
        for n in [1_usize, 8, 72, 576] {
            let values = (0..n).map(|index| (index * 37 % 101) as f32 * 0.3 - 15.0).collect::<Vec<_>>();
            let weights = (0..n).map(|index| 0.5 + index as f32 / 100.0).collect::<Vec<_>>();
            let mut out = vec![f32::NAN; n];
            rms_norm(&values, &weights, 1e-5, &mut out);
            let mean = values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>() / n as f64;
            for ((out, value), weight) in out.iter().zip(&values).zip(&weights) {
                let wanted = f64::from(*value) / (mean + 1e-5).sqrt() * f64::from(*weight);
                assert!((f64::from(*out) - wanted).abs() <= 3e-7 * wanted.abs(), "{out} {wanted}");
            }
        }
    }
}
