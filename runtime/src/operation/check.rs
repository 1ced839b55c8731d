//! Whether the operands of a call are those that its operation takes.

use super::{Call, Norm, Operation, Projections, Prologue};
use crate::error::{Error, Result};

/// Checks all operands but for the sizes of arrays.
///
/// # Errors
/// [`Error::Operands`].
pub fn check(operation: &Operation, call: &Call<'_>, outputs: &[&mut [f32]]) -> Result<()> {
    let wrong = |what: String| Err(Error::Operands { operation: operation.name.to_owned(), what });
    let projections = call.projections;
    if !operation.projections.allow(projections.len()) {
        return wrong(format!("takes {}, not {}", operation.projections, projections.len()));
    }
    let wanted = if operation.projections == Projections::Gated { 1 } else { projections.len() };
    if outputs.len() != wanted {
        return wrong(format!("has {wanted} output{}, not {}", if wanted == 1 { "" } else { "s" }, outputs.len()));
    }
    match (operation.prologue, call.norm) {
        (Prologue::None, Some(_)) => return wrong("takes no norm".to_owned()),
        (Prologue::RmsNorm, None) => return wrong("needs the weights of its norm".to_owned()),
        (Prologue::RmsNorm, Some(Norm { eps, .. })) if !eps.is_finite() || eps < 0.0 => {
            return wrong(format!("adds {eps} to a mean of squares, which must be finite and not below 0"));
        }
        _ => {}
    }
    if !operation.epilogue.bias && projections.iter().any(|projection| projection.bias.is_some()) {
        return wrong("takes no bias".to_owned());
    }
    if !operation.epilogue.residual && call.residual.is_some() {
        return wrong("takes no residual".to_owned());
    }
    let (n, k) = (projections[0].weights.n(), projections[0].weights.k());
    for (index, projection) in projections.iter().enumerate() {
        let (other_n, other_k) = (projection.weights.n(), projection.weights.k());
        if other_k != k {
            return wrong(format!("multiplies one input: projection 0 has K = {k}, projection {index} has K = {other_k}"));
        }
        if operation.projections == Projections::Gated && other_n != n {
            return wrong(format!("gates row by row: the gate has {n} rows, the up projection has {other_n}"));
        }
    }
    Ok(())
}
