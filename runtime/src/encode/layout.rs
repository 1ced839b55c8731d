//! Where the bits of each number go: the inverse of reading a row as its card says, compiled once to lists of places.

use quantloom_spec::model::{Blocks, Element, Format, Home, Number, Piece};
use quantloom_spec::reading::{Part as Reads, Reading};

use super::numbers::{Numbers, ROW};
use crate::gguf::BlockShape;

/// Values of a base-3 digit.
const TRITS: u64 = 3;

/// A stretch of a block, or of a row's header, that takes part of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// `bits` bits from bit `at` upwards.
    Bits { at: usize, bits: u32 },
    /// A base-3 digit worth `weight` in a byte.
    Trit { byte: usize, weight: u8 },
}

/// The places of one number: one list of parts, lowest first, for each run of `run` weights of a block.
#[derive(Debug)]
pub struct Slots {
    /// Neighbouring weights that share a value.
    pub run: usize,
    parts: Vec<Vec<Part>>,
    /// Where the first block of a row starts, and how far it is to the next; the header starts at 0, and there is one.
    first: usize,
    step: usize,
}

impl Slots {
    /// The places of a number, which is given for each piece, or why they cannot be listed.
    fn new(format: &Format, blocks: &Blocks, numbers: &[&Number]) -> Result<Self, &'static str> {
        const UNEVEN: &str = "a value of it is shared by groups of unlike length";
        let mut parts: Vec<Vec<Part>> = Vec::new();
        let mut homes = Vec::new();
        let mut weights = 0;
        for (piece, number) in format.pieces.iter().zip(numbers) {
            let readings = format.storage.readings(number);
            homes.extend(readings.iter().map(|reading| blocks.fields[reading.field].home));
            for position in piece.start..piece.end {
                let place = readings.iter().map(|reading| part(blocks, piece, position, reading));
                let place = place.collect::<Option<Vec<_>>>().ok_or(UNEVEN)?;
                if parts.last() != Some(&place) {
                    parts.push(place);
                }
                weights += 1;
            }
        }
        if homes.contains(&Home::Row) {
            let whole = parts.len() == 1 && !homes.contains(&Home::Block);
            let slots = Self { run: ROW, parts, first: 0, step: 0 };
            return whole.then_some(slots).ok_or("the header of a row has values that are not for the row as a whole");
        }
        let run = weights / parts.len();
        let starts = (0..weights).step_by(run);
        let even = starts.zip(&parts).all(|(start, place)| {
            let mut pieces = format.pieces.iter().zip(numbers);
            pieces.find(|(piece, _)| piece.end > start).is_some_and(|(piece, number)| {
                let readings = format.storage.readings(number);
                readings.iter().map(|reading| part(blocks, piece, start, reading)).eq(place.iter().map(|part| Some(*part)))
            })
        });
        let slots = Self { run, parts, first: blocks.header, step: blocks.bytes };
        (run * slots.parts.len() == weights && even).then_some(slots).ok_or(UNEVEN)
    }

    /// Puts `values`, one for each run, into blocks that were zero there.
    fn write(&self, values: &[u64], row: &mut [u8]) {
        for (number, values) in values.chunks(self.parts.len()).enumerate() {
            let block = &mut row[self.first + number * self.step..];
            for (parts, value) in self.parts.iter().zip(values) {
                write_parts(parts, *value, block);
            }
        }
    }

    /// The bytes that hold base-3 digits.
    fn trit_bytes(&self) -> impl Iterator<Item = usize> {
        self.parts.iter().flatten().filter_map(|part| match part {
            Part::Trit { byte, .. } => Some(*byte),
            Part::Bits { .. } => None,
        })
    }
}

/// Puts a value into its parts.
fn write_parts(parts: &[Part], mut value: u64, block: &mut [u8]) {
    for part in parts {
        match *part {
            Part::Bits { at, bits } => {
                let low = value & (u64::MAX >> (64 - bits));
                // A part starts anywhere in its first byte and is at most 48 bits long.
                for (byte, bits) in block[at / 8..].iter_mut().zip((low << (at % 8)).to_le_bytes()) {
                    *byte |= bits;
                }
                value = value.checked_shr(bits).unwrap_or(0);
            }
            Part::Trit { byte, weight } => {
                block[byte] += (value % TRITS) as u8 * weight;
                value /= TRITS;
            }
        }
    }
}

