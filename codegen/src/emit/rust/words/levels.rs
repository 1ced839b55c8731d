//! Codes of levels that are looked up in vectors.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};

use super::{LANES, Run, Words, bits_of, bodies, by_lanes, literal, place, word_type, woven};
use crate::emit::rust::value::{affine, needed, nest_around, position};
use crate::ir::{Affine, Decoder, Op, Piece};
use crate::lower::class::{Class, Source};

/// Most bits of an index of a table that is made for the purpose.
const INDEX_BITS: u32 = 8;

/// Most bits of an index that takes a bit of its own in: a table of 32 KiB, which fits the first-level cache beside the lines.
const JOINED_BITS: u32 = 12;

/// A part of a level that takes two values.
struct Choice {
    mask: Mask,
    values: [f32; 2],
}

/// Which weights have the second value of a [`Choice`].
enum Mask {
    /// All of a word or none: the operation that is the bit.
    Bit(usize),
    /// An index of words of bytes that are 0 where it is the first, and all ones where it is the second.
    Table(TokenStream, Vec<u64>),
}

/// The codes of a piece whose levels are looked up, a word for every four or eight weights.
pub struct Levels {
    piece: Piece,
    /// Weights of a word.
    lanes: usize,
    value: TokenStream,
    scalars: Vec<usize>,
    /// The tables that they are looked up in, as items.
    tables: TokenStream,
}

impl Levels {
    /// Puts the codes of 16 rows of a block into lines, of as few bodies as loops make, and on to the next; before that their tables.
    /// `None` if no four weights have their levels from one place of a table.
    pub fn of_rows(decoder: &Decoder, class: &Class, run: &Run<'_>) -> Option<(TokenStream, TokenStream)> {
        let pieces = || decoder.pieces.iter().enumerate();
        let all =
            |lanes| pieces().map(|(at, piece)| Self::of(piece, &decoder.tables, class, at, lanes)).collect::<Option<Vec<_>>>();
        let levels = [2 * LANES, LANES].into_iter().find_map(all)?;
        let tables = levels.iter().map(|levels| levels.tables.clone()).collect();
        Some((tables, Self::put(&levels, class.block, run)))
    }

    fn of(whole: &Piece, tables: &[Vec<f32>], class: &Class, at: usize, lanes: usize) -> Option<Self> {
        let Source::Level { unit, levels } = &class.source else { return None };
        let code_of = |level: f32| levels.iter().position(|known| f32::from(*known) * unit == level).map(|code| code as u8);
        let (piece, scalars, items) = (by_lanes(whole, lanes)?, Vec::new(), TokenStream::new());
        let mut words = Words { whole, piece, tables, lanes, scalars, items, at };
        let value = if class.zero_group.is_some() { None } else { words.level(&code_of) }?;
        let Words { scalars, items: tables, piece, .. } = words;
        Some(Self { value, lanes, scalars, tables, piece })
    }

