//! The oracle: decoding as the card says it, plainly and slowly.
//!
//! It evaluates the checked model itself, so that it shares no mistake with generated code. A number's own value is computed
//! exactly in f64; every later operation is one f32 operation, rounded to nearest even.

use crate::facts::stored_element;
use crate::model::{Blocks, Digit, Element, Format, Home, Map, Number, Piece, Storage};
use crate::reading::{Part, Reading, stretches};

/// The value of a number for one weight.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Value {
    /// `step * level + offset`.
    pub own: f32,
    /// The value of its super, if it has one.
    pub outer: Option<f32>,
}

impl Value {
    /// `super * own`, or the own value alone.
    #[must_use]
    pub fn get(self) -> f32 {
        self.outer.map_or(self.own, |outer| outer * self.own)
    }
}

/// The five numbers of one weight.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weight {
    /// The code.
    pub code: Value,
    /// Subtracted from the code.
    pub zero: Option<Value>,
    /// Multiplies `code - zero`.
    pub sign: Option<Value>,
    /// Multiplies the level.
    pub scale: Option<Value>,
    /// Added last.
    pub min: Option<Value>,
}

impl Weight {
    /// `(code - zero) * sign`.
    #[must_use]
    pub fn level(&self) -> f32 {
        let shifted = self.zero.map_or(self.code.get(), |zero| self.code.get() - zero.get());
        self.sign.map_or(shifted, |sign| shifted * sign.get())
    }

    /// `scale * level + min`.
    #[must_use]
    pub fn value(&self) -> f32 {
        let level = self.level();
        let scaled = self.scale.map_or(level, |scale| scale.get() * level);
        self.min.map_or(scaled, |min| scaled + min.get())
    }
}

/// Decodes whole blocks of a format whose rows have no header.
///
/// # Panics
/// If the format is not of blocks, has row headers, or `bytes` are not whole blocks.
#[must_use]
pub fn decode_blocks(format: &Format, bytes: &[u8]) -> Vec<f32> {
    let blocks = blocks(format);
    assert_eq!(blocks.header, 0, "rows with headers are decoded row by row");
    assert_eq!(bytes.len() % blocks.bytes, 0, "the bytes are not whole blocks");
    (0..bytes.len() / blocks.bytes * blocks.weights).map(|position| weight(format, bytes, position).value()).collect()
}

/// Decodes whole rows of `k` weights, each after its header if the format has one.
///
/// # Panics
/// If the format is not of blocks, `k` is 0 or not whole blocks, or `bytes` are not whole rows.
#[must_use]
pub fn decode_rows(format: &Format, bytes: &[u8], k: usize) -> Vec<f32> {
    let blocks = blocks(format);
    assert!(k > 0 && k.is_multiple_of(blocks.weights), "a row is not of whole blocks");
    let row = blocks.row_bytes(k);
    assert_eq!(bytes.len() % row, 0, "the bytes are not whole rows");
    let decode = |row| (0..k).map(move |position| weight(format, row, position).value());
    bytes.chunks(row).flat_map(decode).collect()
}

/// The five numbers of the weight at `position` of a row: its header, if the format has one, and its blocks up to that weight
/// at least. Without headers a single block is such a row.
///
/// # Panics
/// If the format is not of blocks, or `row` ends before the block of that weight does.
#[must_use]
pub fn weight(format: &Format, row: &[u8], position: usize) -> Weight {
    let blocks = blocks(format);
    let (block, position) = (position / blocks.weights, position % blocks.weights);
    let block = &row[blocks.header + block * blocks.bytes..][..blocks.bytes];
    let inside = |piece: &&Piece| (piece.start..piece.end).contains(&position);
    let piece = format.pieces.iter().find(inside).expect("the position is in a piece");
    let spot = Spot {
        storage: &format.storage,
        position,
        digit: &|name| digit(&piece.digits, name, position - piece.start).unwrap_or(0),
        fetch: &|field, index| {
            let field = &blocks.fields[field];
            let home = if field.home == Home::Row { row } else { block };
            fetch(&home[field.at..], field.element, index[0])
        },
    };
    spot.weight(format, piece)
}

fn blocks(format: &Format) -> &Blocks {
    format.blocks().expect("the format is of blocks")
}

/// Item `item` of an array.
fn fetch(array: &[u8], element: Element, item: usize) -> u64 {
    let size = element.bits() as usize / 8;
    little_endian(&array[item * size..][..size])
}

fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte))
}

/// A separate tensor: its items, and how many there are along each axis, slowest first.
#[derive(Clone, Copy, Debug)]
pub struct Items<'d> {
    /// Lengths of the axes; none for a tensor of a single item.
    pub shape: &'d [usize],
    /// The items, little-endian.
    pub bytes: &'d [u8],
}

