//! The plain form of a product.

use quantloom_codegen::lower::class::SEGMENT;

/// The class `exact`, as plainly as it can be said: segments from +0 in K order, then their sums from +0 in order.
pub fn product(weights: &[f32], x: &[f32], multiply_add: impl Fn(f32, f32, f32) -> f32) -> Vec<f32> {
    let dot = |row: &[f32]| {
        let segments = row.chunks(SEGMENT).zip(x.chunks(SEGMENT));
        let sums = segments.map(|(w, x)| w.iter().zip(x).fold(0.0, |sum, (w, x)| multiply_add(*w, *x, sum)));
        sums.fold(0.0, |sum, segment| sum + segment)
    };
    weights.chunks(x.len()).map(dot).collect()
}