/// What a reading takes for the weight at `position`.
fn part(blocks: &Blocks, piece: &Piece, position: usize, reading: &Reading<'_>) -> Option<Part> {
    let field = &blocks.fields[reading.field];
    let digit = |name: &str| {
        let digit = piece.digits.iter().find(|digit| digit.name == name);
        digit.map_or(0, |digit| ((position - piece.start) / digit.stride % digit.size) as i64)
    };
    let item = reading.axes.first()?.value(digit) as usize;
    let byte = field.at + item * field.element.bits() as usize / 8;
    Some(match reading.part {
        Reads::Whole => Part::Bits { at: 8 * byte, bits: field.element.bits() },
        Reads::Bits { bit, bits } => Part::Bits { at: 8 * byte + bit.value(digit) as usize, bits },
        // Digit n of five counts 3^(4 - n).
        Reads::Trit(trit) => Part::Trit { byte, weight: 3_u8.checked_pow(4 - u32::try_from(trit.value(digit)).ok()?)? },
    })
}

/// A field of redundant sums of neighbouring codes.
#[derive(Debug)]
struct Sums {
    at: usize,
    element: Element,
    count: usize,
}

/// The layout of rows of blocks.
#[derive(Debug)]
pub struct Rows {
    /// Bytes and weights.
    pub shape: BlockShape,
    slots: Numbers<Option<Slots>>,
    /// Bytes of a block that hold base-3 digits.
    trits: Vec<usize>,
    sums: Vec<Sums>,
}

impl Rows {
    /// The layout of a format whose numbers are these, or why it cannot be written.
    pub fn new(format: &Format, blocks: &Blocks, numbers: &Numbers<Vec<&Number>>) -> Result<Self, &'static str> {
        let slots = |numbers: &Vec<&Number>| (!numbers.is_empty()).then(|| Slots::new(format, blocks, numbers)).transpose();
        let slots = numbers.map(slots).transpose()?;
        let mut trits = slots.code.iter().flat_map(Slots::trit_bytes).collect::<Vec<_>>();
        trits.sort_unstable();
        trits.dedup();
        let sums = blocks.fields.iter().filter(|field| field.sums);
        let sums = sums.map(|field| Sums { at: field.at, element: field.element, count: field.count.unwrap_or(1) }).collect();
        let shape = BlockShape { header: blocks.header, weights: blocks.weights, bytes: blocks.bytes };
        Ok(Self { shape, slots, trits, sums })
    }

    /// How many neighbouring weights share a value of each number.
    pub fn runs(&self) -> Numbers<Option<usize>> {
        self.slots.map(|slots| slots.as_ref().map(|slots| slots.run))
    }

    /// Weights and bytes of what is encoded by itself: a block, or a row of `k` weights if rows have headers.
    pub fn unit(&self, k: usize) -> (usize, usize) {
        let BlockShape { header, weights, bytes } = self.shape;
        if header == 0 { (weights, bytes) } else { (k, header + k / weights * bytes) }
    }

    /// Writes such a unit, which is zero: the bits of each number, run by run, and what follows from `codes`.
    pub fn write(&self, bits: &Numbers<Vec<u64>>, codes: &[f32], unit: &mut [u8]) {
        for (slots, bits) in self.slots.all().into_iter().zip(bits.all()) {
            slots.iter().for_each(|slots| slots.write(bits, unit));
        }
        let blocks = unit[self.shape.header..].chunks_exact_mut(self.shape.bytes);
        for (block, codes) in blocks.zip(codes.chunks_exact(self.shape.weights)) {
            self.finish(codes, block);
        }
    }

    /// Turns base-3 values into the bytes that decode to their digits, and writes the sums of `codes`, one value per weight.
    fn finish(&self, codes: &[f32], block: &mut [u8]) {
        for &byte in &self.trits {
            // The digits are the leading ones of byte / 256 in base 3: the least byte that has them all.
            block[byte] = (u32::from(block[byte]) * 256).div_ceil(243) as u8;
        }
        for Sums { at, element, count } in &self.sums {
            let size = element.bits() as usize / 8;
            for (item, codes) in block[*at..].chunks_exact_mut(size).zip(codes.chunks(codes.len() / count)) {
                let sum = codes.iter().map(|code| f64::from(*code)).sum();
                item.copy_from_slice(&element.nearest(sum).to_le_bytes()[..size]);
            }
        }
    }
}
