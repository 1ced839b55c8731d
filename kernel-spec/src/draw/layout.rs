//! Who owns each bit of each item, and which items look alike.

use std::collections::{BTreeMap, BTreeSet};

use crate::grid::Values;
use crate::model::{Digit, Format, Number, Piece, Storage};
use crate::reading::{Part as Taken, Reading, Stretch, stretches};

use super::words::{Part, map, parts, span};

/// Most runs of one plane in an item that are drawn one by one.
const MAX_RUNS: usize = 4;

/// Items of a field whose bits have the same owners.
pub(super) struct Class {
    /// The items by their index along each axis.
    pub items: Vec<Vec<i64>>,
    /// The owners, lowest bit first.
    pub lines: Vec<Line>,
    /// A letter for each bit, highest first.
    pub strip: String,
}

/// An owner of some bits.
pub(super) struct Line {
    pub letter: char,
    pub low: u32,
    pub high: u32,
    /// The number, and the digits that tell its runs apart.
    pub text: String,
    /// The map of its item.
    pub item: String,
}

/// One plane of one number.
struct Owner<'f> {
    reading: Reading<'f>,
    name: String,
}

/// What an owner takes of one item; ordered by place, as the lines of a class are.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Mark {
    low: u32,
    bits: u32,
    owner: usize,
    /// The digits that pick the bits, with their values.
    digits: Vec<(String, i64)>,
}

/// The marks on one item.
type Marks = BTreeSet<Mark>;

/// The marks on all items, by field and by index along each axis.
type Marked = BTreeMap<(usize, Vec<i64>), Marks>;

/// The classes of items of each field or tensor, by first item.
pub(super) fn classes(format: &Format) -> Vec<Vec<Class>> {
    let (owners, marked) = mark_all(format);
    let fields = match &format.storage {
        Storage::Blocks(blocks) => blocks.fields.len(),
        Storage::Tensors(tensors) => tensors.tensors.len(),
    };
    let class = |field: usize, (items, marks): (Vec<Vec<i64>>, &Marks)| {
        let (lines, strip) = lines(marks, &owners, format.storage.element(field).bits());
        Class { items, lines, strip }
    };
    (0..fields).map(|field| alike(&marked, field).into_iter().map(|marks| class(field, marks)).collect()).collect()
}

/// All owners, and what they take of each item of each field.
fn mark_all(format: &Format) -> (Vec<Owner<'_>>, Marked) {
    let mut owners = Vec::new();
    let mut marked = Marked::new();
    for part in parts(format) {
        for (plane, reading) in format.storage.readings(part.number).into_iter().enumerate() {
            let pieces = &format.pieces[part.pieces.clone()];
            for values in pieces.iter().flat_map(|piece| Values::all(sizes(format, piece, &reading))) {
                for (item, mark) in marks(format, &reading, &values, owners.len()) {
                    marked.entry((reading.field, item)).or_default().insert(mark);
                }
            }
            owners.push(Owner { reading, name: name(format, &part, plane) });
        }
    }
    (owners, marked)
}

/// The items of a field that have the same marks.
fn alike(marked: &Marked, field: usize) -> Vec<(Vec<Vec<i64>>, &Marks)> {
    let mut classes: Vec<(Vec<Vec<i64>>, &Marks)> = Vec::new();
    for ((_, item), marks) in marked.iter().filter(|((other, _), _)| *other == field) {
        match classes.iter_mut().find(|(_, others)| *others == marks) {
            Some((items, _)) => items.push(item.clone()),
            None => classes.push((vec![item.clone()], marks)),
        }
    }
    classes
}

/// The digits that a reading uses, with the values to draw: of an unbounded digit, one.
fn sizes<'f>(format: &'f Format, piece: &'f Piece, reading: &Reading<'_>) -> Vec<(&'f str, usize)> {
    let rows: &[Digit] = match &format.storage {
        Storage::Blocks(_) => &[],
        Storage::Tensors(tensors) => &tensors.rows,
    };
    let used = reading.digits();
    let digits = rows.iter().chain(&piece.digits).filter(|digit| used.contains(digit.name.as_str()));
    digits.map(|digit| (digit.name.as_str(), digit.size.max(1))).collect()
}

