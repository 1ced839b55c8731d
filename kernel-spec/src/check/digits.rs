//! Pieces of a block and the digits of their positions.

use std::collections::BTreeSet;

use crate::diagnostic::{Sink, Span};
use crate::model::Digit;
use crate::raw::{Card, Map, Storage, Term};
use crate::walk::At;

/// What an unbounded digit (the slowest one of separate tensors) runs up to while maps are tried out.
pub(crate) const WINDOW: usize = 3;

/// The digits that numbers may use in one piece.
#[derive(Debug)]
pub(crate) struct Scope {
    pub start: usize,
    pub end: usize,
    /// Digits of the position along k, slowest first.
    pub columns: Vec<Digit>,
    /// Digits of the row; none in a block.
    pub rows: Vec<Digit>,
}

impl Scope {
    /// The digits in `used`, each with the number of values to try.
    pub(crate) fn sizes(&self, used: &BTreeSet<&str>) -> Vec<(&str, usize)> {
        let used = self.digits().filter(|(digit, _)| used.contains(digit.name.as_str()));
        used.map(|(digit, size)| (digit.name.as_str(), size)).collect()
    }

    /// All digits, each with the number of values to try.
    pub(crate) fn digits(&self) -> impl Iterator<Item = (&Digit, usize)> {
        let tried = |digit: &Digit| if digit.size == 0 { WINDOW } else { digit.size };
        self.rows.iter().chain(&self.columns).map(move |digit| (digit, tried(digit)))
    }

    /// The two chains of digits: a number that uses a digit uses all slower ones of its chain.
    pub(crate) const fn chains(&self) -> [&Vec<Digit>; 2] {
        [&self.rows, &self.columns]
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.digits().any(|(digit, _)| digit.name == name)
    }
}

/// The scope of each piece; `None` if the card's indices are wrong.
pub(crate) fn scopes(card: &Card, sink: &mut Sink) -> Option<Vec<Scope>> {
    match card.storage.as_ref()? {
        Storage::Blocks { weights, .. } => block_scopes(card, weights.as_ref()?, sink),
        Storage::Tensors { rows, .. } => tensor_scope(card, rows.as_ref(), sink).map(|scope| vec![scope]),
    }
}

fn block_scopes(card: &Card, weights: &At<usize>, sink: &mut Sink) -> Option<Vec<Scope>> {
    let (written, weights) = (weights.span, weights.value);
    let indices = indices(card, sink)?;
    let starts = starts(&indices, weights, sink)?;
    let mut scopes = Vec::new();
    for (i, index) in indices.iter().enumerate() {
        let (start, end) = (starts[i], starts.get(i + 1).copied().unwrap_or(weights));
        let columns = match index {
            Some(index) => digits(index, Some(end - start), card.of_family, sink),
            None if weights == 1 => Some(Vec::new()),
            None if !card.sound => None,
            None => {
                let error = sink.error(written, format!("a block of {weights} weights needs an `index`"));
                error.help("name the digits of a position with their strides, such as `index = { lane = 1 }`");
                None
            }
        };
        scopes.push(columns.map(|columns| Scope { start, end, columns, rows: Vec::new() }));
    }
    scopes.into_iter().collect()
}

/// The index of each piece: its own if there are several, else its own or the card's.
fn indices<'c>(card: &'c Card, sink: &mut Sink) -> Option<Vec<Option<&'c Map>>> {
    let before = sink.count();
    if card.pieces.is_empty() {
        return None;
    }
    if let [piece] = card.pieces.as_slice() {
        if let (Some(own), Some(index)) = (&piece.index, &card.index) {
            sink.error(own.span, "the only piece has an index of its own").also(index.span, "nothing uses the card's");
        }
        return (sink.count() == before).then(|| vec![piece.index.as_ref().or(card.index.as_ref())]);
    }
    if let Some(index) = &card.index {
        sink.error(index.span, "nothing uses this index").note("each of several pieces has an index of its own");
    }
    for piece in card.pieces.iter().filter(|piece| !piece.has_index) {
        sink.error(piece.span, "one of several pieces needs an `index` of its own");
    }
    (sink.count() == before).then(|| card.pieces.iter().map(|piece| piece.index.as_ref()).collect())
}

