//! The codes of four consecutive weights at once, one in each byte of a word: how packers read what lies in such runs.

use proc_macro2::{Ident, Literal, TokenStream};
use quote::{format_ident, quote};

use super::item;
use super::value::{affine, name, needed, nest, nest_around, position};
use crate::ir::{Affine, Home, Item, Loop, Op, Piece};
use crate::lower::class::{Class, Source};

/// Weights of a word.
const LANES: usize = 4;
/// 1 in each byte.
const ONES: u32 = 0x0101_0101;

/// The codes of a piece, a word for every four weights.
pub struct Filled {
    piece: Piece,
    value: TokenStream,
    scalars: Vec<usize>,
    /// The tables that they are looked up in, as items.
    pub tables: TokenStream,
}

impl Filled {
    /// Of piece `at` of a decoder; `None` if its weights do not lie four and four together, or if a code is no word operation of
    /// what is stored.
    pub fn new(piece: &Piece, tables: &[Vec<f32>], class: &Class, at: usize) -> Option<Self> {
        let piece = by_fours(piece)?;
        let mut words = Words { piece: &piece, tables, scalars: Vec::new(), items: TokenStream::new(), at };
        let value = words.code(class)?;
        let Words { scalars, items: tables, .. } = words;
        Some(Self { value, scalars, tables, piece })
    }

