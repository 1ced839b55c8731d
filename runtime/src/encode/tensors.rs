//! Formats in separate tensors: where the bits of each number go, by digits of row and column.

use std::sync::atomic::{AtomicU8, Ordering};

use quantloom_spec::model::{Digit, Element, Format, Holds, Index, Map, Number, Tensors as Card};
use quantloom_spec::reading::{Part as Reads, Reading, stretches};

use super::numbers::{Numbers, ROW};
use crate::error::{Error, Result};
use crate::stored::Axis;

/// One of the separate tensors of a matrix, as a file holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EncodedTensor {
    /// What files write after the name of the matrix and a dot.
    pub name: String,
    /// The type of its items.
    pub element: Element,
    /// Lengths of its axes, slowest first; none for a single item.
    pub shape: Vec<usize>,
    /// Its items in row-major order, little-endian.
    pub bytes: Vec<u8>,
}

/// What a digit adds to a map.
#[derive(Debug)]
struct Term {
    /// A digit of the row, not of the column.
    of_row: bool,
    stride: usize,
    /// How many values it takes; 0 for no bound.
    size: usize,
    times: i64,
}

/// A map whose digits are known.
#[derive(Debug)]
struct Affine {
    at: i64,
    terms: Vec<Term>,
}

impl Affine {
    fn new(map: &Map, rows: &[Digit], columns: &[Digit]) -> Self {
        let digits = rows.iter().map(|digit| (true, digit)).chain(columns.iter().map(|digit| (false, digit)));
        let terms = digits.filter_map(|(of_row, digit)| {
            let times = *map.strides.get(&digit.name)?;
            Some(Term { of_row, stride: digit.stride, size: digit.size, times })
        });
        Self { at: map.at, terms: terms.collect() }
    }

    /// The value, which is not negative: the checker has proved that.
    fn at(&self, row: usize, column: usize) -> usize {
        let add = |sum, term: &Term| {
            let steps = if term.of_row { row } else { column } / term.stride;
            sum + term.times * if term.size == 0 { steps } else { steps % term.size } as i64
        };
        self.terms.iter().fold(self.at, add) as usize
    }

    /// How long an axis with this map is: in proportion to the digit without bound that it uses, if it uses one.
    fn axis(&self) -> Axis {
        match self.terms.iter().find(|term| term.size == 0) {
            Some(term) if term.of_row => Axis::Rows { per: term.stride, items: term.times as usize },
            Some(term) => Axis::Columns { per: term.stride, items: term.times as usize },
            None => {
                let reach: i64 = self.terms.iter().map(|term| term.times.max(0) * (term.size as i64 - 1)).sum();
                Axis::Fixed((self.at + reach + 1) as usize)
            }
        }
    }
}

/// A tensor without its items.
#[derive(Debug)]
struct Plan {
    name: String,
    element: Element,
    axes: Vec<Affine>,
    stream: Option<usize>,
}

/// Bits of a tensor that take part of a number.
#[derive(Debug)]
struct Part {
    tensor: usize,
    bit: Affine,
    bits: u32,
}

/// The places of one number.
#[derive(Debug)]
struct Places {
    /// Neighbouring weights of a row that share a value.
    run: usize,
    /// Lowest first.
    parts: Vec<Part>,
}

impl Places {
    fn new(format: &Format, card: &Card, number: &Number) -> Result<Self, &'static str> {
        let columns = &format.pieces[0].digits;
        let readings = format.storage.readings(number);
        let run = |reading: &Reading<'_>| {
            let used = reading.digits();
            let fastest = columns.iter().rev().find(|digit| used.contains(digit.name.as_str()));
            fastest.map_or(ROW, |digit| digit.stride.max(number.width()))
        };
        let of_each_row =
            |reading: &Reading<'_>| card.rows.last().is_none_or(|row| reading.digits().contains(row.name.as_str()));
        let runs = readings.iter().map(run).collect::<Vec<_>>();
        if !readings.iter().all(of_each_row) || runs.iter().any(|run| *run != runs[0]) {
            return Err("rows share its scales, or parts of a number");
        }
        let parts = readings.iter().map(|reading| {
            let (bit, bits) = match reading.part {
                Reads::Whole => (&Map::default(), card.tensors[reading.field].element.bits()),
                Reads::Bits { bit, bits } => (bit, bits),
                Reads::Trit(_) => return Err("its separate tensors hold base-3 digits"),
            };
            Ok(Part { tensor: reading.field, bit: Affine::new(bit, &card.rows, columns), bits })
        });
        Ok(Self { run: runs[0], parts: parts.collect::<Result<_, _>>()? })
    }
}

/// What a tensor holds that says again what is known.
#[derive(Debug)]
enum Held {
    Column(Affine),
    Levels(Vec<f32>),
    Shape,
}

/// The layout of separate tensors.
#[derive(Debug)]
pub struct Tensors {
    /// N and K must be multiples of these.
    pub rows: usize,
    pub columns: usize,
    tensors: Vec<Plan>,
    /// Tensors that say again what is known, and what they hold.
    indices: Vec<(Index, Held)>,
    places: Numbers<Option<Places>>,
}

