//! Whether an importance matrix is of the model that is quantised.

use quantloom::imatrix::Imatrix;

use super::super::Failure;
use super::super::failure::tell;
use super::plan::Step;

/// Checks what the importance matrix has on the matrices that are encoded, before the first of them is, and says how many it has
/// nothing on. With something on none of them it is of another model, or its names are of another convention: then nothing that it
/// says would be used.
pub fn check(imatrix: &Imatrix, steps: &[Step<'_>]) -> Result<(), Failure> {
    let encoded = steps.iter().filter(|step| !step.copies() && step.to.shape().weights > 1);
    let (known, unknown): (Vec<_>, Vec<_>) = encoded.partition(|step| imatrix.has(&step.tensor.name));
    for step in &known {
        imatrix.importance(&step.tensor.name, step.tensor.k(), step.stacked())?;
    }
    let Some(first) = unknown.first().map(|step| step.tensor.name.as_str()) else { return Ok(()) };
    let (path, count, all) = (imatrix.path().display(), unknown.len(), known.len() + unknown.len());
    if known.is_empty() {
        let theirs = imatrix.names().next().unwrap_or_default();
        return Err(Failure::input(format!(
            "{path}: the importance matrix has no entry for any of the {all} matrices that are quantised: the first is {first:?}, its \
             own {theirs:?}; make one from this model, or leave out --imatrix"
        )));
    }
    tell(&format!("warning: {path}: the importance matrix has no entry for {count} of {all} matrices (first: {first:?})"));
    Ok(())
}
