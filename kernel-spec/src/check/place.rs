//! Places: which items and bits a reading touches, over all values of the digits it uses.

use crate::diagnostic::Sink;
use crate::grid::Values;
use crate::model::Map;
use crate::raw;
use crate::reading::Reading;

use super::digits::Scope;

/// The number of the item that lies `step` items past the one that `reading` picks, along the axis of its stream if it has
/// one; or the axis outside which it lies, with the index there.
pub(crate) fn item(reading: &Reading<'_>, values: &Values<'_>, step: usize, lengths: &[usize]) -> Result<usize, (usize, i64)> {
    let mut item = 0;
    for (axis, (map, length)) in reading.axes.iter().zip(lengths).enumerate() {
        let steps = if reading.stream == Some(axis) { step as i64 } else { 0 };
        let at = values.of(map) + steps;
        let index = usize::try_from(at).ok().filter(|index| index < length).ok_or((axis, at))?;
        item = item * length + index;
    }
    Ok(item)
}

/// Resolves a map whose digits must exist in every scope.
pub(crate) fn resolve(raw: &raw::Map, scopes: &[Scope], sink: &mut Sink) -> Option<Map> {
    let before = sink.count();
    for term in &raw.terms {
        check_digit(term, scopes, sink);
    }
    let strides = raw.terms.iter().map(|term| (term.digit.value.clone(), term.stride.value)).collect();
    let at = raw.at.as_ref().map_or(0, |at| at.value);
    (sink.count() == before).then_some(Map { at, strides })
}

fn check_digit(term: &raw::Term, scopes: &[Scope], sink: &mut Sink) {
    let name = term.digit.value.as_str();
    let Some(scope) = scopes.iter().find(|scope| !scope.has(name)) else {
        if term.stride.value == 0 {
            sink.error(term.stride.span, format!("digit `{name}` has stride 0")).help("leave out a digit that changes nothing");
        }
        return;
    };
    let known: Vec<&str> = scope.digits().map(|(digit, _)| digit.name.as_str()).collect();
    let error = sink.error(term.digit.span, format!("no digit `{name}`"));
    if scopes.iter().any(|scope| scope.has(name)) {
        error.label(format!("the piece from weight {} does not have it", scope.start));
    } else {
        error.suggest(name, "digits", known);
    }
}
