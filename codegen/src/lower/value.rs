//! Lowers a checked format to the operations that give the value of a weight.

use quantloom_spec::model::{self, Digit, Element, Format, Home, Map, Number, Plane, Run, Stored};

use crate::ir::{self, Affine, Decoder, FloatKind, Item, Known, Loop, Node, Op, Part, Piece, Storage, Values};

/// The decoder of a format.
#[must_use]
pub fn decoder(format: &Format) -> Decoder {
    let storage = match &format.storage {
        model::Storage::Blocks(blocks) => Storage::Rows { header: blocks.header, block: blocks.bytes },
        model::Storage::Tensors(tensors) => Storage::Tensors { known: known(format, &tensors.rows) },
    };
    let weights = format.pieces.last().map_or(1, |piece| piece.end);
    let mut tables = Vec::new();
    let pieces = format.pieces.iter().map(|piece| lower_piece(format, &storage, piece, &mut tables)).collect();
    Decoder { weights, storage, tables, pieces }
}

/// The digits that separate tensors know before a block is begun: those of the row, and the unbounded one of the position.
fn known(format: &Format, rows: &[Digit]) -> Vec<Known> {
    let block = format.pieces.iter().flat_map(|piece| &piece.digits).filter(|digit| digit.size == 0);
    let row = |digit: &Digit| Known::Row { name: digit.name.clone(), stride: digit.stride, size: digit.size };
    rows.iter().map(row).chain(block.map(|digit| Known::Block { name: digit.name.clone() })).collect()
}

fn lower_piece(format: &Format, storage: &Storage, piece: &model::Piece, tables: &mut Vec<Vec<f32>>) -> Piece {
    let bounded = piece.digits.iter().filter(|digit| digit.size > 0);
    let loops =
        bounded.map(|digit| Loop { name: digit.name.clone(), size: digit.size, stride: digit.stride }).collect::<Vec<_>>();
    let known: &[Known] = match storage {
        Storage::Rows { .. } => &[],
        Storage::Tensors { known } => known,
    };
    let mut lowering = Lowering { format, known, loops: &loops, tables, ops: Vec::new() };
    let values = lowering.weight(piece);
    let ops = lowering.ops;
    Piece { start: piece.start, loops, ops, values }
}

/// The operations of one piece, as they are made.
struct Lowering<'a> {
    format: &'a Format,
    known: &'a [Known],
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
            let zero = self.number(zero).value;
            weight = self.push(Op::Sub(weight, zero));
            zero
        });
        if let Some(sign) = &self.format.sign {
            let sign = self.number(sign).value;
            weight = self.push(Op::Mul(weight, sign));
        }
        let level = weight;
        let scale = self.format.scale.as_ref().map(|scale| {
            let part = self.number(scale);
            weight = self.push(Op::Mul(part.value, weight));
            part
        });
        let min = self.format.min.as_ref().map(|min| {
            let part = self.number(min);
            weight = self.push(Op::Add(weight, part.value));
            part
        });
        Values { weight, code, own, zero, level, scale, min }
    }

    /// The value of a number, and its two levels.
    fn number(&mut self, number: &Number) -> Part {
        let stored = self.stored_bits(number);
        let own = self.own(number, stored);
        match &number.outer {
            None => Part { value: own, stored: None, root: own },
            Some(outer) => {
                let root = self.number(outer).value;
                Part { value: self.push(Op::Mul(root, own)), stored: Some(stored), root }
            }
        }
    }

    fn under(&mut self, outer: &Number, own: usize) -> usize {
        let root = self.number(outer).value;
        self.push(Op::Mul(root, own))
    }

    /// The stored bits of a number, as an unsigned integer.
    fn stored_bits(&mut self, number: &Number) -> usize {
        match &number.stored {
            Stored::Item { field, item } => {
                let bits = self.format.element(*field).bits();
                let item = Item { stream: None, ..self.item(*field, item) };
                self.push(Op::Bits { item, bytes: bits / 8, shift: Affine::default(), bits })
            }
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

    fn plane(&mut self, plane: &Plane) -> usize {
        let item = self.item(plane.field, &plane.item);
        match &plane.run {
            Run::Bits { bit, bits } => {
                let bytes = self.format.element(plane.field).bits() / 8;
                let shift = self.affine(bit);
                self.push(Op::Bits { item, bytes, shift, bits: *bits })
            }
            Run::Trit(digit) => {
                let digit = self.affine(digit);
                self.push(Op::Trit { item, digit })
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
            Some(Element::E4m3) => Op::Widen(FloatKind::E4m3, stored),
        })
    }

    fn level(&mut self, levels: &model::Levels, code: usize) -> usize {
        let table = self.tables.iter().position(|table| *table == levels.values).unwrap_or_else(|| {
            self.tables.push(levels.values.clone());
            self.tables.len() - 1
        });
        let terms = self.loops.iter().enumerate().filter(|(_, digit)| digit.stride < levels.width);
        let lane = Affine { terms: terms.map(|(index, digit)| (index, digit.stride as i64)).collect(), ..Affine::default() };
        self.push(Op::Level { table, width: levels.width, code, lane })
    }

    /// An item of a field or tensor; `item` counts for fields only, because a tensor has maps of its own.
    fn item(&self, field: usize, item: &Map) -> Item {
        match &self.format.storage {
            model::Storage::Blocks(blocks) => {
                let field = &blocks.fields[field];
                let home = match field.home {
                    Home::Block => ir::Home::Block,
                    Home::Row => ir::Home::Header,
                };
                let size = i64::from(field.element.bits() / 8);
                let mut byte = self.affine(item);
                byte.at = byte.at * size + field.at as i64;
                byte.terms.iter_mut().for_each(|(_, stride)| *stride *= size);
                Item { home, at: vec![byte], stream: field.stream.then_some(0) }
            }
            model::Storage::Tensors(tensors) => {
                let tensor = &tensors.tensors[field];
                let at = tensor.axes.iter().map(|axis| self.affine(axis)).collect();
                Item { home: ir::Home::Tensor(field), at, stream: tensor.stream }
            }
        }
    }

    fn affine(&self, map: &Map) -> Affine {
        let stride = |name: &str| map.strides.get(name).copied().filter(|&stride| stride != 0);
        let loops = self.loops.iter().map(|digit| digit.name.as_str());
        let known = self.known.iter().map(Known::name);
        Affine {
            at: map.at,
            terms: loops.enumerate().filter_map(|(index, name)| Some((index, stride(name)?))).collect(),
            known: known.filter_map(|name| Some((name.to_owned(), stride(name)?))).collect(),
        }
    }

    fn push(&mut self, op: Op) -> usize {
        let known = |index: &usize| self.ops[*index].depth;
        let depth = match &op {
            Op::Bits { item, shift, .. } => item.depth().max(shift.depth()),
            Op::Trit { item, digit } => item.depth().max(digit.depth()),
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
