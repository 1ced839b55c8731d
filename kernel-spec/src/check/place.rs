//! Places: which items and bits a reading touches, over all values of the digits it uses.

use std::collections::BTreeSet;
use std::fmt;

use crate::diagnostic::Sink;
use crate::model::Map;
use crate::nearest::{listing, nearest};
use crate::raw;
use crate::reading::Reading;

use super::digits::Scope;

/// One value for each of some digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Values<'s> {
    digits: Vec<(&'s str, i64)>,
}

impl<'s> Values<'s> {
    /// Every combination of values of the digits in `used`.
    pub(crate) fn all(scope: &'s Scope, used: &BTreeSet<&str>) -> impl Iterator<Item = Self> + use<'s> {
        let sizes: Vec<(&str, usize)> = scope
            .digits()
            .filter(|(digit, _)| used.contains(digit.name.as_str()))
            .map(|(digit, size)| (digit.name.as_str(), size))
            .collect();
        let count = sizes.iter().map(|(_, size)| size).product::<usize>();
        (0..count).map(move |row| Self::nth(&sizes, row))
    }

    fn nth(sizes: &[(&'s str, usize)], mut row: usize) -> Self {
        let mut digits: Vec<_> = sizes.iter().map(|(name, _)| (*name, 0)).collect();
        for ((_, value), (_, size)) in digits.iter_mut().zip(sizes).rev() {
            *value = (row % size) as i64;
            row /= size;
        }
        Self { digits }
    }

    /// The value of a map over these digits.
    pub(crate) fn of(&self, map: &Map) -> i64 {
        map.value(|name| self.digits.iter().find(|(digit, _)| *digit == name).map_or(0, |(_, value)| *value))
    }
}

impl fmt::Display for Values<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each: Vec<String> = self.digits.iter().map(|(name, value)| format!("{name} = {value}")).collect();
        f.write_str(&each.join(", "))
    }
}

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
            sink.error(term.stride.span, format!("digit `{name}` has stride 0"))
                .help("leave out a digit that changes nothing");
        }
        return;
    };
    let known: Vec<&str> = scope.digits().map(|(digit, _)| digit.name.as_str()).collect();
    let error = sink.error(term.digit.span, format!("no digit `{name}`"));
    if scopes.iter().any(|scope| scope.has(name)) {
        error.label(format!("the piece from weight {} does not have it", scope.start));
    } else if known.is_empty() {
        error.label("there are no digits here");
    } else {
        error.note(format!("the digits are {}", listing(known.iter().copied())));
        error.suggest(nearest(name, known));
    }
}
