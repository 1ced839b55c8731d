//! Integer sums of the numerics class `int8` cannot overflow. `docs/numerics.md` defines the class.

use quantloom_abi::WIDE_SPAN;

use crate::diagnostic::Sink;
use crate::facts::{MAX_LEVEL, in_common_unit, stored_element};
use crate::model::{Format, Number};
use crate::raw::{self, Card};
use crate::summary::MAX_ACTIVATION;
use crate::walk::short;

/// Most levels of the class.
const MAX_LEVELS: usize = 256;

// Integers of 16 bits keep within 32 bits both the dot of a step and the sum of a span's mins.
const _: () = assert!(MAX_LEVEL as u64 * MAX_ACTIVATION * (WIDE_SPAN as u64) < 1 << 31);

/// Checks the mins of a format whose levels the class takes: integers under a root are multiplied with sums of activations.
pub(crate) fn check(card: &Card, format: &Format, sink: &mut Sink) {
    let small = format.integer_levels().is_some_and(|levels| levels.values.len() <= MAX_LEVELS);
    let (Some(raw), Some(min), true) = (&card.min, &format.min, small) else { return };
    if min.outer.is_some() {
        check_min(raw, min, format, sink);
    }
}

fn check_min(raw: &raw::Number, min: &Number, format: &Format, sink: &mut Sink) {
    let reach = match format.own_values(min) {
        Some(values) if in_common_unit(&values).is_some() => return,
        Some(values) => format!("they reach {}", short(largest_integer(&values))),
        None if stored_element(&format.storage, min).is_some_and(|element| !element.is_integer()) => return,
        None => "they have more than 16 bits".to_owned(),
    };
    let written = raw.step.as_ref().or(raw.offset.as_ref()).map_or(raw.stored.span(), |at| at.span);
    sink.error(written, "the integers of `min` can overflow the sums of class `int8`")
        .label(reach)
        .note(format!("{WIDE_SPAN} of them times {MAX_ACTIVATION} are summed in 32 bits; each must be at most {MAX_LEVEL}"));
}

/// The largest magnitude of values in the largest power of two, at most 1, in which they all are integers.
fn largest_integer(values: &[f64]) -> f64 {
    let mut scaled = values.to_vec();
    while scaled.iter().any(|value| value.fract() != 0.0) {
        scaled.iter_mut().for_each(|value| *value *= 2.0);
    }
    scaled.iter().fold(0.0, |largest, value| value.abs().max(largest))
}
