//! Whether the operands of a call are those that its operation takes, and of the right sizes.

use super::{Call, Norm, Operation, Projections, Prologue};
use crate::error::{Error, Result};

/// Checks all operands.
///
/// # Errors
/// [`Error::Operands`], [`Error::Batch`] or [`Error::Shape`].
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
    sizes(call, outputs)
}

/// Checks the sizes of arrays.
fn sizes(call: &Call<'_>, outputs: &[&mut [f32]]) -> Result<()> {
    let &Call { projections, x, batch, norm, residual } = call;
    let k = projections[0].weights.k();
    if batch.checked_mul(k) != Some(x.len()) {
        return Err(Error::Batch { found: x.len(), batch, k });
    }
    let same = |what, found: usize, wanted: Option<usize>| match wanted {
        Some(wanted) if wanted == found => Ok(()),
        wanted => Err(Error::Shape { what, unit: "values", found, wanted: wanted.unwrap_or(usize::MAX) }),
    };
    if let Some(norm) = norm {
        same("the weights of the norm", norm.weights.len(), Some(k))?;
    }
    for projection in projections {
        if let Some(bias) = projection.bias {
            same("the bias", bias.len(), Some(projection.weights.n()))?;
        }
    }
    for (projection, y) in projections.iter().zip(outputs) {
        same("the output", y.len(), batch.checked_mul(projection.weights.n()))?;
    }
    residual.map_or(Ok(()), |residual| same("the residual", residual.len(), batch.checked_mul(projections[0].weights.n())))
}
