//! The values of a number: one level per code, a type that fits, exact in f32.

use std::cmp::Ordering;

use crate::diagnostic::Sink;
use crate::facts::stored_element;
use crate::model::{Element, Number, Storage, Stored};
use crate::raw;
use crate::walk::short;

/// Widest items whose values are tried one by one.
const TRIED_BITS: u32 = 16;

/// An f32 holds every integer up to this.
const MAX_INTEGER: f64 = 16_777_216.0;

/// Checks `as`, the number of levels, and that the own value of every code is exact in f32.
pub(crate) fn check(raw: &raw::Number, number: &Number, storage: &Storage, sink: &mut Sink) {
    let before = sink.count();
    check_width(raw, number, sink);
    check_element(raw, number, sink);
    check_levels(raw, number, storage, sink);
    if sink.count() == before {
        check_exact(raw, number, storage, sink);
    }
}

fn check_width(raw: &raw::Number, number: &Number, sink: &mut Sink) {
    let joined = matches!(number.stored, Stored::Planes { .. });
    if joined && number.codes().is_none_or(|codes| codes > 1 << raw::MAX_BITS) {
        sink.error(raw.span, format!("the planes of `{}` make more than {} bits", raw.what, raw::MAX_BITS));
    }
}

fn check_element(raw: &raw::Number, number: &Number, sink: &mut Sink) {
    let Some(kind) = &raw.element else { return };
    let element = kind.value.element;
    match number.codes() {
        None => {
            sink.error(kind.span, "`as` goes with `planes`").label("a whole item is read as its own type");
        }
        Some(codes) if codes != 1 << element.bits() => {
            sink.error(kind.span, format!("the planes do not make an {element}")).label(format!(
                "has {} bits; the planes make {}",
                element.bits(),
                bits(codes)
            ));
        }
        Some(_) => {}
    }
}

/// A count of codes in bits, as far as it has a name.
fn bits(codes: u64) -> String {
    if codes.is_power_of_two() { codes.ilog2().to_string() } else { format!("{codes} codes") }
}

fn check_levels(raw: &raw::Number, number: &Number, storage: &Storage, sink: &mut Sink) {
    let (Some(written), Some(levels)) = (&raw.levels, &number.levels) else { return };
    let codes = match stored_element(storage, number) {
        None => number.codes().unwrap_or(0),
        Some(Element::Unsigned(bits)) => 1 << bits,
        Some(element) => {
            sink.error(written.span(), "levels are for unsigned codes").label(format!("the code is an {element}"));
            return;
        }
    };
    let count = levels.values.len() / levels.width;
    let remedy = match (count as u64).cmp(&codes) {
        Ordering::Equal => return,
        Ordering::Less => "some codes have no level",
        Ordering::Greater => "some levels have no code",
    };
    let error = sink.error(written.span(), format!("{count} levels for {codes} codes"));
    error.label(remedy).also(raw.stored.span(), format!("makes {} bits", bits(codes)));
}

fn check_exact(raw: &raw::Number, number: &Number, storage: &Storage, sink: &mut Sink) {
    let (step, offset) = (number.step.unwrap_or(1.0), number.offset.unwrap_or(0.0));
    let plain = number.step.is_none() && number.offset.is_none();
    let fault = match (&number.levels, stored_element(storage, number)) {
        (Some(levels), _) => inexact(levels.values.iter().map(|&level| f64::from(level)), step, offset),
        (None, Some(element)) if !element.is_integer() && plain => None,
        (None, Some(Element::F32)) if step.abs() == 1.0 && number.offset.is_none() => None,
        (None, Some(element)) if element.bits() <= TRIED_BITS => {
            inexact((0..1 << element.bits()).map(|bits| element.value(bits)), step, offset)
        }
        (None, None) if number.codes().is_some_and(|codes| codes <= 1 << TRIED_BITS) => {
            inexact((0..number.codes().unwrap_or(0)).map(|code| code as f64), step, offset)
        }
        (None, Some(Element::F32)) => Some("an f32 has no bits to spare for `step` and `offset`".to_owned()),
        (None, element) => wide(element, number.codes().unwrap_or(0), step, offset),
    };
    if let Some(fault) = fault {
        let span = raw.step.as_ref().or(raw.offset.as_ref()).map_or(raw.span, |at| at.span);
        sink.error(span, format!("the value of `{}` is not exact in f32", raw.what)).label(fault);
    }
}

/// The first finite level whose value is not exact in f32.
fn inexact(levels: impl Iterator<Item = f64>, step: f64, offset: f64) -> Option<String> {
    let exact = |level: f64| {
        let scaled = step * level;
        let value = scaled + offset;
        // What the addition rounded off; the product of two f32 is exact in f64.
        let shifted = value - scaled;
        let lost = (scaled - (value - shifted)) + (offset - shifted);
        lost == 0.0 && f64::from(value as f32) == value
    };
    let wrong = levels.filter(|level| level.is_finite()).find(|&level| !exact(level))?;
    Some(format!("{} * {} + {} is not", short(step), short(wrong), short(offset)))
}

/// Integers too many to try: all are exact if they are at most 2^24 times a power of two that divides step and offset.
fn wide(element: Option<Element>, codes: u64, step: f64, offset: f64) -> Option<String> {
    let (low, high) = match element {
        Some(element @ Element::Signed(_)) => {
            let half = (1u64 << (element.bits() - 1)) as f64;
            (-half, half - 1.0)
        }
        Some(element) => (0.0, (1u64 << element.bits()) as f64 - 1.0),
        None => (0.0, codes as f64 - 1.0),
    };
    let unit = lowest_bit(step).min(lowest_bit(offset));
    let largest = (step * low + offset).abs().max((step * high + offset).abs());
    (largest / unit > MAX_INTEGER).then(|| format!("reaches {}, and f32 holds integers up to {MAX_INTEGER}", short(largest)))
}

/// The largest power of two that divides the f32 `value`; infinity for 0, which every power divides.
fn lowest_bit(value: f64) -> f64 {
    if value == 0.0 {
        return f64::INFINITY;
    }
    let mut unit = 1.0;
    while (value / unit).fract() != 0.0 {
        unit /= 2.0;
    }
    while (value / (2.0 * unit)).fract() == 0.0 {
        unit *= 2.0;
    }
    unit
}
