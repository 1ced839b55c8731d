//! Who owns each bit of each item, and which items look alike.

use std::collections::{BTreeMap, BTreeSet};

use crate::grid::Values;
use crate::model::{Digit, Format, Number, Piece, Storage};
use crate::reading::{Part as Taken, Reading, Stretch, stretches};

use super::words::{self, Part, map, readers, span};

/// Most runs of one plane in an item that are drawn one by one.
const MAX_RUNS: usize = 4;

/// Most classes of items of a stream that are drawn one by one.
const MAX_CLASSES: usize = 8;

/// Items of a field whose bits have the same owners.
pub(super) struct Class {
    /// Which items these are.
    pub items: String,
    /// The owners, lowest bit first.
    pub lines: Vec<Line>,
    /// A letter for each bit, highest first; empty for a stream that is too long to draw.
    pub strip: String,
}

/// An owner of some bits.
pub(super) struct Line {
    /// Its letter, or the first and the last of several.
    pub letters: String,
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
    /// Its number.
    name: String,
    /// Its lowest bit in the number, and whether the number has other planes; `None` if it does not give bits.
    share: Option<(u32, bool)>,
    /// Behind the name: the weights of its piece if there are several.
    of: String,
}

/// What an owner takes of one item; ordered by place, as the lines of a class are.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Mark {
    low: u32,
    bits: u32,
    owner: usize,
    /// The digits that pick the bits, with their values.
    digits: Vec<(String, i64)>,
    /// Items of a stream between the first one of the run and this.
    step: usize,
    /// Bits of the run that lie in the items before.
    before: u32,
}

/// The marks on one item.
type Marks = BTreeSet<Mark>;

/// The marks on all items, by field and by index along each axis.
type Marked = BTreeMap<(usize, Vec<i64>), Marks>;

/// Items by their index along each axis, and the marks that they share.
type Alike<'m> = (Vec<Vec<i64>>, &'m Marks);

/// The classes of items of each field or tensor, by first item.
pub(super) fn classes(format: &Format) -> Vec<Vec<Class>> {
    let (owners, marked) = mark_all(format);
    let fields = match &format.storage {
        Storage::Blocks(blocks) => blocks.fields.len(),
        Storage::Tensors(tensors) => tensors.tensors.len(),
    };
    let class = |field: usize, (items, marks): Alike<'_>| {
        let letters = letters(&marked, field, marks, &owners);
        let (lines, strip) = lines(marks, &letters, &owners, format.storage.element(field).bits());
        Class { items: place(marks, &owners).unwrap_or_else(|| words::items(&items)), lines, strip }
    };
    let classes = |field: usize| {
        let of_field = |owner: &&Owner<'_>| owner.reading.field == field;
        let stream = owners.iter().filter(of_field).any(|owner| owner.reading.stream.is_some());
        let limit = if stream { MAX_CLASSES } else { usize::MAX };
        match alike(&marked, field, limit) {
            Some(classes) => classes.into_iter().map(|marks| class(field, marks)).collect(),
            None => vec![Class {
                items: String::new(),
                lines: owners.iter().filter(of_field).map(Line::rule).collect(),
                strip: String::new(),
            }],
        }
    };
    (0..fields).map(classes).collect()
}

/// All owners, and what they take of each item of each field.
fn mark_all(format: &Format) -> (Vec<Owner<'_>>, Marked) {
    let mut owners = Vec::new();
    let mut marked = Marked::new();
    for part in readers(format) {
        for (plane, reading) in format.storage.readings(part.number).into_iter().enumerate() {
            let pieces = &format.pieces[part.pieces.clone()];
            for values in pieces.iter().flat_map(|piece| Values::all(sizes(format, piece, &reading))) {
                for (item, mark) in marks(format, &reading, &values, owners.len()) {
                    marked.entry((reading.field, item)).or_default().insert(mark);
                }
            }
            let share = share(part.number, &format.storage, plane);
            owners.push(Owner { reading, name: part.name(), share, of: of_weights(format, &part) });
        }
    }
    (owners, marked)
}

