//! Maps, numbers and ranges as people write them.

use std::ops::Range;

use crate::model::{Digit, Format, Map, Number, Run, Storage, Stored};

/// One of a format's numbers with what to call it.
pub(super) struct Part<'f> {
    /// `code`, `scale` and so on.
    pub root: &'static str,
    /// How many supers up from there.
    pub depth: usize,
    pub number: &'f Number,
    /// The pieces in which it is read.
    pub pieces: Range<usize>,
}

impl Part<'_> {
    /// `scale`, or `super of scale`.
    pub(super) fn name(&self) -> String {
        format!("{}{}", "super of ".repeat(self.depth), self.root)
    }
}

/// All numbers of a format, supers included.
pub(super) fn parts(format: &Format) -> Vec<Part<'_>> {
    let codes = format.pieces.iter().enumerate().map(|(i, piece)| ("code", &piece.code, i..i + 1));
    let others = [("zero", &format.zero), ("sign", &format.sign), ("scale", &format.scale), ("min", &format.min)];
    let others = others.into_iter().filter_map(|(root, number)| Some((root, number.as_ref()?, 0..format.pieces.len())));
    let roots = codes.chain(others);
    with_supers(roots)
}

/// All that reads bits: the numbers, and what says that some mean nothing.
pub(super) fn readers(format: &Format) -> Vec<Part<'_>> {
    let reserved = format.reserved.iter().map(|number| ("reserved", number, 0..format.pieces.len()));
    let mut readers = parts(format);
    readers.extend(with_supers(reserved));
    readers
}

fn with_supers<'f>(roots: impl Iterator<Item = (&'static str, &'f Number, Range<usize>)>) -> Vec<Part<'f>> {
    roots
        .flat_map(|(root, number, pieces)| {
            number.chain().enumerate().map(move |(depth, number)| Part { root, depth, number, pieces: pieces.clone() })
        })
        .collect()
}

/// `64 hi + 32 pair + lane`.
pub(super) fn digits(digits: &[Digit]) -> String {
    let terms: Vec<String> = digits.iter().map(|digit| term(digit.stride as i64, &digit.name)).collect();
    terms.join(" + ")
}

/// `4 + 64 hi - 32 pair`.
pub(super) fn map(map: &Map) -> String {
    let mut terms: Vec<(&str, i64)> = map.strides.iter().map(|(name, stride)| (name.as_str(), *stride)).collect();
    terms.sort_by_key(|(_, stride)| std::cmp::Reverse(*stride));
    let mut text = if map.at == 0 && !terms.is_empty() { String::new() } else { map.at.to_string() };
    for (name, stride) in terms {
        match (text.is_empty(), stride < 0) {
            (true, _) => text = term(stride, name),
            (false, true) => text = format!("{text} - {}", term(-stride, name)),
            (false, false) => text = format!("{text} + {}", term(stride, name)),
        }
    }
    text
}

/// `[4 + 64 hi][lane]`: an item by its index along each axis.
pub(super) fn place(axes: &[Map]) -> String {
    axes.iter().map(|axis| format!("[{}]", map(axis))).collect()
}

fn term(stride: i64, name: &str) -> String {
    if stride == 1 { name.to_owned() } else { format!("{stride} {name}") }
}

/// How the parts of a weight make its value.
pub(super) fn value(format: &Format) -> String {
    let mut text = "code".to_owned();
    if format.zero.is_some() {
        text = format!("({text} - zero)");
    }
    if format.sign.is_some() {
        text = format!("({text} * sign)");
    }
    if format.scale.is_some() {
        text = format!("scale * {text}");
    }
    if format.min.is_some() {
        text = format!("{text} + min");
    }
    text
}

/// What a number is made of, such as `d * (2 * u3 + 1)`.
pub(super) fn formula(format: &Format, number: &Number) -> String {
    let mut text = stored(format, number);
    if let Some(levels) = &number.levels {
        text = format!("{}[{text}]", levels.table.as_deref().unwrap_or("levels"));
    }
    if let Some(step) = number.step {
        text = format!("{step} * {text}");
    }
    match number.offset {
        Some(offset) if offset < 0.0 => text = format!("{text} - {}", -offset),
        Some(offset) => text = format!("{text} + {offset}"),
        None => {}
    }
    match &number.outer {
        None => text,
        Some(outer) if text.contains(' ') => format!("{} * ({text})", formula(format, outer)),
        Some(outer) => format!("{} * {text}", formula(format, outer)),
    }
}

/// A field by its name, joined planes by their type.
fn stored(format: &Format, number: &Number) -> String {
    match &number.stored {
        Stored::Item { field, .. } => field_name(format, *field).to_owned(),
        Stored::Planes { element: Some(element), .. } => element.to_string(),
        Stored::Planes { planes, .. } => {
            let bits = planes.iter().try_fold(0, |bits, plane| match plane.run {
                Run::Bits { bits: more, .. } => Some(bits + more),
                Run::Trit(_) => None,
            });
            bits.map_or_else(|| "trit".to_owned(), |bits| format!("u{bits}"))
        }
    }
}

fn field_name(format: &Format, field: usize) -> &str {
    match &format.storage {
        Storage::Blocks(blocks) => &blocks.fields[field].name,
        Storage::Tensors(tensors) => &tensors.tensors[field].name,
    }
}

/// `4-15`, or `4`.
pub(super) fn span(first: usize, last: usize) -> String {
    if first == last { first.to_string() } else { format!("{first}-{last}") }
}

/// `items 0-3, 8-11`, or `items 0, 2 to 14`; of several axes, only how many there are.
pub(super) fn items(items: &[Vec<i64>]) -> String {
    let flat: Option<Vec<usize>> = items.iter().map(|index| usize::try_from(*index.first()?).ok()).collect();
    match flat {
        Some(flat) if items.iter().all(|index| index.len() == 1) => runs(&flat),
        _ => format!("{} item{}", items.len(), if items.len() == 1 { "" } else { "s" }),
    }
}

fn runs(items: &[usize]) -> String {
    if let [first, second, .., last] = items
        && *second > first + 1
        && items.windows(2).all(|pair| pair[1] - pair[0] == second - first)
    {
        return format!("items {first}, {second} to {last}");
    }
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for &item in items {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == item => *last = item,
            _ => runs.push((item, item)),
        }
    }
    let text: Vec<String> = runs.into_iter().map(|(first, last)| span(first, last)).collect();
    format!("item{} {}", if items.len() == 1 { "" } else { "s" }, text.join(", "))
}
