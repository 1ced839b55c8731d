//! Lowers a checked format to the operations that give the value of a weight.

use quantloom_spec::model::{self, Element, Format, Map, Number, Plane, Run, Stored};

use crate::Error;
use crate::ir::{Affine, Decoder, FloatKind, Loop, Node, Op, Part, Piece, Values};

/// The decoder of a block format.
///
/// # Errors
/// The format lives in separate tensors, or its rows have headers, streams or types that no operation reads yet.
pub fn decoder(format: &Format) -> Result<Decoder, Error> {
    let blocks = format.blocks().ok_or_else(|| Error::unsupported(format, "separate tensors have no block decoder"))?;
    let strange = |field: &model::Field| field.stream || field.element == Element::E4m3;
    if blocks.header > 0 || blocks.fields.iter().any(strange) {
        return Err(Error::unsupported(format, "row headers, streams and signed 8-bit floats"));
    }
    let mut tables = Vec::new();
    let pieces = format.pieces.iter().map(|piece| lower_piece(format, piece, &mut tables)).collect();
    Ok(Decoder { weights: blocks.weights, bytes: blocks.bytes, tables, pieces })
}

fn lower_piece(format: &Format, piece: &model::Piece, tables: &mut Vec<Vec<f32>>) -> Piece {
    let loops = piece
        .digits
        .iter()
        .map(|digit| Loop { name: digit.name.clone(), size: digit.size, stride: digit.stride })
        .collect::<Vec<_>>();
    let mut lowering = Lowering { format, loops: &loops, tables, ops: Vec::new() };
    let values = lowering.weight(piece);
    let ops = lowering.ops;
    Piece { start: piece.start, loops, ops, values }
}

/// The operations of one piece, as they are made.
struct Lowering<'a> {
    format: &'a Format,
    loops: &'a [Loop],
    tables: &'a mut Vec<Vec<f32>>,
    ops: Vec<Node>,
}

