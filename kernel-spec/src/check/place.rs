//! Places: which items and bits a reading touches, over all values of the digits it uses.

use crate::diagnostic::Sink;
use crate::grid::Values;
use crate::model::Map;
use crate::raw;
use crate::reading::Reading;

use super::digits::Scope;

/// The number of the item that `reading` picks, or `None` if it lies outside the axes.
pub(crate) fn item(reading: &Reading<'_>, values: &Values<'_>, lengths: &[usize]) -> Option<usize> {
    let mut item = 0;
    for (axis, length) in reading.axes.iter().zip(lengths) {
        let at = usize::try_from(values.of(axis)).ok().filter(|at| at < length)?;
        item = item * length + at;
    }
    Some(item)
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
