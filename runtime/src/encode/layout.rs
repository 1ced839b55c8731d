//! Where the bits of each number go: the inverse of reading a block as its card says, compiled once to lists of places.

use quantloom_spec::model::{Element, Format, Number, Piece, Storage};
use quantloom_spec::reading::{Part as Reads, Reading};

/// Values of a base-3 digit.
const TRITS: u64 = 3;

/// A stretch of a block that takes part of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// `bits` bits from bit `at` of the block upwards.
    Bits { at: usize, bits: u32 },
    /// A base-3 digit worth `weight` in a byte.
    Trit { byte: usize, weight: u8 },
}

/// The places of one number: one list of parts, lowest first, for each run of `run` weights of the block.
#[derive(Debug)]
pub struct Slots {
    /// Neighbouring weights that share a value.
    pub run: usize,
    parts: Vec<Vec<Part>>,
}

impl Slots {
    /// The places of the number that `of` picks, weight by weight; `None` if runs are not all of one length.
    pub fn new<'f>(format: &'f Format, of: impl Fn(&'f Piece) -> &'f Number) -> Option<Self> {
        let mut parts: Vec<Vec<Part>> = Vec::new();
        let mut weights = 0;
        for piece in &format.pieces {
            let readings = format.storage.readings(of(piece));
            for position in piece.start..piece.end {
                let place =
                    readings.iter().map(|reading| part(format, piece, position, reading)).collect::<Option<Vec<_>>>()?;
                if parts.last() != Some(&place) {
                    parts.push(place);
                }
                weights += 1;
            }
        }
        let run = weights / parts.len();
        let starts = (0..weights).step_by(run);
        let even = starts.zip(&parts).all(|(start, place)| {
            let piece = format.pieces.iter().find(|piece| piece.end > start);
            piece.is_some_and(|piece| {
                let readings = format.storage.readings(of(piece));
                readings.iter().map(|reading| part(format, piece, start, reading)).eq(place.iter().map(|part| Some(*part)))
            })
        });
        (run * parts.len() == weights && even).then_some(Self { run, parts })
    }

    /// Puts `value` into slot `slot` of a block that was zero there.
    pub fn write(&self, slot: usize, mut value: u64, block: &mut [u8]) {
        for part in &self.parts[slot] {
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

    /// The bytes that hold base-3 digits.
    fn trit_bytes(&self) -> impl Iterator<Item = usize> {
        self.parts.iter().flatten().filter_map(|part| match part {
            Part::Trit { byte, .. } => Some(*byte),
            Part::Bits { .. } => None,
        })
    }
}

/// What a reading takes for the weight at `position`.
fn part(format: &Format, piece: &Piece, position: usize, reading: &Reading<'_>) -> Option<Part> {
    let field = &format.blocks()?.fields[reading.field];
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

/// What remains to be done to a block when all numbers are written.
#[derive(Debug)]
pub struct Finish {
    trits: Vec<usize>,
    sums: Vec<Sums>,
}

impl Finish {
    /// For a format whose codes lie at `code`.
    pub fn new(format: &Format, code: &Slots) -> Self {
        let mut trits = code.trit_bytes().collect::<Vec<_>>();
        trits.sort_unstable();
        trits.dedup();
        let fields = match &format.storage {
            Storage::Blocks(blocks) => blocks.fields.as_slice(),
            Storage::Tensors(_) => &[],
        };
        let sums = fields.iter().filter(|field| field.sums);
        let sums = sums.map(|field| Sums { at: field.at, element: field.element, count: field.count.unwrap_or(1) });
        Self { trits, sums: sums.collect() }
    }

    /// Turns base-3 values into the bytes that decode to their digits, and writes the sums of `codes`, one value per weight.
    pub fn apply(&self, codes: &[f32], block: &mut [u8]) {
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