/// Where the pieces start: at 0, and upwards.
fn starts(indices: &[Option<&Map>], weights: usize, sink: &mut Sink) -> Option<Vec<usize>> {
    let mut starts: Vec<usize> = Vec::new();
    for (i, index) in indices.iter().enumerate() {
        let given = index.and_then(|index| index.at.as_ref());
        let start = given.map_or(Some(0), |at| usize::try_from(at.value).ok());
        let fits = match (start, starts.last()) {
            (Some(start), None) => start == 0,
            (Some(start), Some(last)) => start > *last && start < weights,
            (None, _) => false,
        };
        if !fits {
            let span = given.map(|at| at.span).or(index.map(|index| index.span)).unwrap_or_default();
            let wanted = match starts.last() {
                None => "the first piece starts at 0".to_owned(),
                Some(last) => format!("must be over {last}, the start of the piece before, and under {weights}"),
            };
            sink.error(span, format!("piece {} cannot start here", i + 1)).label(wanted);
            return None;
        }
        starts.extend(start);
    }
    Some(starts)
}

/// The digits of rows and columns of separate tensors.
fn tensor_scope(card: &Card, rows: Option<&Map>, sink: &mut Sink) -> Option<Scope> {
    if let [_, second, ..] = card.pieces.as_slice() {
        sink.error(second.span, "a card with `tensors` has one piece");
    }
    let index = card.pieces.first().and_then(|piece| piece.index.as_ref()).or(card.index.as_ref());
    if index.is_none() && card.sound {
        sink.error(Span::default(), "a card with `tensors` needs an `index`");
    }
    if let Some(at) = [index, rows].into_iter().flatten().find_map(|map| map.at.as_ref()) {
        sink.error(at.span, "positions in separate tensors start at 0");
    }
    let rows = rows.and_then(|rows| digits(rows, None, card.of_family, sink));
    let columns = index.and_then(|index| digits(index, None, card.of_family, sink));
    let (index, rows, columns) = (index?, rows?, columns?);
    if let Some(twice) = columns.iter().find(|digit| rows.iter().any(|row| row.name == digit.name)) {
        sink.error(index.span, format!("`{}` is a digit of the row as well", twice.name));
        return None;
    }
    let end = columns.first().map_or(1, |digit| digit.stride);
    Some(Scope { start: 0, end, columns, rows })
}

/// The digits of positions 0 to `length`, slowest first. Without a length the slowest digit has no bound: size 0. Some member of a
/// family may have no use for a digit.
fn digits(index: &Map, length: Option<usize>, of_family: bool, sink: &mut Sink) -> Option<Vec<Digit>> {
    let mut terms: Vec<&Term> = index.terms.iter().collect();
    terms.sort_by_key(|term| std::cmp::Reverse(term.stride.value));
    let mut digits: Vec<Digit> = Vec::new();
    for term in terms {
        let above = digits.last().map_or(length, |slower| Some(slower.stride));
        let size = size(term, above, digits.last(), of_family, sink)?;
        let stride = usize::try_from(term.stride.value).ok()?;
        digits.push(Digit { name: term.digit.value.clone(), stride, size });
    }
    let fastest = digits.last().map_or(length, |digit| Some(digit.stride));
    if fastest != Some(1) {
        let error = sink.error(index.span, "no digit has stride 1");
        error.label("neighbouring weights cannot be told apart");
        return None;
    }
    Some(digits)
}

/// How many values a digit takes below a slower one, or below the end of the piece.
fn size(term: &Term, above: Option<usize>, slower: Option<&Digit>, of_family: bool, sink: &mut Sink) -> Option<usize> {
    let name = &term.digit.value;
    let Some(stride) = usize::try_from(term.stride.value).ok().filter(|stride| *stride > 0) else {
        sink.error(term.stride.span, format!("the stride of digit `{name}` must be positive"));
        return None;
    };
    let Some(above) = above else {
        return Some(0);
    };
    let whose = slower.map_or("the length of the piece".to_owned(), |slower| format!("the stride of `{}`", slower.name));
    if above % stride != 0 {
        sink.error(term.stride.span, format!("the stride of digit `{name}` does not divide {above}"))
            .label(format!("must divide {whose}"));
        return None;
    }
    if above == stride && !of_family {
        sink.error(term.stride.span, format!("digit `{name}` is always 0")).label(format!("{stride} is {whose} as well"));
        return None;
    }
    Some(above / stride)
}