/// The items of a field that have the same marks; `None` if there are more than `limit` kinds.
fn alike(marked: &Marked, field: usize, limit: usize) -> Option<Vec<Alike<'_>>> {
    let mut classes: Vec<Alike<'_>> = Vec::new();
    for ((_, item), marks) in marked.iter().filter(|((other, _), _)| *other == field) {
        match classes.iter().position(|(_, others)| *others == marks) {
            Some(class) => classes[class].0.push(item.clone()),
            None if classes.len() == limit => return None,
            None => classes.push((vec![item.clone()], marks)),
        }
    }
    Some(classes)
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
        return vec![(item, Mark { low: 0, bits: width, owner, digits: Vec::new(), step: 0, before: 0 })];
    };
    let low = values.of(bit) as usize;
    let picks = |(name, _): &(&str, i64)| bit.strides.contains_key(*name);
    let digits: Vec<_> = values.iter().filter(picks).map(|(name, value)| (name.to_owned(), value)).collect();
    let mark = |stretch: Stretch| {
        let mut item = item.clone();
        if let Some(axis) = reading.stream {
            item[axis] += stretch.step as i64;
        }
        let before = (stretch.step * width as usize + stretch.low as usize - low) as u32;
        (item, Mark { low: stretch.low, bits: stretch.bits, owner, digits: digits.clone(), step: stretch.step, before })
    };
    stretches(low, bits, width).map(mark).collect()
}

/// The weights of the pieces in which a number is read, unless it is read in all.
fn of_weights(format: &Format, part: &Part<'_>) -> String {
    if part.pieces.len() == format.pieces.len() {
        return String::new();
    }
    let piece = &format.pieces[part.pieces.start];
    format!(" of weights {}", span(piece.start, piece.end - 1))
}

/// The lowest bit of a plane in its number, and whether there are other planes.
fn share(number: &Number, storage: &Storage, plane: usize) -> Option<(u32, bool)> {
    let readings = storage.readings(number);
    let widths = readings.iter().map(|reading| match reading.part {
        Taken::Bits { bits, .. } => Some(bits),
        Taken::Whole | Taken::Trit(_) => None,
    });
    let widths = widths.collect::<Option<Vec<u32>>>()?;
    Some((widths[..plane].iter().sum(), widths.len() > 1))
}

