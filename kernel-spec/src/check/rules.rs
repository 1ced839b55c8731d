//! The rules on digits and bounds that every reading of a number keeps, piece by piece.

use std::collections::BTreeSet;

use crate::diagnostic::{Diagnostic, Sink, Span};
use crate::grid::Values;
use crate::model::{Digit, Number};
use crate::nearest::listing;
use crate::raw;
use crate::reading::{Part, Reading};

use super::digits::{Scope, WINDOW};
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
            if check_ends(reading, &places, scope, sink) {
                check_bounds(reading, &places, stores, scope, sink);
            }
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

/// What selects bits ends, as an item does; whether it does.
fn check_ends(reading: &Reading<'_>, places: &raw::Spot, scope: &Scope, sink: &mut Sink) -> bool {
    let (Part::Bits { bit: map, .. } | Part::Trit(map)) = reading.part else { return true };
    let endless = scope.digits().find(|(digit, _)| digit.size == 0 && map.strides.contains_key(&digit.name));
    if let Some((digit, _)) = endless {
        let name = &digit.name;
        sink.error(places.bit, format!("digit `{name}` selects bits of an item, and has no bound"))
            .help(format!("what shares an item has a faster digit of its own: `{{ {name} = 4, lane = 1 }}`, say"));
    }
    endless.is_none()
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
    for values in Values::all(scope.sizes(&reading.digits())) {
        if let Err((axis, at)) = place::item(reading, &values, 0, lengths) {
            return outside_field(shape, lengths[axis], at, &values, places.item, sink);
        }
        let fault = match reading.stream {
            Some(axis) => outside_stream(reading, stream_bits(reading, axis, stores, &values), &values),
            None => outside_item(reading, bits, &values),
        };
        if let Some((what, holds)) = fault {
            let error = sink.error(places.bit, format!("{what} of `{}`", shape.name.value));
            error.label(holds);
            explain(&values, error);
            if lengths.iter().product::<usize>() > 1 && straddles(reading, bits, &values) {
                error.help("items that continue each other bit by bit are a `stream`");
            }
            return;
        }
    }
}

/// Whether a run of bits begins in an item of `width` bits that is no part of a stream, and goes on past its end.
fn straddles(reading: &Reading<'_>, width: u32, values: &Values<'_>) -> bool {
    let Part::Bits { bit, bits } = reading.part else { return false };
    let (low, width) = (values.of(bit), i64::from(width));
    reading.stream.is_none() && (0..width).contains(&low) && low + i64::from(bits) > width
}

/// Bits from the start of the item that a reading picks to the end of its stream; of separate tensors, to where the items of the
/// next value of the digit without bound begin.
fn stream_bits(reading: &Reading<'_>, axis: usize, stores: &Stores, values: &Values<'_>) -> i64 {
    let lengths = stores.shapes[reading.field].lengths.as_deref().unwrap_or_default();
    let repeat = if stores.in_blocks() { lengths[axis] } else { lengths[axis] / WINDOW } as i64;
    let items = repeat - values.of(&reading.axes[axis]) % repeat;
    items * i64::from(stores.storage.element(reading.field).bits())
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

/// What a reading takes beyond the `length` bits of its stream, and what there is; `None` if all is inside.
fn outside_stream(reading: &Reading<'_>, length: i64, values: &Values<'_>) -> Option<(String, String)> {
    let Part::Bits { bit, bits } = reading.part else { return outside_item(reading, TRIT_BITS, values) };
    let run = outside(values.of(bit), bits, length)?;
    Some((format!("{run} outside the stream"), format!("from the item that the place names it has bits 0 to {}", length - 1)))
}

/// What a reading takes beyond its item of `width` bits, and what there is; `None` if all is inside.
fn outside_item(reading: &Reading<'_>, width: u32, values: &Values<'_>) -> Option<(String, String)> {
    match reading.part {
        Part::Whole => None,
        Part::Bits { bit, bits } => {
            let run = outside(values.of(bit), bits, i64::from(width))?;
            Some((format!("{run} outside an item"), format!("an item has bits 0 to {}", width - 1)))
        }
        Part::Trit(trit) => {
            let trit = values.of(trit);
            let holds = format!("a byte has base-3 digits 0 to {}", TRITS - 1);
            (!(0..TRITS).contains(&trit)).then(|| (format!("base-3 digit {trit} is outside an item"), holds))
        }
    }
}

/// A run of bits as the subject of a sentence, if it is not within the first `length`.
fn outside(low: i64, bits: u32, length: i64) -> Option<String> {
    let high = low + i64::from(bits) - 1;
    let run = if low == high { format!("bit {low} is") } else { format!("bits {low} to {high} are") };
    (low < 0 || high >= length).then_some(run)
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