impl Tensors {
    /// The layout of a format whose numbers are these, or why it cannot be written.
    pub fn new(format: &Format, card: &Card, numbers: &Numbers<Vec<&Number>>) -> Result<Self, &'static str> {
        let piece = &format.pieces[0];
        let affine = |map: &Map| Affine::new(map, &card.rows, &piece.digits);
        let held = |holds: &Holds| match holds {
            Holds::Column(map) => Held::Column(affine(map)),
            Holds::Levels => Held::Levels(format.levels_by_code().unwrap_or_default()),
            Holds::Shape => Held::Shape,
        };
        let tensors = card.tensors.iter().map(|tensor| Plan {
            name: tensor.file.clone(),
            element: tensor.element,
            axes: tensor.axes.iter().map(affine).collect(),
            stream: tensor.stream,
        });
        let places = |numbers: &Vec<&Number>| numbers.first().map(|number| Places::new(format, card, number)).transpose();
        Ok(Self {
            rows: card.rows.first().map_or(1, |digit| digit.stride),
            columns: piece.end,
            tensors: tensors.collect(),
            indices: card.indices.iter().map(|index| (index.clone(), held(&index.holds))).collect(),
            places: numbers.map(places).transpose()?,
        })
    }

    /// How many neighbouring weights share a value of each number.
    pub fn runs(&self) -> Numbers<Option<usize>> {
        self.places.map(|places| places.as_ref().map(|places| places.run))
    }

    /// The tensors of a matrix of zeros, to be filled row by row.
    pub fn empty(&self, n: usize, k: usize) -> Result<Filling<'_>> {
        let beyond = || Error::OutOfMemory { bytes: usize::MAX };
        let tensors = self.tensors.iter().map(|plan| {
            let shape = plan.axes.iter().map(|axis| axis.axis().length(n, k)).collect::<Option<Vec<_>>>().ok_or_else(beyond)?;
            let size = plan.element.bits() as usize / 8;
            let bytes = shape.iter().try_fold(size, |all, length| all.checked_mul(*length)).ok_or_else(beyond)?;
            Ok((shape, std::iter::repeat_with(AtomicU8::default).take(bytes).collect()))
        });
        Ok(Filling { layout: self, n, k, tensors: tensors.collect::<Result<_>>()? })
    }
}

/// The tensors of a matrix while their bits are gathered. Rows may share bytes, so that threads set bits one by one.
#[derive(Debug)]
pub struct Filling<'l> {
    layout: &'l Tensors,
    n: usize,
    k: usize,
    /// Shapes and bytes.
    tensors: Vec<(Vec<usize>, Vec<AtomicU8>)>,
}

impl Filling<'_> {
    /// Writes the numbers of a row, each run by run.
    pub fn write(&self, row: usize, bits: &Numbers<Vec<u64>>) {
        for (places, bits) in self.layout.places.all().into_iter().zip(bits.all()) {
            let Some(places) = places else { continue };
            for (slot, value) in bits.iter().enumerate() {
                let (mut value, column) = (*value, slot.saturating_mul(places.run));
                for part in &places.parts {
                    self.write_part(part, row, column, value);
                    value = value.checked_shr(part.bits).unwrap_or(0);
                }
            }
        }
    }

    fn write_part(&self, part: &Part, row: usize, column: usize, mut value: u64) {
        let (plan, (shape, bytes)) = (&self.layout.tensors[part.tensor], &self.tensors[part.tensor]);
        let width = plan.element.bits();
        for stretch in stretches(part.bit.at(row, column), part.bits, width) {
            let next = |axis| if plan.stream == Some(axis) { stretch.step } else { 0 };
            let axes = plan.axes.iter().zip(shape).enumerate();
            let item = axes.fold(0, |item, (axis, (map, length))| item * length + map.at(row, column) + next(axis));
            let at = item * width as usize + stretch.low as usize;
            let low = (value & (u64::MAX >> (64 - stretch.bits))) << (at % 8);
            for (byte, bits) in bytes[at / 8..].iter().zip(low.to_le_bytes()) {
                if bits != 0 {
                    byte.fetch_or(bits, Ordering::Relaxed);
                }
            }
            value = value.checked_shr(stretch.bits).unwrap_or(0);
        }
    }

    /// The tensors in card order, then those that say again what is known.
    pub fn finish(self) -> Vec<EncodedTensor> {
        let mut all = Vec::new();
        for (plan, (shape, bytes)) in self.layout.tensors.iter().zip(self.tensors) {
            let bytes = bytes.into_iter().map(AtomicU8::into_inner).collect();
            all.push(EncodedTensor { name: plan.name.clone(), element: plan.element, shape, bytes });
        }
        for (index, holds) in &self.layout.indices {
            let item = |value: usize| value.to_le_bytes().into_iter().take(index.element.bits() as usize / 8);
            let (items, bytes) = match holds {
                Held::Column(map) => (self.k, (0..self.k).flat_map(|column| item(map.at(0, column))).collect()),
                Held::Levels(levels) => (levels.len(), levels.iter().flat_map(|level| level.to_le_bytes()).collect()),
                Held::Shape => (2, [self.n, self.k].into_iter().flat_map(item).collect()),
            };
            all.push(EncodedTensor { name: index.file.clone(), element: index.element, shape: vec![items], bytes });
        }
        all
    }
}
