//! Codes of the 16 rows of a panel at once. Words of what is stored are put side by side first; all that follows is the same for
//! every row, on numbers that lie in order, so that compilers make vectors of it.

mod fields;

use std::collections::BTreeMap;

use proc_macro2::TokenStream;
use quote::quote;

use super::{LANES, ONES, Run, bits_of, bodies, hex, spread};
use crate::emit::rust::value::{affine, loops, position};
use crate::ir::{Op, Piece};
use crate::lower::class::{Class, Source};

/// The codes of some loops, whose digits are known when code is generated.
pub struct Staged<'a> {
    pieces: Vec<&'a Piece>,
    /// Loops that stay loops.
    outer: usize,
    /// Stored words, by what they are.
    words: Vec<TokenStream>,
    /// Their places among `words`.
    known: BTreeMap<String, usize>,
    /// The first and last byte, or item, that an operation of a piece reads, counted from where the outer loops are.
    reach: BTreeMap<(usize, usize), (i64, i64)>,
}

impl<'a> Staged<'a> {
    /// The codes of 16 rows of a block of `weights`, put into lines; `None` if they are no word operations of words that can be staged.
    pub fn of_rows(pieces: &'a [Piece], weights: usize, class: &Class, run: &Run<'_>) -> Option<TokenStream> {
        let Source::Code { signed_bits } = class.source else { return None };
        let pieces = pieces.iter().collect::<Vec<_>>();
        let (most, _) = bodies(&pieces, weights, run.body);
        // As many loops stay as can so that no word is staged twice.
        let all = (0..=most).rev().filter_map(|outer| Self::of_loops(&pieces, outer, weights, run));
        let (staged, quads) = all.min_by_key(|(staged, _)| staged.times() * staged.words.len())?;
        let flip = signed_bits.map(|bits| hex(ONES << (bits - 1)));
        let flipped = |word: &TokenStream| flip.as_ref().map_or_else(|| word.clone(), |flip| quote!((#word) ^ #flip));
        let quads = quads.iter().map(flipped).collect::<Vec<_>>();
        Some(staged.emit(&staged.woven(&quads, run), run))
    }

    /// The same with so many loops left as they are: the words, and the quads that are made of them.
    fn of_loops(pieces: &[&'a Piece], outer: usize, block: usize, run: &Run<'_>) -> Option<(Self, Vec<TokenStream>)> {
        let within = outer.checked_sub(1).map_or(block, |last| pieces[0].loops[last].stride);
        let (words, known, reach) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        let mut staged = Self { pieces: pieces.to_vec(), outer, words, known, reach };
        let mut quads = Vec::new();
        for (at, piece) in pieces.iter().enumerate() {
            let weights = extent(piece, outer);
            if !weights.is_multiple_of(LANES) || !within.is_multiple_of(run.body) {
                return None;
            }
            for first in (0..weights).step_by(LANES) {
                quads.push(staged.word(at, piece.values.code, first)?);
            }
        }
        Some((staged, quads))
    }

    /// How many times the words are staged for a block.
    fn times(&self) -> usize {
        self.pieces[0].loops[..self.outer].iter().map(|digit| digit.size).product()
    }

    /// Stages the words, and does the rest.
    fn emit(&self, rest: &TokenStream, run: &Run<'_>) -> TokenStream {
        let (words, count, of_lane) = (&self.words, self.words.len(), run.of_lane);
        let index = 0..count;
        let body = quote! {
            let mut words = [[0_u32; PANEL_ROWS]; #count];
            for lane in 0..PANEL_ROWS {
                #of_lane
                #(words[#index][lane] = #words;)*
            }
            #rest
        };
        loops(self.pieces[0], self.outer, body)
    }

    /// Quads put into lines.
    fn woven(&self, quads: &[TokenStream], run: &Run<'_>) -> TokenStream {
        let (place, weave) = ((run.place)(&position(self.pieces[0], self.outer)), run.weave);
        let bodies = quads.chunks(run.body / LANES).enumerate().map(|(body, quads)| {
            quote! {
                let lines = &mut unit.codes[#place + #body];
                for lane in 0..PANEL_ROWS {
                    #weave(lines, lane, &[#(#quads),*]);
                }
            }
        });
        bodies.collect()
    }

    /// An unsigned integer of at most 8 bits for each of four weights from `first` on.
    fn word(&mut self, at: usize, index: usize, first: usize) -> Option<TokenStream> {
        let piece = self.pieces[at];
        match &piece.ops[index].op {
            Op::Bits { bits: ..=8, .. } => self.bits(at, index, first),
            Op::Trit { .. } => self.trits(at, index, first),
            Op::Join(parts) => {
                let mut terms = Vec::new();
                for &(part, weight) in parts {
                    if !weight.is_power_of_two() || weight.ilog2() + bits_of(piece, part)? > 8 {
                        return None;
                    }
                    let (word, shift) = (self.word(at, part, first)?, weight.ilog2());
                    terms.push(if shift == 0 { quote!((#word)) } else { quote!(((#word) << #shift)) });
                }
                Some(quote!(#(#terms)|*))
            }
            _ => None,
        }
    }

    fn bits(&mut self, at: usize, index: usize, first: usize) -> Option<TokenStream> {
        let bits = bits_of(self.pieces[at], index)?;
        let spots = (0..LANES).map(|lane| self.spot(at, index, first + lane)).collect::<Option<Vec<_>>>()?;
        let step = self.step(at, index, &spots);
        if let Some(step @ (1..=4 | 8)) = step
            && step >= i64::from(bits)
            && let Some(field) = self.field(at, index, &spots[0], step as u32 * (LANES as u32 - 1) + bits)
        {
            let run = self.value(at, &field);
            return Some(spread(&run, step as u32, bits));
        }
        let mask = hex((1 << bits) - 1);
        if step == Some(0) {
            let field = self.field(at, index, &spots[0], bits)?;
            let (value, ones) = (self.value(at, &field), hex(ONES));
            return Some(quote!((#value & #mask) * #ones));
        }
        let each = spots.iter().enumerate().map(|(lane, spot)| {
            let field = self.field(at, index, spot, bits)?;
            let (value, up) = (self.value(at, &field), 8 * lane as u32);
            Some(if up == 0 { quote!((#value & #mask)) } else { quote!((#value & #mask) << #up) })
        });
        let each = each.collect::<Option<Vec<_>>>()?;
        Some(quote!(#(#each)|*))
    }

    /// Four base-3 digits, each of a byte.
    fn trits(&mut self, at: usize, index: usize, first: usize) -> Option<TokenStream> {
        let Op::Trit { digit, .. } = &self.pieces[at].ops[index].op else { return None };
        let digits = (0..LANES).map(|lane| self.reduced(at, digit, first + lane)).collect::<Vec<_>>();
        let spots = (0..LANES).map(|lane| self.spot(at, index, first + lane)).collect::<Option<Vec<_>>>()?;
        if self.step(at, index, &spots) != Some(8) || digits.iter().any(|digit| *digit != digits[0]) {
            return None;
        }
        let field = self.field(at, index, &spots[0], 32)?;
        let (word, digit) = (self.value(at, &field), affine(self.pieces[at], &digits[0]));
        Some(quote!(scalar::trits(#word, #digit)))
    }
}

/// Weights within the loops that are not among the outermost `outer`.
fn extent(piece: &Piece, outer: usize) -> usize {
    piece.loops.get(outer).map_or(1, |digit| digit.size * digit.stride)
}