    fn put(pieces: &[Self], weights: usize, run: &Run<'_>) -> TokenStream {
        let whole = pieces.iter().map(|words| &words.piece).collect::<Vec<_>>();
        let (outer, weights) = bodies(&whole, weights, run.body);
        let of_lane = run.of_lane;
        let of_lanes = |inner| quote!(for lane in 0..PANEL_ROWS { #of_lane #inner });
        let lanes = pieces[0].lanes;
        let nest = |words: &Self, around: &dyn Fn(TokenStream) -> TokenStream| {
            let (chosen, place) = (needed(&words.piece, &words.scalars), place(&words.piece, outer));
            let (value, at) = (&words.value, quote!((#place) / #LANES));
            let store = match lanes {
                LANES => quote!(quads[#at][lane] = #value;),
                _ => quote! {
                    let word = #value;
                    quads[#at][lane] = word as u32;
                    quads[#at + 1][lane] = (word >> 32) as u32;
                },
            };
            nest_around(&words.piece, &chosen, &|_| store.clone(), outer, around)
        };
        if let [words] = pieces {
            let first = position(&words.piece, outer);
            return nest(words, &|inner| woven(weights, &of_lanes(inner), &first, run));
        }
        let fills = pieces.iter().map(|words| nest(words, &of_lanes)).collect();
        woven(weights, &fills, &quote!(0), run)
    }
}

impl Words<'_> {
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
            Some(word_of(&codes.collect::<Option<Vec<_>>>()?))
        };
        let words = |by: Option<f32>| values.chunks(self.lanes).map(|of| word(of, by)).collect::<Option<Vec<_>>>();
        let Some(Choice { mask, values: [one, other] }) = choice else {
            let table = self.table("CODES", &words(None)?);
            return Some(quote!(#table[#vector]));
        };
        let (ones, others) = (words(Some(one))?, words(Some(other))?);
        if let Mask::Bit(bit) = mask
            && let Some(index) = self.joined(own, bit)
        {
            let codes = self.table("CODES", &[ones, others].concat());
            return Some(quote!(#codes[#index as usize]));
        }
        let changes = ones.iter().zip(&others).map(|(one, other)| one ^ other).collect::<Vec<_>>();
        if changes.iter().all(|change| *change == changes[0]) {
            let (codes, masked) = (self.table("CODES", &ones), self.masked(mask, changes[0]));
            return Some(quote!(#codes[#vector] ^ #masked));
        }
        // Of each word what it is for the first value, and what changes for the second.
        let (codes, mask) = (self.pairs("CODES", &ones, &changes), self.masked(mask, u64::MAX));
        Some(quote!({
            let [codes, change] = #codes[#vector];
            codes ^ change & #mask
        }))
    }

    /// The index of a vector of one word with a bit above it, where both are read as one number.
    fn joined(&mut self, vector: usize, bit: usize) -> Option<Ident> {
        let code = match self.piece.ops[vector].op {
            Op::Level { width, code, .. } if width == self.lanes => code,
            Op::Times(of, _) | Op::Plus(of, _) => return self.joined(of, bit),
            _ => return None,
        };
        let (Op::Join(parts), Op::Bits { item: above, shift: above_shift, .. }) =
            (&self.piece.ops[code].op, &self.piece.ops[bit].op)
        else {
            return None;
        };
        let (&(last, weight), rest) = parts.split_last()?;
        let Op::Bits { item, bytes, shift, bits } = &self.piece.ops[last].op else { return None };
        let next = Affine { at: shift.at + i64::from(*bits), ..shift.clone() };
        if item != above || next != *above_shift || bits_of(&self.piece, code)? >= JOINED_BITS {
            return None;
        }
        let wider = Op::Bits { item: item.clone(), bytes: *bytes, shift: shift.clone(), bits: bits + 1 };
        let rest = rest.to_vec();
        let wider = self.push(wider);
        Some(self.scalar_of(Op::Join([rest, vec![(wider, weight)]].concat())))
    }

    /// The bits of `change` in the bytes that a mask chooses.
    fn masked(&mut self, mask: Mask, change: u64) -> TokenStream {
        let ty = word_type(self.lanes);
        match mask {
            Mask::Bit(bit) => {
                let bit = self.scalar(bit);
                let change = literal(change & u64::MAX >> (64 - 8 * self.lanes), self.lanes);
                quote!((0 as #ty).wrapping_sub(#bit as #ty) & #change)
            }
            Mask::Table(index, masks) => {
                let table = self.table("MASKS", &masks.iter().map(|mask| mask & change).collect::<Vec<_>>());
                quote!(#table[#index])
            }
        }
    }

    /// A number from a table of vectors: the index of the word, and the table with what is made of its values.
    fn vector(&mut self, index: usize) -> Option<(TokenStream, Vec<f32>)> {
        match self.piece.ops[index].op.clone() {
            Op::Times(of, by) => {
                let (vector, values) = self.vector(of)?;
                Some((vector, values.into_iter().map(|value| value * by).collect()))
            }
            Op::Plus(of, by) => {
                let (vector, values) = self.vector(of)?;
                Some((vector, values.into_iter().map(|value| value + by).collect()))
            }
            Op::Level { table, width, code, lane } if width.is_multiple_of(self.lanes) => {
                let lanes = self.lanes as i64;
                let words = |stride: i64| (stride % lanes == 0).then_some(stride / lanes);
                let terms = lane.terms.iter().map(|&(digit, stride)| Some((digit, words(stride)?)));
                let lane = Affine { at: words(lane.at)?, terms: terms.collect::<Option<_>>()?, known: Vec::new() };
                if self.piece.ops[code].depth >= self.piece.loops.len() && self.varies(code) {
                    return None;
                }
                let (code, lane, words) = (self.scalar(code), affine(&self.piece, &lane), width / self.lanes);
                let index = match (words, lane.to_string().as_str()) {
                    (1, "0") => quote!(#code as usize),
                    _ => quote!(#words * #code as usize + #lane),
                };
                Some((index, self.tables[table].clone()))
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
            let word = |of: &[f32]| Some(word_of(&of.iter().map(byte).collect::<Option<Vec<_>>>()?));
            let words = values.chunks(self.lanes).map(word).collect::<Option<Vec<_>>>()?;
            return Some(Choice { mask: Mask::Table(vector, words), values: [one, other] });
        }
        let (bit, values) = self.of_bit(index)?;
        Some(Choice { mask: self.mask(bit)?, values })
    }

    /// The mask of a bit: one for all weights of a word, or one for each, side by side.
    fn mask(&mut self, bit: usize) -> Option<Mask> {
        if !self.varies(bit) {
            return Some(Mask::Bit(bit));
        }
        let (Op::Bits { item, bytes, shift, .. }, Op::Bits { item: whole, shift: whole_shift, .. }) =
            (&self.piece.ops[bit].op, &self.whole.ops[bit].op)
        else {
            return None;
        };
        let bits = self.lanes as u32;
        let fixed = whole.at.iter().all(|at| self.step(at) == Some(0));
        if !fixed || self.step(whole_shift) != Some(1) || bits > INDEX_BITS {
            return None;
        }
        let op = Op::Bits { item: item.clone(), bytes: *bytes, shift: shift.clone(), bits };
        let run = self.scalar_of(op);
        let chosen = |index: u64| {
            let bytes = (0..bits).map(|bit| if index >> bit & 1 == 1 { 0xFF } else { 0 });
            word_of(&bytes.collect::<Vec<_>>())
        };
        Some(Mask::Table(quote!(#run as usize), (0..1 << bits).map(chosen).collect()))
    }

    /// A number that follows from one bit: the operation that is the bit, and the number for 0 and 1.
    fn of_bit(&self, index: usize) -> Option<(usize, [f32; 2])> {
        let map = |of: usize, change: &dyn Fn(f32) -> f32| Some((self.of_bit(of)?.0, self.of_bit(of)?.1.map(change)));
        match &self.piece.ops[index].op {
            Op::ToFloat(of) if bits_of(&self.piece, *of) == Some(1) => Some((*of, [0.0, 1.0])),
            Op::Level { table, width: 1, code, .. } if bits_of(&self.piece, *code) == Some(1) => {
                Some((*code, self.tables[*table].as_slice().try_into().ok()?))
            }
            Op::Times(of, by) => map(*of, &|value| value * by),
            Op::Plus(of, by) => map(*of, &|value| value + by),
            _ => None,
        }
    }

    /// A table of words of its own for this piece.
    fn table(&mut self, kind: &str, words: &[u64]) -> Ident {
        let (table, len, ty) = (format_ident!("{kind}_{}", self.at), words.len(), word_type(self.lanes));
        let words = words.iter().map(|&word| literal(word, self.lanes));
        self.items.extend(quote!(static #table: [#ty; #len] = [#(#words),*];));
        table
    }

    /// The same of two words in each place.
    fn pairs(&mut self, kind: &str, ones: &[u64], others: &[u64]) -> Ident {
        let (table, len, ty) = (format_ident!("{kind}_{}", self.at), ones.len(), word_type(self.lanes));
        let (ones, others) =
            (ones.iter().map(|&word| literal(word, self.lanes)), others.iter().map(|&word| literal(word, self.lanes)));
        self.items.extend(quote!(static #table: [[#ty; 2]; #len] = [#([#ones, #others]),*];));
        table
    }
}

/// A word of bytes, the first lowest.
fn word_of(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte))
}
