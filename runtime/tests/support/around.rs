//! What comes before products and after them, against what a processor does.

use quantloom::measure::activations;
use quantloom::operation::{Norm, rms_norm};

use super::inputs::assert_same;

/// Rows of which the norm has something to round, or to take for what it is: sums of squares that are subnormal, zero, infinite, and no number.
fn normed(k: usize) -> (Vec<f32>, Vec<f32>) {
    let mut x = activations(9, k).unwrap();
    let scales = [1.0, 1e-22, 0.0, 1e30, f32::NAN, 1e-3, 7.0, f32::INFINITY, 1e-20];
    x.chunks_mut(k).zip(scales).for_each(|(row, scale)| row.iter_mut().for_each(|value| *value *= scale));
    let weights = (0..k).map(|index| 0.25 + (index % 13) as f32 / 7.0).collect();
    (x, weights)
}

/// Eps: usual, none, and a large one.
const EPS: [f32; 3] = [1e-5, 0.0, 3.0];

/// Compares the norm of rows with that of a processor.
pub fn check_norm(k: usize, mut norm: impl FnMut(&[f32], &[f32], f32) -> Vec<f32>) {
    let (x, weights) = normed(k);
    for eps in EPS {
        let mut wanted = x.clone();
        rms_norm(&mut wanted, &Norm { weights: &weights, eps }).unwrap();
        assert_same(&norm(&x, &weights, eps), &wanted, &format!("the norm of rows of {k} with {eps}"));
    }
}

/// Compares what is added to sums of segments with a processor's order: sums from +0, then the bias, then the residual.
pub fn check_added(n: usize, mut finish: impl FnMut(&[f32], usize, Option<&[f32]>, Option<&[f32]>) -> Vec<f32>) {
    const SEGMENTS: usize = 5;
    let batch = 3;
    let [sums, bias, residual] = [batch * SEGMENTS * n, n, batch * n].map(|count| activations(1, count).unwrap());
    for (bias, residual) in [(None, None), (Some(&bias), None), (None, Some(&residual)), (Some(&bias), Some(&residual))] {
        let wanted = (0..batch * n).map(|at| {
            let total = sums.chunks(batch * n).fold(0.0, |total, sums| total + sums[at]);
            let total = bias.map_or(total, |bias| total + bias[at % n]);
            residual.map_or(total, |residual| total + residual[at])
        });
        let found = finish(&sums, SEGMENTS, bias.map(Vec::as_slice), residual.map(Vec::as_slice));
        assert_same(&found, &wanted.collect::<Vec<_>>(), "what is added");
    }
}
