//! The operations of the neutral form as expressions that every language reads alike.
//!
//! Stored integers are at most 32 bits wide: some languages have no wider ones, and no number that is exact in f32 needs more.

use quantloom_spec::model::Format;

use super::{FloatOp, Language};
use crate::Error;
use crate::ir::{Affine, FloatKind, Home, Item, Op, Piece};

/// Prints the operations of one piece.
pub(super) struct Printer<'a, L> {
    pub format: &'a Format,
    /// Bytes of a stored block.
    pub block: usize,
    pub piece: &'a Piece,
    pub language: &'a L,
}

/// The variable that holds an operation's value.
pub(super) fn name(index: usize) -> String {
    format!("v{index}")
}

impl<L: Language> Printer<'_, L> {
    /// The counter of a loop; the suffix keeps a card's words apart from a language's.
    pub(super) fn digit(&self, index: usize) -> String {
        format!("{}_digit", self.piece.loops[index].name)
    }

    /// The declaration of an operation's value.
    pub(super) fn statement(&self, index: usize) -> Result<String, Error> {
        let op = &self.piece.ops[index].op;
        let kind = match op {
            Op::Bits { .. } | Op::Trit { .. } | Op::Join(_) => "u32",
            _ => "f32",
        };
        Ok(self.language.bind(kind, &name(index), &self.operation(index)?))
    }

    /// An operation's value as the operand of an f32 operation.
    pub(super) fn operand(&self, index: usize) -> String {
        match self.piece.ops[index].op {
            Op::Mul(..) | Op::Add(..) | Op::Sub(..) => self.language.rounded(&name(index)),
            _ => name(index),
        }
    }

    fn operation(&self, index: usize) -> Result<String, Error> {
        if self.width(index) > 32 {
            return Err(self.unsupported("stored integers of more than 32 bits"));
        }
        Ok(match &self.piece.ops[index].op {
            Op::Bits { item, bytes, shift, bits } => self.bits(self.byte(item)?, *bytes, shift, *bits),
            Op::Trit { item, digit } => format!("trit({}, {})", self.item(self.byte(item)?, 1), self.affine(digit)),
            Op::Join(parts) => join(parts),
            Op::SignedToFloat { of, bits: 32 } => format!("f32(i32({}))", name(*of)),
            Op::SignedToFloat { of, bits } => {
                let spare = 32 - bits;
                format!("f32(i32({} << {spare}u) >> {spare}u)", name(*of))
            }
            Op::ToFloat(of) => format!("f32({})", name(*of)),
            Op::Widen(kind, of) => self.widen(*kind, &name(*of))?,
            Op::Level { table, width, code, lane } => self.level(*table, *width, *code, lane),
            Op::Times(a, constant) => self.language.float(FloatOp::Mul, &self.operand(*a), &literal(*constant)),
            Op::Plus(a, constant) => self.language.float(FloatOp::Add, &self.operand(*a), &literal(*constant)),
            Op::Mul(a, b) => self.language.float(FloatOp::Mul, &self.operand(*a), &self.operand(*b)),
            Op::Add(a, b) => self.language.float(FloatOp::Add, &self.operand(*a), &self.operand(*b)),
            Op::Sub(a, b) => self.language.float(FloatOp::Sub, &self.operand(*a), &self.operand(*b)),
        })
    }

    fn unsupported(&self, what: &str) -> Error {
        Error::unsupported(self.format, &format!("{what} on a graphics processor"))
    }

    /// The byte of the block at which an item begins.
    fn byte<'i>(&self, item: &'i Item) -> Result<&'i Affine, Error> {
        match item {
            Item { home: Home::Block, at, stream: None } => Ok(&at[0]),
            _ => Err(self.unsupported("row headers and streams of bits")),
        }
    }

    /// Bits that an integer may have set, counted from the lowest; 0 for an f32.
    fn width(&self, index: usize) -> u32 {
        match &self.piece.ops[index].op {
            Op::Bits { bits, .. } => *bits,
            Op::Trit { .. } => 2,
            Op::Join(parts) => {
                parts.iter().map(|&(part, weight)| weight.next_power_of_two().ilog2() + self.width(part)).max().unwrap_or(0)
            }
            _ => 0,
        }
    }

    fn bits(&self, byte: &Affine, bytes: u32, shift: &Affine, bits: u32) -> String {
        if bytes > 4 {
            let (low, high) = (self.item(byte, 4), self.item(&moved(byte, 4), bytes - 4));
            return masked(&format!("bits_of_wide({low}, {high}, {})", self.affine(shift)), bits);
        }
        let item = self.item(byte, bytes);
        if *shift == Affine::default() {
            return if bits == 8 * bytes { item } else { masked(&item, bits) };
        }
        let shifted = format!("{item} >> {}", self.term(shift));
        let fills = shift.terms.is_empty() && shift.at + i64::from(bits) == i64::from(8 * bytes);
        if fills { shifted } else { masked(&format!("({shifted})"), bits) }
    }

    /// The little-endian integer of at most 4 bytes at `byte`, in the largest loads that its alignment allows.
    fn item(&self, byte: &Affine, bytes: u32) -> String {
        let aligned = self.alignment(byte);
        let mut parts = Vec::new();
        let mut done = 0;
        while done < bytes {
            let size = [4, 2, 1]
                .into_iter()
                .find(|size| bytes - done >= *size && aligned.is_multiple_of(u64::from(*size)))
                .unwrap_or(1);
            let place = moved(byte, done);
            let place = if place == Affine::default() { String::new() } else { format!(" + {}", self.affine(&place)) };
            let load = format!("load{}(block{place})", 8 * size);
            parts.push(if done == 0 { load } else { format!("({load} << {}u)", 8 * done) });
            done += size;
        }
        if let [only] = &parts[..] { only.clone() } else { format!("({})", parts.join(" | ")) }
    }

    /// The largest power of two that divides every place that an item can have in storage.
    fn alignment(&self, byte: &Affine) -> u64 {
        let strides = byte.terms.iter().map(|&(_, stride)| stride.unsigned_abs());
        let all = strides.fold(self.block as u64 | byte.at.unsigned_abs(), |all, stride| all | stride);
        1 << all.trailing_zeros()
    }

    fn widen(&self, kind: FloatKind, of: &str) -> Result<String, Error> {
        Ok(match kind {
            FloatKind::F16 => format!("f16({of})"),
            FloatKind::Bf16 => format!("bits_as_f32({of} << 16u)"),
            FloatKind::F32 => format!("bits_as_f32({of})"),
            FloatKind::E8m0 { bias } => format!("power_of_two({of}, {bias})"),
            FloatKind::Ue4m3 => format!("ue4m3({of})"),
            FloatKind::E4m3 => return Err(self.unsupported("signed 8-bit floats")),
        })
    }

    fn level(&self, table: usize, width: usize, code: usize, lane: &Affine) -> String {
        let code = name(code);
        let index = if width == 1 { code } else { format!("{width}u * {code}") };
        let lane = if *lane == Affine::default() { String::new() } else { format!(" + {}", self.affine(lane)) };
        format!("table{table}({index}{lane})")
    }

    /// An affine map as one operand.
    fn term(&self, map: &Affine) -> String {
        let sum = self.affine(map);
        if sum.contains(' ') { format!("({sum})") } else { sum }
    }

    /// An affine map as an unsigned expression. Terms with negative strides come last, so that no intermediate value is negative.
    pub(super) fn affine(&self, map: &Affine) -> String {
        let term = |&(index, stride): &(usize, i64)| {
            let digit = self.digit(index);
            if stride.abs() == 1 { digit } else { format!("{}u * {digit}", stride.abs()) }
        };
        let (added, taken): (Vec<_>, Vec<_>) = map.terms.iter().partition(|(_, stride)| *stride > 0);
        let mut sum = added.iter().map(term).collect::<Vec<_>>();
        if map.at != 0 || sum.is_empty() {
            sum.insert(0, format!("{}u", map.at));
        }
        taken.iter().map(term).fold(sum.join(" + "), |sum, term| format!("{sum} - {term}"))
    }
}

fn moved(byte: &Affine, by: u32) -> Affine {
    Affine { at: byte.at + i64::from(by), ..byte.clone() }
}

fn masked(value: &str, bits: u32) -> String {
    if bits == 32 { value.to_owned() } else { format!("{value} & {:#x}u", (1_u64 << bits) - 1) }
}

/// A sum of shifted parts where the parts are bits, of multiplied ones where they are digits of another base.
fn join(parts: &[(usize, u64)]) -> String {
    let shifts = parts.iter().all(|(_, weight)| weight.is_power_of_two());
    let terms = parts.iter().map(|&(part, weight)| match weight {
        1 => name(part),
        _ if shifts => format!("({} << {}u)", name(part), weight.ilog2()),
        _ => format!("{} * {weight}u", name(part)),
    });
    terms.collect::<Vec<_>>().join(if shifts { " | " } else { " + " })
}

/// A finite f32, exactly.
fn literal(value: f32) -> String {
    format!("{value:?}f")
}
