//! Codes of the 16 rows of a panel at once. Words of what is stored are put side by side first; all that follows is the same for
//! every row, on numbers that lie in order, so that compilers make vectors of it.

use std::collections::BTreeMap;

use proc_macro2::TokenStream;
use quote::quote;

use super::{LANES, ONES, Run, bits_of, bodies, hex, spread};
use crate::emit::rust::item;
use crate::emit::rust::value::{affine, loops, position};
use crate::ir::{Affine, Home, Item, Op, Piece};
use crate::lower::class::{Class, Source};

/// Bits of a staged word.
const WORD: i64 = 32;

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

/// Bits of a stored word: from bit `shift` upwards, and on into another word if there is one.
struct Field {
    word: usize,
    next: Option<usize>,
    shift: Affine,
}

/// Where a weight's bits lie: items by axis, and a bit.
#[derive(Clone, PartialEq)]
struct Spot {
    at: Vec<Affine>,
    shift: Affine,
}

impl<'a> Staged<'a> {
    /// The codes of 16 rows of a block of `weights`, put into lines; `None` if they are no word operations of words that can be staged.
    pub fn of_rows(pieces: &'a [Piece], weights: usize, class: &Class, run: &Run<'_>) -> Option<TokenStream> {
        let Source::Code { signed_bits } = class.source else { return None };
        let flip = signed_bits.map(|bits| hex(ONES << (bits - 1)));
        let (staged, quads) = Self::best(pieces.iter().collect(), weights, run, LANES, &|staged, at, first| {
            let word = staged.word(at, staged.pieces[at].values.code, first)?;
            Some(flip.as_ref().map_or_else(|| word.clone(), |flip| quote!((#word) ^ #flip)))
        })?;
        Some(staged.emit(&staged.woven(&quads, run), run))
    }

    /// What `make` makes of each word of `lanes` weights, with as many loops left as can be so that no word is staged twice.
    fn best<T>(
        pieces: Vec<&'a Piece>,
        block: usize,
        run: &Run<'_>,
        lanes: usize,
        make: &dyn Fn(&mut Self, usize, usize) -> Option<T>,
    ) -> Option<(Self, Vec<T>)> {
        let (most, _) = bodies(&pieces, block, run.body);
        let of_loops = |outer: usize| {
            let within = outer.checked_sub(1).map_or(block, |last| pieces[0].loops[last].stride);
            let (words, known, reach) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
            let mut staged = Self { pieces: pieces.clone(), outer, words, known, reach };
            let mut made = Vec::new();
            for at in 0..pieces.len() {
                let weights = staged.weights(at, within);
                if !weights.is_multiple_of(lanes) || !within.is_multiple_of(run.body) {
                    return None;
                }
                for first in (0..weights).step_by(lanes) {
                    made.push(make(&mut staged, at, first)?);
                }
            }
            Some((staged, made))
        };
        (0..=most).rev().filter_map(of_loops).min_by_key(|(staged, _)| staged.times() * staged.words.len())
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

    /// Weights of piece `at` within the loops that are written out.
    fn weights(&self, at: usize, run: usize) -> usize {
        if self.outer > 0 { run } else { extent(self.pieces[at], 0) }
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

    /// Bits from each weight to the next, if it is so many for all.
    fn step(&self, at: usize, index: usize, spots: &[Spot]) -> Option<i64> {
        let (item, bytes) = stored(&self.pieces[at].ops[index].op)?;
        let axis = running(item, bytes);
        let offset = |spot: &Spot| {
            let mut rest = spot.clone();
            let mut bit = std::mem::take(&mut rest.shift.at);
            if let Some(axis) = axis {
                bit += 8 * i64::from(if by_bytes(item, bytes) { 1 } else { bytes }) * std::mem::take(&mut rest.at[axis].at);
            }
            (rest, bit)
        };
        let offsets = spots.iter().map(offset).collect::<Vec<_>>();
        let step = offsets[1].1 - offsets[0].1;
        offsets.windows(2).all(|pair| pair[0].0 == pair[1].0 && pair[1].1 - pair[0].1 == step).then_some(step)
    }

    /// A map with the digits of weight `weight` in it.
    fn reduced(&self, at: usize, map: &Affine, weight: usize) -> Affine {
        let loops = &self.pieces[at].loops;
        let value = |&(digit, stride): &(usize, i64)| stride * (weight / loops[digit].stride % loops[digit].size) as i64;
        let (outer, inner): (Vec<_>, Vec<_>) = map.terms.iter().copied().partition(|(digit, _)| *digit < self.outer);
        Affine { at: map.at + inner.iter().map(value).sum::<i64>(), terms: outer, known: map.known.clone() }
    }

    /// Where an operation finds the bits of a weight, the bit being within the item, or byte, if it is known.
    fn spot(&self, at: usize, index: usize, weight: usize) -> Option<Spot> {
        let op = &self.pieces[at].ops[index].op;
        let (item, bytes) = stored(op)?;
        let mut places = item.at.iter().map(|map| self.reduced(at, map, weight)).collect::<Vec<_>>();
        let Op::Bits { shift, .. } = op else { return Some(Spot { at: places, shift: Affine::default() }) };
        let mut shift = self.reduced(at, shift, weight);
        let fixed = shift.terms.is_empty() && shift.known.is_empty();
        // A number that only the row knows would be another shift in each lane.
        if !shift.known.is_empty() || (item.stream.is_some() && !fixed) {
            return None;
        }
        if let Some(axis) = running(item, bytes)
            && fixed
        {
            let width = if by_bytes(item, bytes) { 8 } else { 8 * i64::from(bytes) };
            places[axis].at += shift.at.div_euclid(width);
            shift.at = shift.at.rem_euclid(width);
        }
        Some(Spot { at: places, shift })
    }

    /// `bits` bits from a spot on, as bits of staged words.
    fn field(&mut self, at: usize, index: usize, spot: &Spot, bits: u32) -> Option<Field> {
        let (item, bytes) = stored(&self.pieces[at].ops[index].op)?;
        if by_bytes(item, bytes) {
            return self.field_of_bytes(at, index, spot, bits);
        }
        let mut places = spot.at.clone();
        let word = self.stage(at, item, &places, bytes);
        let fixed = spot.shift.terms.is_empty();
        let over = fixed && spot.shift.at + i64::from(bits) > 8 * i64::from(bytes);
        let next = match item.stream {
            _ if !over => None,
            Some(axis) if bytes == 4 && spot.shift.at > 0 => {
                places[axis].at += 1;
                Some(self.stage(at, item, &places, bytes))
            }
            _ => return None,
        };
        (bytes <= 4).then(|| Field { word, next, shift: spot.shift.clone() })
    }

    /// The same where items are taken byte by byte: whole words from the first byte that is read on, the last one moved back so that
    /// it ends where what is read does.
    fn field_of_bytes(&mut self, at: usize, index: usize, spot: &Spot, bits: u32) -> Option<Field> {
        let (item, bytes) = stored(&self.pieces[at].ops[index].op)?;
        let (low, high) = self.reach(at, index)?;
        let (axis, fixed) = (spot.at.len() - 1, spot.shift.terms.is_empty());
        let (offset, mut places) = (spot.at[axis].at, spot.at.clone());
        let end = if fixed { spot.shift.at + i64::from(bits) } else { 8 * i64::from(bytes) };
        let size = (high - low + 1).min(4);
        let aligned = (low + (offset - low) / 4 * 4).min(high + 1 - size);
        let within = |start: &i64| 8 * (offset - start) + end <= 8 * size;
        let start = [aligned, offset.min(high + 1 - size)].into_iter().find(within)?;
        places[axis].at = start;
        let word = self.stage(at, item, &places, size as u32);
        let mut shift = spot.shift.clone();
        shift.at += 8 * (offset - start);
        Some(Field { word, next: None, shift })
    }

    /// The first and the last byte that an operation reads.
    fn reach(&mut self, at: usize, index: usize) -> Option<(i64, i64)> {
        if let Some(reach) = self.reach.get(&(at, index)) {
            return Some(*reach);
        }
        let op = &self.pieces[at].ops[index].op;
        let (_, bytes) = stored(op)?;
        let (mut low, mut high) = (i64::MAX, i64::MIN);
        let piece = self.pieces[at];
        let step = piece.loops.last()?.stride;
        for weight in (0..extent(piece, self.outer)).step_by(step) {
            let Spot { at: places, shift } = self.spot(at, index, weight)?;
            let first = places.last()?.at;
            let bits = i64::from(if let Op::Bits { bits, .. } = op { *bits } else { 8 });
            let last = if shift.terms.is_empty() { first + (shift.at + bits - 1) / 8 } else { first + i64::from(bytes) - 1 };
            (low, high) = (low.min(first), high.max(last));
        }
        self.reach.insert((at, index), (low, high));
        Some((low, high))
    }

    /// A stored word among the staged ones: `size` bytes from a place on.
    fn stage(&mut self, at: usize, item: &Item, places: &[Affine], size: u32) -> usize {
        let item = Item { at: places.to_vec(), stream: None, ..item.clone() };
        let in_block = size == 4 && !matches!(item.home, Home::Tensor(_));
        let word = if in_block { item::word(self.pieces[at], &item) } else { item::whole(self.pieces[at], &item, size) };
        let next = self.words.len();
        let index = *self.known.entry(word.to_string()).or_insert(next);
        if index == next {
            self.words.push(word);
        }
        index
    }

    fn value(&self, at: usize, field: &Field) -> TokenStream {
        let (word, zero) = (field.word, field.shift == Affine::default());
        if let Some(next) = field.next {
            let (down, up) = (field.shift.at as u32, (WORD - field.shift.at) as u32);
            return quote!((words[#word][lane] >> #down | words[#next][lane] << #up));
        }
        let shift = affine(self.pieces[at], &field.shift);
        if zero { quote!(words[#word][lane]) } else { quote!((words[#word][lane] >> (#shift))) }
    }
}

/// Weights within the loops that are not among the outermost `outer`.
fn extent(piece: &Piece, outer: usize) -> usize {
    piece.loops.get(outer).map_or(1, |digit| digit.size * digit.stride)
}

/// What an operation reads, and the bytes of an item.
fn stored(op: &Op) -> Option<(&Item, u32)> {
    match op {
        Op::Bits { item, bytes, .. } => Some((item, *bytes)),
        Op::Trit { item, .. } => Some((item, 1)),
        _ => None,
    }
}

/// Whether what lies side by side can be read as words that begin at any item.
fn by_bytes(item: &Item, bytes: u32) -> bool {
    !matches!(item.home, Home::Tensor(_)) || bytes == 1 && item.stream.is_none() && !item.at.is_empty()
}

/// The axis along which bits run on.
fn running(item: &Item, bytes: u32) -> Option<usize> {
    if by_bytes(item, bytes) { item.at.len().checked_sub(1) } else { item.stream }
}