    /// Fills `quads`; `first` is the number of weights before the block.
    pub fn fill(&self, first: Option<&TokenStream>) -> TokenStream {
        let value = &self.value;
        let first = first.map(|first| quote!(#first +));
        let chosen = needed(&self.piece, &self.scalars);
        nest(&self.piece, &chosen, &|position| quote!(quads[(#first #position) / #LANES] = #value;))
    }

    /// Fills `quads` with the codes of as few bodies of `body` weights as loops make, hands them to `store` with the position of
    /// the first, and goes on to the next; `None` if no loops make whole bodies.
    pub fn by_bodies(
        &self,
        weights: usize,
        body: usize,
        store: &dyn Fn(TokenStream, usize) -> TokenStream,
    ) -> Option<TokenStream> {
        let (piece, value) = (&self.piece, &self.value);
        let outer = piece.loops.iter().take_while(|digit| digit.stride >= body).count();
        let run = outer.checked_sub(1).map_or(weights, |last| piece.loops[last].stride);
        if piece.start > 0 || !run.is_multiple_of(body) {
            return None;
        }
        let (quads, place, store) = (run / LANES, place(piece, outer), store(position(piece, outer), run / body));
        let around = |inner| quote!(let mut quads = [0_u32; #quads]; #inner #store);
        Some(nest_around(piece, &needed(piece, &self.scalars), &|_| quote!(quads[(#place) / #LANES] = #value;), outer, &around))
    }
}

/// The piece with its fastest digit counted in fours, so that its operations are those of the first weight of each word.
fn by_fours(piece: &Piece) -> Option<Piece> {
    let (last, outer) = piece.loops.split_last()?;
    let whole = last.stride == 1 && last.size.is_multiple_of(LANES) && piece.start.is_multiple_of(LANES);
    if !whole || !outer.iter().all(|digit| digit.stride.is_multiple_of(LANES)) {
        return None;
    }
    let mut fours = piece.clone();
    *fours.loops.last_mut()? = Loop { size: last.size / LANES, stride: LANES, ..last.clone() };
    let index = outer.len();
    for node in &mut fours.ops {
        for map in maps(&mut node.op) {
            map.terms.iter_mut().filter(|(digit, _)| *digit == index).for_each(|(_, stride)| *stride *= LANES as i64);
        }
    }
    Some(fours)
}

/// The position within the loops that are not among the outermost `outer`.
fn place(piece: &Piece, outer: usize) -> TokenStream {
    let inner = piece.loops.iter().enumerate().skip(outer).map(|(index, digit)| (index, digit.stride as i64));
    affine(piece, &Affine { terms: inner.collect(), ..Affine::default() })
}

fn maps(op: &mut Op) -> Vec<&mut Affine> {
    match op {
        Op::Bits { item, shift, .. } => item.at.iter_mut().chain([shift]).collect(),
        Op::Trit { item, digit } => item.at.iter_mut().chain([digit]).collect(),
        Op::Level { lane, .. } => vec![lane],
        _ => Vec::new(),
    }
}

/// Operations on words, as they are made from a piece that is counted in fours.
struct Words<'a> {
    piece: &'a Piece,
    tables: &'a [Vec<f32>],
    /// Operations that are the same for all weights of a word.
    scalars: Vec<usize>,
    /// Tables of words.
    items: TokenStream,
    /// The number of the piece, which the names of its tables begin with.
    at: usize,
}

/// A part of a level that takes two values: a word of bytes that are 0 where it is the first, and all ones where it is the second.
struct Choice {
    mask: TokenStream,
    values: [f32; 2],
}

impl Words<'_> {
    /// The packed codes of a word.
    fn code(&mut self, class: &Class) -> Option<TokenStream> {
        match &class.source {
            Source::Code { signed_bits } => {
                let code = self.word(self.piece.values.code)?;
                let flip = |bits: u32| {
                    let flip = hex(ONES << (bits - 1));
                    quote!((#code) ^ #flip)
                };
                Some(signed_bits.map_or_else(|| code.clone(), flip))
            }
            Source::Level { unit, levels } => {
                let code_of =
                    |level: f32| levels.iter().position(|known| f32::from(*known) * unit == level).map(|code| code as u8);
                if class.zero_group.is_some() { None } else { self.level(&code_of) }
            }
        }
    }

    /// An unsigned integer of at most 8 bits for each weight.
    fn word(&mut self, index: usize) -> Option<TokenStream> {
        let node = &self.piece.ops[index];
        match &node.op {
            _ if node.depth < self.piece.loops.len() => {
                let bits = bits_of(self.piece, index)?;
                let (scalar, ones) = (self.scalar(index), hex(ONES));
                (bits <= 8).then(|| quote!(#scalar * #ones))
            }
            Op::Bits { item, bytes, shift, bits } if *bits <= 8 => self.bits(item, *bytes, shift, *bits),
            Op::Trit { item, digit } => self.trits(item, digit),
            Op::Join(parts) => {
                let mut terms = Vec::new();
                for &(part, weight) in parts {
                    if !weight.is_power_of_two() || weight.ilog2() + bits_of(self.piece, part)? > 8 {
                        return None;
                    }
                    let (word, shift) = (self.word(part)?, weight.ilog2());
                    terms.push(if shift == 0 { word } else { quote!(((#word) << #shift)) });
                }
                Some(quote!(#(#terms)|*))
            }
            _ => None,
        }
    }

    /// The value of an operation that does not depend on the fastest digit.
    fn scalar(&mut self, index: usize) -> Ident {
        self.scalars.push(index);
        name(index)
    }

    /// What a map adds from one weight to the next.
    fn step(&self, map: &Affine) -> i64 {
        let last = self.piece.loops.len() - 1;
        map.terms.iter().find(|(digit, _)| *digit == last).map_or(0, |(_, stride)| stride / LANES as i64)
    }

    fn bits(&self, item: &Item, bytes: u32, shift: &Affine, bits: u32) -> Option<TokenStream> {
        let steps = item.at.iter().map(|at| self.step(at)).collect::<Vec<_>>();
        let (along, step) = (steps.iter().sum::<i64>(), self.step(shift));
        let mask = hex(ONES * ((1 << bits) - 1));
        match (item.home, along, step) {
            // A byte for each weight.
            (Home::Block | Home::Header, 1, 0) if bytes == 1 && item.stream.is_none() => {
                let (word, by) = (item::word(self.piece, item), affine(self.piece, shift));
                let word = if by.to_string() == "0" { word } else { quote!(#word >> (#by)) };
                Some(if bits == 8 { word } else { quote!(#word & #mask) })
            }
            // Weights side by side in one item, or in a stream of them.
            (_, 0, 1..=4 | 8) if step >= i64::from(bits) => {
                let all = step as u32 * (LANES as u32 - 1) + bits;
                let run = item::bits(self.piece, item, bytes, shift, all);
                Some(spread(&quote!((#run) as u32), step as u32, bits))
            }
            _ => None,
        }
    }

    /// Four base-3 digits: `((b * 3^n mod 256) * 3) >> 8`, for two bytes at a time, which have 16 bits each.
    fn trits(&self, item: &Item, digit: &Affine) -> Option<TokenStream> {
        let block = item.home == Home::Block && item.stream.is_none() && self.step(&item.at[0]) == 1 && self.step(digit) == 0;
        let (word, digit) = (item::word(self.piece, item), affine(self.piece, digit));
        block.then(|| quote!(scalar::trits(#word, #digit)))
    }

    /// The code of each level, where levels are vectors of a table, and one part of them at most is chosen by a bit.
    fn level(&mut self, code_of: &dyn Fn(f32) -> Option<u8>) -> Option<TokenStream> {
        let (own, level) = (self.piece.values.own, self.piece.values.level);
        let (vector, values) = self.vector(own)?;
        let choice = match self.piece.ops[level].op {
            _ if level == own => None,
            Op::Mul(a, b) | Op::Sub(a, b) if a == own => Some(self.choice(b)?),
            _ => return None,
        };
        let apply = |value: f32, by: f32| if let Op::Mul(..) = self.piece.ops[level].op { value * by } else { value - by };
        let word = |of: &[f32], by: Option<f32>| {
            let codes = of.iter().map(|&value| code_of(by.map_or(value, |by| apply(value, by))));
            Some(u32::from_le_bytes(codes.collect::<Option<Vec<_>>>()?.try_into().ok()?))
        };
        let words = |by: Option<f32>| values.chunks(LANES).map(|of| word(of, by)).collect::<Option<Vec<_>>>();
        let Some(Choice { mask, values: [one, other] }) = choice else {
            let table = self.table("CODES", words(None)?.iter().map(|&word| hex(word)).collect(), &quote!(u32));
            return Some(quote!(#table[#vector]));
        };
        // Of each word what it is for the first value, and what changes for the second.
        let pairs = words(Some(one))?.into_iter().zip(words(Some(other))?).map(|(one, other)| {
            let (one, change) = (hex(one), hex(one ^ other));
            quote!([#one, #change])
        });
        let table = self.table("CODES", pairs.collect(), &quote!([u32; 2]));
        Some(quote!({
            let [codes, change] = #table[#vector];
            codes ^ change & (#mask)
        }))
    }

    /// A number from a table of vectors: the index of the word, and the table with what is made of its values.
    fn vector(&mut self, index: usize) -> Option<(TokenStream, Vec<f32>)> {
        match &self.piece.ops[index].op {
            Op::Times(of, by) => {
                let (vector, values) = self.vector(*of)?;
                Some((vector, values.into_iter().map(|value| value * by).collect()))
            }
            Op::Plus(of, by) => {
                let (vector, values) = self.vector(*of)?;
                Some((vector, values.into_iter().map(|value| value + by).collect()))
            }
            Op::Level { table, width, code, lane } if width.is_multiple_of(LANES) => {
                let fours = |stride: i64| (stride % LANES as i64 == 0).then_some(stride / LANES as i64);
                let terms = lane.terms.iter().map(|&(digit, stride)| Some((digit, fours(stride)?)));
                let lane = Affine { at: fours(lane.at)?, terms: terms.collect::<Option<_>>()?, known: Vec::new() };
                let (code_depth, lanes) = (self.piece.ops[*code].depth, self.piece.loops.len());
                if code_depth >= lanes {
                    return None;
                }
                let (code, lane, words) = (self.scalar(*code), affine(self.piece, &lane), width / LANES);
                Some((quote!(#words * #code as usize + #lane), self.tables[*table].clone()))
            }
            _ => None,
        }
    }

    /// A number that takes two values.
    fn choice(&mut self, index: usize) -> Option<Choice> {
        if let Some((vector, values)) = self.vector(index) {
            let one = *values.first()?;
            let other = values.iter().copied().find(|value| *value != one).unwrap_or(one);
            let byte = |value: &f32| if *value == one { Some(0) } else { (*value == other).then_some(0xFF) };
            let word = |of: &[f32]| Some(u32::from_le_bytes(of.iter().map(byte).collect::<Option<Vec<_>>>()?.try_into().ok()?));
            let words = values.chunks(LANES).map(|of| word(of).map(hex)).collect::<Option<Vec<_>>>()?;
            let table = self.table("MASKS", words, &quote!(u32));
            return Some(Choice { mask: quote!(#table[#vector]), values: [one, other] });
        }
        let (bit, values) = self.of_bit(index)?;
        let word = self.word(bit)?;
        Some(Choice { mask: quote!((#word) * 0xFF), values })
    }

    /// A number that follows from one bit: the operation that is the bit, and the number for 0 and 1.
    fn of_bit(&self, index: usize) -> Option<(usize, [f32; 2])> {
        let map = |of: usize, change: &dyn Fn(f32) -> f32| Some((self.of_bit(of)?.0, self.of_bit(of)?.1.map(change)));
        match &self.piece.ops[index].op {
            Op::ToFloat(of) if bits_of(self.piece, *of) == Some(1) => Some((*of, [0.0, 1.0])),
            Op::Level { table, width: 1, code, .. } if bits_of(self.piece, *code) == Some(1) => {
                Some((*code, self.tables[*table].as_slice().try_into().ok()?))
            }
            Op::Times(of, by) => map(*of, &|value| value * by),
            Op::Plus(of, by) => map(*of, &|value| value + by),
            _ => None,
        }
    }

    /// A table of its own for this piece.
    fn table(&mut self, kind: &str, rows: Vec<TokenStream>, ty: &TokenStream) -> Ident {
        let (table, len) = (format_ident!("{kind}_{}", self.at), rows.len());
        self.items.extend(quote!(static #table: [#ty; #len] = [#(#rows),*];));
        table
    }
}

/// Bits of an integer; `None` if it is none that is read in one piece.
fn bits_of(piece: &Piece, index: usize) -> Option<u32> {
    match &piece.ops[index].op {
        Op::Bits { bits, .. } => Some(*bits),
        Op::Join(parts) => parts.iter().map(|&(part, weight)| Some(weight.ilog2() + bits_of(piece, part)?)).max().flatten(),
        _ => None,
    }
}

/// Four fields of `bits` bits, `step` bits from each to the next, as bytes: first two and two, then one by one.
fn spread(run: &TokenStream, step: u32, bits: u32) -> TokenStream {
    if step == 8 {
        let mask = hex(ONES * ((1 << bits) - 1));
        return if bits == 8 { run.clone() } else { quote!((#run & #mask)) };
    }
    let mask = (1_u32 << bits) - 1;
    let (pair, pairs) = (mask | mask << step, 16 - 2 * step);
    let (two, four, each) = (hex(pair | pair << 16), hex(ONES * mask), 8 - step);
    quote!({
        let run = #run;
        let pairs = (run | run << #pairs) & #two;
        (pairs | pairs << #each) & #four
    })
}

/// A word whose bytes are seen.
pub fn hex(word: u32) -> TokenStream {
    let literal: Literal = format!("0x{word:08x}").parse().expect("a literal");
    quote!(#literal)
}