impl Lowering<'_> {
    /// `scale * ((code - zero) * sign) + min`, in the order that the language fixes.
    fn weight(&mut self, piece: &model::Piece) -> Values {
        let code = self.stored_bits(&piece.code);
        let own = self.own(&piece.code, code);
        let mut weight = own;
        if let Some(outer) = &piece.code.outer {
            weight = self.under(outer, weight);
        }
        let zero = self.format.zero.as_ref().map(|zero| {
            let zero = self.number(zero).0;
            weight = self.push(Op::Sub(weight, zero));
            zero
        });
        if let Some(sign) = &self.format.sign {
            let sign = self.number(sign).0;
            weight = self.push(Op::Mul(weight, sign));
        }
        let level = weight;
        let scale = self.format.scale.as_ref().map(|scale| {
            let (value, part) = self.number(scale);
            weight = self.push(Op::Mul(value, weight));
            part
        });
        let min = self.format.min.as_ref().map(|min| {
            let (value, part) = self.number(min);
            weight = self.push(Op::Add(weight, value));
            part
        });
        Values { weight, code, own, zero, level, scale, min }
    }

    /// The value of a number, and its two levels.
    fn number(&mut self, number: &Number) -> (usize, Part) {
        let stored = self.stored_bits(number);
        let own = self.own(number, stored);
        match &number.outer {
            None => (own, Part { stored: None, root: own }),
            Some(outer) => {
                let root = self.number(outer).0;
                (self.push(Op::Mul(root, own)), Part { stored: Some(stored), root })
            }
        }
    }

    fn under(&mut self, outer: &Number, own: usize) -> usize {
        let root = self.number(outer).0;
        self.push(Op::Mul(root, own))
    }

    /// The stored bits of a number, as an unsigned integer.
    fn stored_bits(&mut self, number: &Number) -> usize {
        match &number.stored {
            Stored::Item { field, item } => self.item_bits(*field, item),
            Stored::Planes { planes, .. } => {
                let parts = planes.iter().map(|plane| (self.plane(plane), plane.run.radix())).collect::<Vec<_>>();
                if let [(only, _)] = parts[..] {
                    return only;
                }
                let joined = parts.into_iter().scan(1, |next, (part, radix)| {
                    let weight = *next;
                    *next *= radix;
                    Some((part, weight))
                });
                let joined = joined.collect();
                self.push(Op::Join(joined))
            }
        }
    }

    fn item_bits(&mut self, field: usize, item: &Map) -> usize {
        let bits = self.format.element(field).bits();
        let byte = self.byte_of(field, item);
        self.push(Op::Bits { byte, bytes: bits / 8, shift: Affine::default(), bits })
    }

    fn plane(&mut self, plane: &Plane) -> usize {
        let byte = self.byte_of(plane.field, &plane.item);
        match &plane.run {
            Run::Bits { bit, bits } => {
                let bytes = self.format.element(plane.field).bits() / 8;
                let shift = self.affine(bit);
                self.push(Op::Bits { byte, bytes, shift, bits: *bits })
            }
            Run::Trit(digit) => {
                let digit = self.affine(digit);
                self.push(Op::Trit { byte, digit })
            }
        }
    }

    /// `step * level(stored) + offset`.
    fn own(&mut self, number: &Number, stored: usize) -> usize {
        let element = match &number.stored {
            Stored::Item { field, .. } => Some(self.format.element(*field)),
            Stored::Planes { element, .. } => *element,
        };
        let (mut value, step) = match (&number.levels, element) {
            (Some(levels), _) => (self.level(levels, stored), number.step),
            (None, Some(Element::E8m0)) => self.power_of_two(stored, number.step),
            (None, element) => (self.widen(element, stored), number.step),
        };
        if let Some(step) = step {
            value = self.push(Op::Times(value, step as f32));
        }
        if let Some(offset) = number.offset {
            value = self.push(Op::Plus(value, offset as f32));
        }
        value
    }

    /// A power of two; its step goes into the exponent, because 2^128 * 0.5 is an f32 but 2^128 is not.
    fn power_of_two(&mut self, stored: usize, step: Option<f64>) -> (usize, Option<f64>) {
        let exponent = step.map_or(0.0, f64::log2);
        let folds = exponent.fract() == 0.0;
        let bias = if folds { 127 - exponent as i32 } else { 127 };
        (self.push(Op::Widen(FloatKind::E8m0 { bias }, stored)), step.filter(|_| !folds))
    }

    fn widen(&mut self, element: Option<Element>, stored: usize) -> usize {
        self.push(match element {
            None | Some(Element::Unsigned(_)) => Op::ToFloat(stored),
            Some(Element::Signed(bits)) => Op::SignedToFloat { of: stored, bits: u32::from(bits) },
            Some(Element::F16) => Op::Widen(FloatKind::F16, stored),
            Some(Element::Bf16) => Op::Widen(FloatKind::Bf16, stored),
            Some(Element::F32) => Op::Widen(FloatKind::F32, stored),
            Some(Element::E8m0) => Op::Widen(FloatKind::E8m0 { bias: 127 }, stored),
            Some(Element::Ue4m3) => Op::Widen(FloatKind::Ue4m3, stored),
            Some(Element::E4m3) => unreachable!("lowering starts from types that it knows"),
        })
    }

    fn level(&mut self, levels: &model::Levels, code: usize) -> usize {
        let table = self.tables.iter().position(|table| *table == levels.values).unwrap_or_else(|| {
            self.tables.push(levels.values.clone());
            self.tables.len() - 1
        });
        let terms = self.loops.iter().enumerate().filter(|(_, digit)| digit.stride < levels.width);
        let lane = Affine { at: 0, terms: terms.map(|(index, digit)| (index, digit.stride as i64)).collect() };
        self.push(Op::Level { table, width: levels.width, code, lane })
    }

    fn byte_of(&self, field: usize, item: &Map) -> Affine {
        let blocks = self.format.blocks().expect("lowering starts from blocks");
        let field = &blocks.fields[field];
        let size = i64::from(field.element.bits() / 8);
        let mut byte = self.affine(item);
        byte.at = byte.at * size + field.at as i64;
        for (_, stride) in &mut byte.terms {
            *stride *= size;
        }
        byte
    }

    fn affine(&self, map: &Map) -> Affine {
        let term = |(index, digit): (usize, &Loop)| map.strides.get(&digit.name).map(|&stride| (index, stride));
        let terms = self.loops.iter().enumerate().filter_map(term).filter(|&(_, stride)| stride != 0).collect();
        Affine { at: map.at, terms }
    }

    fn push(&mut self, op: Op) -> usize {
        let known = |index: &usize| self.ops[*index].depth;
        let depth = match &op {
            Op::Bits { byte, shift, .. } => byte.depth().max(shift.depth()),
            Op::Trit { byte, digit } => byte.depth().max(digit.depth()),
            Op::Join(parts) => parts.iter().map(|(part, _)| known(part)).max().unwrap_or(0),
            Op::Level { code, lane, .. } => known(code).max(lane.depth()),
            Op::SignedToFloat { of, .. } => known(of),
            Op::ToFloat(a) | Op::Widen(_, a) | Op::Times(a, _) | Op::Plus(a, _) => known(a),
            Op::Mul(a, b) | Op::Add(a, b) | Op::Sub(a, b) => known(a).max(known(b)),
        };
        self.ops.push(Node { depth, op });
        self.ops.len() - 1
    }
}
