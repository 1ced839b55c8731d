//! Where the bits of weights lie in staged words.

use proc_macro2::TokenStream;
use quote::quote;

use super::{Staged, extent};
use crate::emit::rust::item;
use crate::emit::rust::value::affine;
use crate::ir::{Affine, Home, Item, Op};

/// Bits of a staged word.
const WORD: i64 = 32;

/// Bits of a stored word: from bit `shift` upwards, and on into another word if there is one.
pub(super) struct Field {
    word: usize,
    next: Option<usize>,
    shift: Affine,
}

/// Where a weight's bits lie: items by axis, and a bit.
#[derive(Clone, PartialEq)]
pub(super) struct Spot {
    at: Vec<Affine>,
    shift: Affine,
}

impl Staged<'_> {
    /// Bits from each weight to the next, if it is so many for all.
    pub(super) fn step(&self, at: usize, index: usize, spots: &[Spot]) -> Option<i64> {
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
    pub(super) fn reduced(&self, at: usize, map: &Affine, weight: usize) -> Affine {
        let loops = &self.pieces[at].loops;
        let value = |&(digit, stride): &(usize, i64)| stride * (weight / loops[digit].stride % loops[digit].size) as i64;
        let (outer, inner): (Vec<_>, Vec<_>) = map.terms.iter().copied().partition(|(digit, _)| *digit < self.outer);
        Affine { at: map.at + inner.iter().map(value).sum::<i64>(), terms: outer, known: map.known.clone() }
    }

    /// Where an operation finds the bits of a weight, the bit being within the item, or byte, if it is known.
    pub(super) fn spot(&self, at: usize, index: usize, weight: usize) -> Option<Spot> {
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
    pub(super) fn field(&mut self, at: usize, index: usize, spot: &Spot, bits: u32) -> Option<Field> {
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

    pub(super) fn value(&self, at: usize, field: &Field) -> TokenStream {
        let (word, zero) = (field.word, field.shift == Affine::default());
        if let Some(next) = field.next {
            let (down, up) = (field.shift.at as u32, (WORD - field.shift.at) as u32);
            return quote!((words[#word][lane] >> #down | words[#next][lane] << #up));
        }
        let shift = affine(self.pieces[at], &field.shift);
        if zero { quote!(words[#word][lane]) } else { quote!((words[#word][lane] >> (#shift))) }
    }
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
