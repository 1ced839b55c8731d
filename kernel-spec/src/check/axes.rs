//! Axes of separate tensors: how far each reaches, and that it goes on beyond what is tried out as it began.

use crate::diagnostic::{Sink, Span};
use crate::grid::Values;
use crate::model::{Digit, Map};
use crate::raw;

use super::digits::{Scope, WINDOW};
use super::place;

/// Most items of a tensor over the window in which maps are tried out.
const MAX_ITEMS: usize = 1 << 18;

/// The maps of all axes, if their digits exist.
pub(crate) fn resolve(axes: &[raw::Map], scope: &Scope, sink: &mut Sink) -> Option<Vec<Map>> {
    let maps: Vec<_> = axes.iter().map(|map| place::resolve(map, std::slice::from_ref(scope), sink)).collect();
    let mut maps: Vec<Map> = maps.into_iter().collect::<Option<_>>()?;
    for chain in scope.chains() {
        repeat(&mut maps, chain);
    }
    Some(maps)
}

/// Lets the one axis that uses digits of a chain, but not the slowest, go on for its next value where it ends for this one.
fn repeat(maps: &mut [Map], chain: &[Digit]) -> Option<()> {
    let (slowest, others) = chain.split_first()?;
    let uses = |map: &Map| chain.iter().any(|digit| map.strides.contains_key(&digit.name));
    let mut axes = maps.iter_mut().filter(|map| uses(map));
    let (Some(axis), None) = (axes.next(), axes.next()) else { return None };
    // Of the digits that it uses the slowest tells how many items there are for so many positions.
    let digit = others.iter().find(|digit| axis.strides.contains_key(&digit.name))?;
    if axis.strides.contains_key(&slowest.name) {
        return None;
    }
    let stride = axis.strides[&digit.name].checked_mul((slowest.stride / digit.stride) as i64)?;
    axis.strides.insert(slowest.name.clone(), stride);
    Some(())
}

/// The length of each axis over the window in which maps are tried out; `None` if the card is wrong about one.
pub(crate) fn lengths(raw: &raw::Tensor, axes: &[Map], scope: &Scope, sink: &mut Sink) -> Option<Vec<usize>> {
    let written = raw.axes.as_ref()?;
    check_stream(raw, axes, scope, sink)?;
    let mut lengths = Vec::new();
    for (axis, written) in axes.iter().zip(&written.value) {
        lengths.push(length(axis, scope, written.span, sink)?);
    }
    let items = lengths.iter().try_fold(1usize, |items, length| items.checked_mul(*length));
    if items.is_none_or(|items| items > MAX_ITEMS) {
        sink.error(written.span, "the strides of these axes are too far apart");
        return None;
    }
    Some(lengths)
}

/// The digits without bound that an axis uses.
fn unbounded<'s>(axis: &Map, scope: &'s Scope) -> Vec<&'s Digit> {
    let digits = scope.digits().map(|(digit, _)| digit);
    digits.filter(|digit| digit.size == 0 && axis.strides.contains_key(&digit.name)).collect()
}

/// A stream needs an axis whose end is known without looking at who reads it.
fn check_stream(raw: &raw::Tensor, axes: &[Map], scope: &Scope, sink: &mut Sink) -> Option<()> {
    let Some(stream) = &raw.stream else { return Some(()) };
    let Some(axis) = axes.get(stream.value) else {
        let count = match axes.len() {
            0 => "no axes".to_owned(),
            1 => "one axis, axis 0".to_owned(),
            count => format!("axes 0 to {}", count - 1),
        };
        sink.error(stream.span, format!("`{}` has no axis {}", raw.name.value, stream.value)).label(format!("has {count}"));
        return None;
    };
    if unbounded(axis, scope).is_empty() {
        let slowest: Vec<String> =
            scope.chains().iter().filter_map(|chain| Some(format!("`{}`", chain.first()?.name))).collect();
        sink.error(stream.span, format!("the stream of `{}` goes along an axis that never repeats", raw.name.value))
            .help(format!("a stream goes along an axis that uses {}", slowest.join(" or ")));
        return None;
    }
    Some(())
}

/// The length of an axis. The slowest digit of rows or columns has no bound: all that an axis has for one of its values lies
/// before what it has for the next.
fn length(axis: &Map, scope: &Scope, span: Span, sink: &mut Sink) -> Option<usize> {
    let unbounded = unbounded(axis, scope);
    if let [one, other, ..] = unbounded[..] {
        sink.error(span, format!("one axis cannot hold both `{}` and `{}`", one.name, other.name))
            .label("neither digit has a bound, so that their items would meet");
        return None;
    }
    let repeat = unbounded.first().map(|digit| (digit, axis.strides[&digit.name]));
    let within = axis.digits().filter(|name| repeat.is_none_or(|(digit, _)| digit.name != *name)).collect();
    let reach = Values::all(scope.sizes(&within)).map(|values| values.of(axis));
    let (low, high) = reach.fold((i64::MAX, i64::MIN), |(low, high), at| (low.min(at), high.max(at)));
    let (low, high) = (low.min(repeat.map_or(low, |(_, stride)| stride * (WINDOW as i64 - 1) + low)), high);
    if low < 0 {
        sink.error(span, format!("an axis reaches down to {low}"));
        return None;
    }
    match repeat {
        Some((digit, stride)) if high >= stride => {
            let name = &digit.name;
            sink.error(
                span,
                format!("an axis has items 0 to {high} for one `{name}`, but the next `{name}` begins at {stride}"),
            )
            .label(format!("`{name}` has no bound, and must be the slowest digit of the axis"));
            None
        }
        Some((_, stride)) => usize::try_from(stride).ok()?.checked_mul(WINDOW),
        None => usize::try_from(high + 1).ok(),
    }
}
