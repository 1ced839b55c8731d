//! Codes of levels that are looked up in vectors.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};

use super::{LANES, Words, bits_of, hex};
use crate::emit::rust::value::affine;
use crate::ir::{Affine, Op};

/// A part of a level that takes two values: a word of bytes that are 0 where it is the first, and all ones where it is the second.
struct Choice {
    mask: TokenStream,
    values: [f32; 2],
}

impl Words<'_> {
    /// The code of each level, where levels are vectors of a table, and one part of them at most is chosen by a bit.
    pub(super) fn level(&mut self, code_of: &dyn Fn(f32) -> Option<u8>) -> Option<TokenStream> {
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
