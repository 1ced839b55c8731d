//! The codes of four consecutive weights at once, one in each byte of a word: how packers read what lies in such runs.

mod levels;

use proc_macro2::{Ident, Literal, TokenStream};
use quote::quote;

use super::item;
use super::value::{affine, name, needed, nest, nest_around, position};
use crate::ir::{Affine, Home, Loop, Op, Piece};
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
        let (whole, piece) = (piece, by_fours(piece)?);
        let mut words = Words { whole, piece: &piece, tables, scalars: Vec::new(), items: TokenStream::new(), at };
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

/// The piece with its fastest digits counted in fours, so that its operations are those of the first weight of each word.
fn by_fours(piece: &Piece) -> Option<Piece> {
    let mut fours = piece.clone();
    // Two weights that share a byte may have a digit of their own.
    let stride = match fours.loops.last()? {
        Loop { size: 2, stride: 1, .. } => fours.loops.pop()?.size,
        _ => 1,
    };
    let (index, lanes) = (fours.loops.len().checked_sub(1)?, LANES / stride);
    let last = &mut fours.loops[index];
    let whole = last.stride == stride && last.size.is_multiple_of(lanes) && piece.start.is_multiple_of(LANES);
    *last = Loop { size: last.size / lanes, stride: LANES, ..last.clone() };
    if !whole || !fours.loops.iter().all(|digit| digit.stride.is_multiple_of(LANES)) {
        return None;
    }
    for node in &mut fours.ops {
        node.depth = node.depth.min(index + 1);
        for map in maps(&mut node.op) {
            map.terms.retain(|(digit, _)| *digit <= index);
            map.terms.iter_mut().filter(|(digit, _)| *digit == index).for_each(|(_, stride)| *stride *= lanes as i64);
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
    /// The piece, weight by weight.
    whole: &'a Piece,
    /// The same in fours.
    piece: &'a Piece,
    tables: &'a [Vec<f32>],
    /// Operations that are the same for all weights of a word.
    scalars: Vec<usize>,
    /// Tables of words.
    items: TokenStream,
    /// The number of the piece, which the names of its tables begin with.
    at: usize,
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
            Op::Bits { bits: ..=8, .. } => self.bits(index),
            Op::Trit { .. } => self.trits(index),
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

    /// What a map of the whole piece adds for each weight of a word.
    fn offsets(&self, map: &Affine) -> [i64; LANES] {
        std::array::from_fn(|lane| {
            let mut rest = lane;
            let digits = self.whole.loops.iter().enumerate().rev().map(|(index, digit)| {
                let value = (rest % digit.size) as i64;
                rest /= digit.size;
                value * map.terms.iter().find(|(digit, _)| *digit == index).map_or(0, |&(_, stride)| stride)
            });
            digits.sum()
        })
    }

    /// The same, if it is so much for each.
    fn step(&self, map: &Affine) -> Option<i64> {
        let offsets = self.offsets(map);
        offsets.windows(2).all(|pair| pair[1] - pair[0] == offsets[1]).then_some(offsets[1])
    }

    /// Bits of stored items.
    fn bits(&self, index: usize) -> Option<TokenStream> {
        let (Op::Bits { item, bytes, shift, bits }, Op::Bits { item: whole, shift: whole_shift, .. }) =
            (&self.piece.ops[index].op, &self.whole.ops[index].op)
        else {
            return None;
        };
        let (bytes, bits) = (*bytes, *bits);
        let steps = whole.at.iter().map(|at| self.step(at)).collect::<Option<Vec<_>>>();
        let along = steps.map(|steps| (steps.len(), steps.iter().map(|step| step.abs()).sum::<i64>()));
        match (item.home, along, self.step(whole_shift)) {
            // A byte for each weight.
            (Home::Block | Home::Header, Some((1, 1)), Some(0)) if bytes == 1 && item.stream.is_none() => {
                let (word, by) = (item::word(self.piece, item), affine(self.piece, shift));
                let word = if by.to_string() == "0" { word } else { quote!(#word >> (#by)) };
                let mask = hex(ONES * ((1 << bits) - 1));
                Some(if bits == 8 { word } else { quote!(#word & #mask) })
            }
            // Weights side by side in one item, or in a stream of them.
            (_, Some((_, 0)), Some(step @ (1..=4 | 8))) if step >= i64::from(bits) => {
                let all = step as u32 * (LANES as u32 - 1) + bits;
                let run = item::bits(self.piece, item, bytes, shift, all);
                Some(spread(&quote!((#run) as u32), step as u32, bits))
            }
            // Each weight by itself.
            _ => {
                let (places, shifts) = (whole.at.iter().map(|at| self.offsets(at)), self.offsets(whole_shift));
                let places = places.collect::<Vec<_>>();
                let lanes = (0..LANES).map(|lane| {
                    let (mut item, mut shift) = (item.clone(), shift.clone());
                    item.at.iter_mut().zip(&places).for_each(|(at, offsets)| at.at += offsets[lane]);
                    shift.at += shifts[lane];
                    let (value, up) = (item::bits(self.piece, &item, bytes, &shift, bits), 8 * lane as u32);
                    if up == 0 { quote!((#value)) } else { quote!((#value) << #up) }
                });
                Some(quote!((#(#lanes)|*)))
            }
        }
    }

    /// Four base-3 digits, each of a byte.
    fn trits(&self, index: usize) -> Option<TokenStream> {
        let (Op::Trit { item, digit }, Op::Trit { item: whole, digit: whole_digit }) =
            (&self.piece.ops[index].op, &self.whole.ops[index].op)
        else {
            return None;
        };
        let bytes = item.home == Home::Block && item.stream.is_none() && self.step(&whole.at[0]) == Some(1);
        let (word, by) = (item::word(self.piece, item), affine(self.piece, digit));
        (bytes && self.step(whole_digit) == Some(0)).then(|| quote!(scalar::trits(#word, #by)))
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