/// The letter of each mark. In a stream every run has a letter of its own, so that it shows where one goes on.
fn letters(marked: &Marked, field: usize, marks: &Marks, owners: &[Owner<'_>]) -> Vec<char> {
    let letter = |number: usize| ('A'..='Z').chain('a'..='z').cycle().nth(number).unwrap_or('?');
    if marks.iter().any(|mark| owners[mark.owner].reading.stream.is_some()) {
        let of_field = marked.iter().filter(|((other, _), _)| *other == field).flat_map(|(_, marks)| marks);
        let runs: BTreeSet<_> = of_field.map(|mark| (mark.owner, &mark.digits)).collect();
        let number = |mark: &Mark| runs.iter().position(|run| *run == (mark.owner, &mark.digits));
        return marks.iter().map(|mark| letter(number(mark).unwrap_or(0))).collect();
    }
    let mut lines: Vec<usize> = Vec::new();
    let mut next = 0;
    let line = |mark: &Mark| {
        let known = marks.iter().zip(&lines).find(|(other, _)| other.owner == mark.owner && many(marks, mark));
        let number = known.map_or(next, |(_, line)| *line);
        next = next.max(number + 1);
        lines.push(number);
        letter(number)
    };
    marks.iter().map(line).collect()
}

/// Whether the owner of a mark has too many runs in the item to show each.
fn many(marks: &Marks, mark: &Mark) -> bool {
    marks.iter().filter(|other| other.owner == mark.owner).count() > MAX_RUNS
}

/// The place of items that lie equally far behind the first ones of a stream.
fn place(marks: &Marks, owners: &[Owner<'_>]) -> Option<String> {
    let first = marks.first()?;
    let reading = &owners[first.owner].reading;
    let alike = marks.iter().all(|mark| (mark.owner, mark.step) == (first.owner, first.step));
    let mut axes = reading.axes.to_vec();
    if !alike || axes.len() < 2 {
        return None;
    }
    axes[reading.stream?].at += first.step as i64;
    Some(format!("item {}", words::place(&axes)))
}

/// The owners of an item's bits, and the strip of their letters.
fn lines(marks: &Marks, letters: &[char], owners: &[Owner<'_>], width: u32) -> (Vec<Line>, String) {
    let mut strip = vec!['.'; width as usize];
    let mut lines: Vec<Line> = Vec::new();
    let mut line_of_owner = BTreeMap::new();
    for (mark, &letter) in marks.iter().zip(letters) {
        let many = many(marks, mark);
        let fresh = lines.len();
        let number = if many { *line_of_owner.entry(mark.owner).or_insert(fresh) } else { fresh };
        if number == fresh {
            lines.push(Line::new(letter, mark, &owners[mark.owner], many, width));
        }
        lines[number].extend(letter, mark.low + mark.bits - 1);
        strip[mark.low as usize..][..mark.bits as usize].fill(letter);
    }
    let bytes: Vec<String> = strip.chunks(8).rev().map(|byte| byte.iter().rev().collect()).collect();
    (lines, bytes.join(" "))
}

impl Line {
    /// The line of one run, or of `many` runs by their common rule, in an item of `width` bits.
    fn new(letter: char, mark: &Mark, owner: &Owner<'_>, many: bool, width: u32) -> Self {
        let name = if many { owner.name(0, None) } else { owner.name(mark.before, Some(mark.bits)) };
        let text = match owner.reading.part {
            Taken::Trit(trit) => format!("{name}, base-3 digit = {}", map(trit)),
            Taken::Bits { bit, .. } if many => {
                let mut bit = bit.clone();
                bit.at -= mark.step as i64 * i64::from(width);
                format!("{name} at bit {}", map(&bit))
            }
            _ => mark.digits.iter().fold(name, |text, (digit, value)| format!("{text}, {digit} {value}")),
        };
        let item = owner.reading.axes.first().map_or_else(String::new, map);
        Self { letters: letter.to_string(), low: mark.low, high: mark.low, text, item }
    }

    /// All runs of an owner in a stream.
    fn rule(owner: &Owner<'_>) -> Self {
        let name = owner.name(0, None);
        let text = match owner.reading.part {
            Taken::Bits { bit, .. } => format!("{name} at bit {}", map(bit)),
            Taken::Whole | Taken::Trit(_) => name,
        };
        let item = owner.reading.axes.first().map_or_else(String::new, map);
        Self { letters: String::new(), low: 0, high: 0, text, item }
    }

    /// Takes in a run that ends at bit `high`.
    fn extend(&mut self, letter: char, high: u32) {
        self.high = self.high.max(high);
        if let Some(first) = self.letters.chars().next().filter(|first| *first != letter) {
            self.letters = format!("{first}-{letter}");
        }
    }
}

impl Owner<'_> {
    /// What its runs are called: with their share of the number's bits, if they do not give all; of a run that ends in another
    /// item only those that follow the first `before`.
    fn name(&self, before: u32, bits: Option<u32>) -> String {
        let (Taken::Bits { bits: whole, .. }, Some((low, joined))) = (self.reading.part, self.share) else {
            return format!("{}{}", self.name, self.of);
        };
        let bits = bits.unwrap_or(whole);
        if !joined && bits == whole {
            return format!("{}{}", self.name, self.of);
        }
        let low = (low + before) as usize;
        let what = if bits == 1 { "bit" } else { "bits" };
        format!("{} {what} {}{}", self.name, span(low, low + bits as usize - 1), self.of)
    }
}
