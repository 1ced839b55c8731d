//! Operations as `docs/numerics.md` defines them, one plain step after the other.

use super::definition::Row;
use crate::operation::{Call, Norm, Operation, Projections};
use crate::registry::Numerics;

/// Partial sums of a row.
const PARTIAL_SUMS: usize = 64;

/// The stored rows of a projection, and the class of its products.
#[derive(Clone, Copy, Debug)]
pub struct Factor<'a> {
    /// The rows of the weights.
    pub rows: &'a [Row<'a>],
    /// The class.
    pub numerics: Numerics,
}

/// What an operation gives for one row of the activations of a call: its outputs, each of N values. `factors` are the projections.
///
/// # Panics
/// If the operands are not those of the operation.
#[must_use]
pub fn steps(operation: &Operation, call: &Call<'_>, factors: &[Factor<'_>], column: usize) -> Vec<Vec<f32>> {
    let k = call.x.len() / call.batch;
    let x = &call.x[column * k..][..k];
    let x = call.norm.map_or_else(|| x.to_vec(), |norm| normalised(x, norm));
    let mut outputs = Vec::new();
    for (factor, projection) in factors.iter().zip(call.projections) {
        let mut sums = factor.rows.iter().map(|row| row.product(factor.numerics, &x)).collect::<Vec<_>>();
        sums.iter_mut().zip(projection.bias.unwrap_or_default()).for_each(|(sum, bias)| *sum += bias);
        outputs.push(sums);
    }
    if operation.projections == Projections::Gated {
        let act = operation.epilogue.activation.expect("the function of a gate").value;
        let up = outputs.pop().expect("an up projection");
        outputs[0].iter_mut().zip(up).for_each(|(gate, up)| *gate = act(*gate, up));
    }
    if let Some(residual) = call.residual {
        let n = outputs[0].len();
        outputs[0].iter_mut().zip(&residual[column * n..]).for_each(|(y, residual)| *y += residual);
    }
    outputs
}

/// RMSNorm of a row.
fn normalised(x: &[f32], Norm { weights, eps }: Norm<'_>) -> Vec<f32> {
    let partial = |first: usize| x.iter().skip(first).step_by(PARTIAL_SUMS).fold(0.0_f32, |sum, x| x.mul_add(*x, sum));
    let mut sums = (0..PARTIAL_SUMS).map(partial).collect::<Vec<_>>();
    while sums.len() > 1 {
        let (low, high) = sums.split_at(sums.len() / 2);
        sums = low.iter().zip(high).map(|(low, high)| low + high).collect();
    }
    let r = 1.0 / (sums[0] / x.len() as f32 + eps).sqrt();
    x.iter().zip(weights).map(|(x, weight)| (x * r) * weight).collect()
}