/// What a reading takes at one place: of one item, or of several that make a stream.
fn marks(format: &Format, reading: &Reading<'_>, values: &Values<'_>, owner: usize) -> Vec<(Vec<i64>, Mark)> {
    let item: Vec<i64> = reading.axes.iter().map(|axis| values.of(axis)).collect();
    let width = format.storage.element(reading.field).bits();
    let Taken::Bits { bit, bits } = reading.part else {
        return vec![(item, Mark { low: 0, bits: width, owner, digits: Vec::new() })];
    };
    let picks = |(name, _): &(&str, i64)| bit.strides.contains_key(*name);
    let digits: Vec<_> = values.iter().filter(picks).map(|(name, value)| (name.to_owned(), value)).collect();
    let mark = |stretch: Stretch| {
        let mut item = item.clone();
        if let Some(axis) = reading.stream {
            item[axis] += stretch.step as i64;
        }
        (item, Mark { low: stretch.low, bits: stretch.bits, owner, digits: digits.clone() })
    };
    stretches(values.of(bit) as usize, bits, width).map(mark).collect()
}

/// What a plane is called: its number, its share of the number's bits, and the weights of its piece if there are several.
fn name(format: &Format, part: &Part<'_>, plane: usize) -> String {
    let mut name = part.name();
    if let Some(share) = share(part.number, &format.storage, plane) {
        name = format!("{name} {share}");
    }
    if part.pieces.len() < format.pieces.len() {
        let piece = &format.pieces[part.pieces.start];
        name = format!("{name} of weights {}", span(piece.start, piece.end - 1));
    }
    name
}

/// Which bits of the number a plane gives, if it does not give all.
fn share(number: &Number, storage: &Storage, plane: usize) -> Option<String> {
    let readings = storage.readings(number);
    let widths = readings.iter().map(|reading| match reading.part {
        Taken::Bits { bits, .. } => Some(bits as usize),
        Taken::Whole | Taken::Trit(_) => None,
    });
    let widths = widths.collect::<Option<Vec<usize>>>().filter(|widths| widths.len() > 1)?;
    let low: usize = widths[..plane].iter().sum();
    let bits = if widths[plane] == 1 { "bit" } else { "bits" };
    Some(format!("{bits} {}", span(low, low + widths[plane] - 1)))
}

/// The owners of an item's bits, and the strip of their letters.
fn lines(marks: &Marks, owners: &[Owner<'_>], width: u32) -> (Vec<Line>, String) {
    let mut strip = vec!['.'; width as usize];
    let mut lines: Vec<Line> = Vec::new();
    let mut line_of_owner = BTreeMap::new();
    for mark in marks {
        let many = marks.iter().filter(|other| other.owner == mark.owner).count() > MAX_RUNS;
        let fresh = lines.len();
        let number = if many { *line_of_owner.entry(mark.owner).or_insert(fresh) } else { fresh };
        if number == fresh {
            lines.push(Line::new(fresh, mark, &owners[mark.owner], many));
        }
        let (line, high) = (&mut lines[number], mark.low + mark.bits - 1);
        line.high = line.high.max(high);
        strip[mark.low as usize..=high as usize].fill(line.letter);
    }
    let bytes: Vec<String> = strip.chunks(8).rev().map(|byte| byte.iter().rev().collect()).collect();
    (lines, bytes.join(" "))
}

impl Line {
    /// The line of one run, or of `many` runs by their common rule.
    fn new(number: usize, mark: &Mark, owner: &Owner<'_>, many: bool) -> Self {
        let letter = ('A'..='Z').chain('a'..='z').cycle().nth(number).unwrap_or('?');
        let name = &owner.name;
        let text = match owner.reading.part {
            Taken::Trit(trit) => format!("{name}, base-3 digit = {}", map(trit)),
            Taken::Bits { bit, .. } if many => format!("{name} at bit {}", map(bit)),
            _ => mark.digits.iter().fold(name.clone(), |text, (digit, value)| format!("{text}, {digit} {value}")),
        };
        let item = owner.reading.axes.first().map_or_else(String::new, map);
        Self { letter, low: mark.low, high: mark.low, text, item }
    }
}
