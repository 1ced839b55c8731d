//! What became of each tensor, as text and as JSON.

use quantloom::recipes::Recipe;
use quantloom_spec::text::escaped;
use serde_json::json;

use super::super::failure::document;
use super::super::formats::bits;
use super::super::table::{Align, Table, shown};
use super::convert::Squares;
use super::plan::Step;

/// A table of tensors, and the size of all of them.
pub fn text(recipe: &Recipe<'_>, steps: &[Step<'_>], errors: &[Option<Squares>]) -> String {
    let mut table = Table::new(&[
        ("TENSOR", Align::Left),
        ("SHAPE", Align::Right),
        ("FROM", Align::Left),
        ("TO", Align::Left),
        ("BYTES", Align::Right),
        ("NMSE", Align::Right),
    ]);
    for (step, error) in steps.iter().zip(errors) {
        let shape = step.tensor.dims.iter().rev().map(u64::to_string).collect::<Vec<_>>();
        table.row([
            shown(&step.tensor.name),
            shape.join("x"),
            step.from.name().to_owned(),
            step.to.name().to_owned(),
            step.bytes.to_string(),
            error.map_or_else(|| "-".to_owned(), |error| format!("{:.2e}", error.nmse())),
        ]);
    }
    let (weights, bytes) = totals(steps);
    let per_weight = bits(bytes, weights.max(1));
    format!("{table}\n{}: {weights} weights in {bytes} bytes, {per_weight:.2} bits per weight\n", escaped(recipe.name))
}

/// The same as a document.
pub fn json(recipe: &Recipe<'_>, steps: &[Step<'_>], errors: &[Option<Squares>]) -> String {
    let tensors = steps.iter().zip(errors).map(|(step, error)| {
        json!({
            "name": step.tensor.name,
            "dims": step.tensor.dims,
            "from": step.from.name(),
            "to": step.to.name(),
            "bytes": step.bytes,
            "nmse": error.map(Squares::nmse),
        })
    });
    let (weights, bytes) = totals(steps);
    let list = json!({
        "recipe": recipe.name,
        "file_type": recipe.file_type,
        "weights": weights,
        "bytes": bytes,
        "tensors": tensors.collect::<Vec<_>>(),
    });
    document(&list)
}

fn totals(steps: &[Step<'_>]) -> (usize, usize) {
    (steps.iter().map(Step::weights).sum(), steps.iter().map(|step| step.bytes).sum())
}