/// Decodes `rows` rows of `columns` weights from separate tensors, which are in card order.
///
/// # Panics
/// If the format is not of separate tensors, or a tensor is too small.
#[must_use]
pub fn decode_tensors(format: &Format, items: &[Items<'_>], rows: usize, columns: usize) -> Vec<f32> {
    let places = (0..rows).flat_map(|row| (0..columns).map(move |position| (row, position)));
    places.map(|(row, position)| tensor_weight(format, items, row, position).value()).collect()
}

/// The five numbers of the weight at `position` of row `row` of separate tensors, which are in card order.
///
/// # Panics
/// If the format is not of separate tensors, or a tensor is too small.
#[must_use]
pub fn tensor_weight(format: &Format, items: &[Items<'_>], row: usize, position: usize) -> Weight {
    let Storage::Tensors(tensors) = &format.storage else { panic!("the format is of separate tensors") };
    let piece = &format.pieces[0];
    let spot = Spot {
        storage: &format.storage,
        position,
        digit: &|name| digit(&piece.digits, name, position).or(digit(&tensors.rows, name, row)).unwrap_or(0),
        fetch: &|field, index| {
            let item = index.iter().zip(items[field].shape).fold(0, |item, (at, length)| item * length + at);
            fetch(items[field].bytes, tensors.tensors[field].element, item)
        },
    };
    spot.weight(format, piece)
}

/// The value of a digit of `position`, if there is such a digit.
fn digit(digits: &[Digit], name: &str, position: usize) -> Option<i64> {
    let digit = digits.iter().find(|digit| digit.name == name)?;
    let value = position / digit.stride;
    Some(if digit.size == 0 { value } else { value % digit.size } as i64)
}

/// Where a weight is, and how to get at what is stored for it.
struct Spot<'s> {
    storage: &'s Storage,
    position: usize,
    digit: &'s dyn Fn(&str) -> i64,
    /// The bits of an item by field and by index along each axis.
    fetch: &'s dyn Fn(usize, &[usize]) -> u64,
}

impl Spot<'_> {
    fn weight(&self, format: &Format, piece: &Piece) -> Weight {
        let part = |number: &Option<Number>| number.as_ref().map(|number| self.number(number));
        Weight {
            code: self.number(&piece.code),
            zero: part(&format.zero),
            sign: part(&format.sign),
            scale: part(&format.scale),
            min: part(&format.min),
        }
    }

    fn number(&self, number: &Number) -> Value {
        let outer = number.outer.as_ref().map(|outer| self.number(outer).get());
        Value { own: self.own(number), outer }
    }

    fn own(&self, number: &Number) -> f32 {
        let bits = self.stored(number);
        let mut value = match &number.levels {
            Some(levels) => f64::from(levels.values[bits as usize * levels.width + self.position % levels.width]),
            None => stored_element(self.storage, number).map_or(bits as f64, |element| element.value(bits)),
        };
        if let Some(step) = number.step {
            value *= step;
        }
        if let Some(offset) = number.offset {
            value += offset;
        }
        value as f32
    }

    /// The bits of a number: its readings put together, the first lowest.
    fn stored(&self, number: &Number) -> u64 {
        let (mut bits, mut weight) = (0, 1);
        for reading in self.storage.readings(number) {
            let (value, radix) = self.read(&reading);
            bits += value * weight;
            weight *= radix;
        }
        bits
    }

    /// What a reading takes, and how many values that can have; a whole item stands alone.
    fn read(&self, reading: &Reading<'_>) -> (u64, u64) {
        let index: Vec<usize> = reading.axes.iter().map(|axis| self.map(axis)).collect();
        let item = |index: &[usize]| (self.fetch)(reading.field, index);
        match reading.part {
            Part::Whole => (item(&index), 1),
            Part::Bits { bit, bits } => (self.bits(reading, index, self.map(bit), bits), 1 << bits),
            Part::Trit(trit) => {
                let shifted = (item(&index) * 3u64.pow(self.map(trit) as u32)) & 0xFF;
                ((shifted * 3) >> 8, 3)
            }
        }
    }

    /// `bits` bits from bit `low` of the item at `index`, and of those that follow it in a stream.
    fn bits(&self, reading: &Reading<'_>, mut index: Vec<usize>, low: usize, bits: u32) -> u64 {
        let (mut value, mut taken, mut passed) = (0, 0, 0);
        for stretch in stretches(low, bits, self.storage.element(reading.field).bits()) {
            if let Some(axis) = reading.stream {
                index[axis] += stretch.step - passed;
                passed = stretch.step;
            }
            let part = (self.fetch)(reading.field, &index) >> stretch.low & ((1 << stretch.bits) - 1);
            value |= part << taken;
            taken += stretch.bits;
        }
        value
    }

    /// The value of a map, which the checker has proved to be in bounds.
    fn map(&self, map: &Map) -> usize {
        map.value(self.digit) as usize
    }
}
