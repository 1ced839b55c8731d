//! The rules on digits and bounds that every reading of a number keeps, piece by piece.

use std::collections::BTreeSet;

use crate::diagnostic::{Diagnostic, Sink, Span};
use crate::grid::Values;
use crate::model::{Digit, Number};
use crate::nearest::listing;
use crate::raw;
use crate::reading::{Part, Reading, stretches};

use super::digits::Scope;
use super::place;
use super::stores::{Shape, Stores};

/// A base-3 digit lies in a byte of this many bits, which holds this many digits.
const TRIT_BITS: u32 = 8;
pub(crate) const TRITS: i64 = 5;

/// Checks the readings of one number against the digits of each scope; the first scope with errors is enough.
pub(crate) fn check(raw: &raw::Number, number: &Number, stores: &Stores, scopes: &[Scope], sink: &mut Sink) {
    let before = sink.count();
    let readings = stores.storage.readings(number);
    for scope in scopes {
        if let Some(levels) = &raw.levels {
            check_vector(levels.span(), number.width(), scope, sink);
        }
        if sink.count() > before {
            return;
        }
        for (reading, places) in readings.iter().zip(raw.stored.places()) {
            check_inside_vector(number, reading, &places, scope, sink);
            check_order(&raw.what, reading, &places, scope, sink);
            check_bounds(reading, &places, stores, scope, sink);
        }
        if sink.count() > before {
            return;
        }
    }
}

/// A vector covers whole digits.
fn check_vector(span: Span, width: usize, scope: &Scope, sink: &mut Sink) {
    let whole = width == 1 || scope.end - scope.start == width || scope.columns.iter().any(|digit| digit.stride == width);
    if !whole || !scope.start.is_multiple_of(width) {
        sink.error(span, format!("vectors of {width} do not cover whole digits")).label(format!("no digit has stride {width}"));
    }
}

/// The weights of one vector share its code.
fn check_inside_vector(number: &Number, reading: &Reading<'_>, places: &raw::Spot, scope: &Scope, sink: &mut Sink) {
    let width = number.width();
    let used = reading.digits();
    for digit in scope.columns.iter().filter(|digit| digit.stride < width && used.contains(digit.name.as_str())) {
        sink.error(places.whole, format!("digit `{}` selects inside a vector of {width}", digit.name))
            .label("one code gives the whole vector");
    }
}

/// A reading that uses a digit uses all slower ones, so that a number is constant on whole runs.
fn check_order(what: &str, reading: &Reading<'_>, places: &raw::Spot, scope: &Scope, sink: &mut Sink) {
    let used = reading.digits();
    for chain in scope.chains() {
        let is_used = |digit: &Digit| used.contains(digit.name.as_str());
        let Some(fastest) = chain.iter().rposition(is_used) else { continue };
        let left_out: Vec<&str> =
            chain[..fastest].iter().filter(|digit| !is_used(digit)).map(|digit| digit.name.as_str()).collect();
        if !left_out.is_empty() {
            let fastest = &chain[fastest].name;
            sink.error(places.whole, format!("`{what}` uses digit `{fastest}` but not the slower {}", listing(left_out)))
                .note("whoever uses a digit uses all slower ones, so that a number is constant on whole runs");
        }
    }
}

/// No item outside its field, no bit outside its item.
fn check_bounds(reading: &Reading<'_>, places: &raw::Spot, stores: &Stores, scope: &Scope, sink: &mut Sink) {
    let shape = &stores.shapes[reading.field];
    let Some(lengths) = &shape.lengths else { return };
    let bits = stores.storage.element(reading.field).bits();
    if matches!(reading.part, Part::Trit(_)) && bits != TRIT_BITS {
        sink.error(places.whole, format!("a base-3 digit lies in a byte, and `{}` has {bits} bits", shape.name.value));
        return;
    }
    let holds = match reading.part {
        Part::Trit(_) => format!("a byte has base-3 digits 0 to {}", TRITS - 1),
        _ => format!("an item has bits 0 to {}", bits - 1),
    };
    for values in Values::all(scope.sizes(&reading.digits())) {
        if let Err((axis, at)) = place::item(reading, &values, 0, lengths) {
            return outside_field(shape, lengths[axis], at, &values, places.item, sink);
        }
        if let Some(fault) = outside_stream(reading, bits, lengths, &values) {
            let error = sink.error(places.bit, format!("{fault} outside the stream of `{}`", shape.name.value));
            error.label("counted from the item that the place names");
            explain(&values, error);
            return;
        }
        if let Some(fault) = outside_item(reading, bits, &values) {
            let error = sink.error(places.bit, format!("{fault} outside an item of `{}`", shape.name.value));
            error.label(holds);
            explain(&values, error);
            if matches!(reading.part, Part::Bits { bit, .. } if values.of(bit) >= 0) {
                error.help("items that continue each other bit by bit are a `stream`");
            }
            return;
        }
    }
}

fn outside_field(shape: &Shape, length: usize, at: i64, values: &Values<'_>, span: Span, sink: &mut Sink) {
    let name = &shape.name.value;
    let holds = match length {
        1 => "holds one item, item 0".to_owned(),
        _ => format!("holds items 0 to {}", length - 1),
    };
    let error = sink.error(span, format!("item {at} is outside `{name}`"));
    error.label(format!("`{name}` {holds}"));
    explain(values, error);
}

fn explain(values: &Values<'_>, error: &mut Diagnostic) {
    let values = values.to_string();
    if !values.is_empty() {
        error.note(format!("at {values}"));
    }
}

/// The bits that a reading takes beyond the stream in which its item lies, if any.
fn outside_stream(reading: &Reading<'_>, width: u32, lengths: &[usize], values: &Values<'_>) -> Option<String> {
    let (Part::Bits { bit, bits }, Some(_)) = (reading.part, reading.stream) else { return None };
    let low = values.of(bit);
    let outside = |low| stretches(low, bits, width).any(|stretch| place::item(reading, values, stretch.step, lengths).is_err());
    usize::try_from(low).map_or(true, outside).then(|| run_of(low, bits))
}

/// Bits as the subject of a sentence.
fn run_of(low: i64, bits: u32) -> String {
    let high = low + i64::from(bits) - 1;
    if low == high { format!("bit {low} is") } else { format!("bits {low} to {high} are") }
}

/// What a reading takes beyond its item, if anything.
fn outside_item(reading: &Reading<'_>, width: u32, values: &Values<'_>) -> Option<String> {
    match reading.part {
        Part::Whole => None,
        Part::Bits { .. } if reading.stream.is_some() => None,
        Part::Bits { bit, bits } => {
            let low = values.of(bit);
            (low < 0 || low + i64::from(bits) > i64::from(width)).then(|| run_of(low, bits))
        }
        Part::Trit(trit) => {
            let trit = values.of(trit);
            (!(0..TRITS).contains(&trit)).then(|| format!("base-3 digit {trit} is"))
        }
    }
}

/// Every digit tells codes apart, unless a vector spans it.
pub(crate) fn check_code(raw: &raw::Number, number: &Number, stores: &Stores, scope: &Scope, sink: &mut Sink) {
    let readings = stores.storage.readings(number);
    let used: BTreeSet<&str> = readings.iter().flat_map(Reading::digits).collect();
    for (digit, size) in scope.digits().filter(|(digit, _)| !used.contains(digit.name.as_str())) {
        let spanned = scope.columns.contains(digit) && digit.stride * size <= number.width();
        if !spanned {
            sink.error(raw.stored.span(), format!("no plane of the code uses digit `{}`", digit.name))
                .label(format!("all weights along `{}` would share one code", digit.name));
        }
    }
}
