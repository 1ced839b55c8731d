//! Panels for graphics processors, from the packed weights that processors have: where each bit goes, which is the same for every format of a class.

use std::ops::Range;

pub use quantloom_abi::panels::{Interleave, Move, Unit};

use super::class::{Class, PANEL_ROWS};
use super::layout::{PackedLayout, SUBS, has_halves, plane_name, sub_scale_bytes};
use super::planes::CHUNK;

/// What makes panels of 32 rows of a class, as it is planned for processors.
#[must_use]
pub fn interleave(class: &Class) -> Interleave {
    let tall = class.in_panels();
    let (from, to) = (PackedLayout::cpu(class), PackedLayout::panel(&tall));
    let (unit, tall_unit) = (Unit { weights: class.unit, bytes: from.bytes() }, Unit { weights: tall.unit, bytes: to.bytes() });
    let moves = Moves { class, tall: &tall, from, to };
    let part = |part| [moves.heads(part), moves.subs(part), moves.codes(part)].concat();
    Interleave { from: unit, to: tall_unit, parts: (0..tall.unit / class.unit).map(part).collect() }
}

/// A class as processors have it, and as panels of 32 rows do.
struct Moves<'a> {
    class: &'a Class,
    tall: &'a Class,
    from: PackedLayout,
    to: PackedLayout,
}

/// All bits of a byte.
const WHOLE: Move = Move { from: 0, from_stride: 0, to: 0, to_stride: 0, bytes: 1, from_shift: 0, mask: u8::MAX, to_shift: 0 };

impl Moves<'_> {
    /// Fields that only have more rows.
    fn heads(&self, part: usize) -> Vec<Move> {
        let heads = self.to.fields.iter().filter(|field| self.from.offset_of(field.name).is_some());
        let moves = heads.flat_map(|field| {
            let bytes = field.element.bytes();
            let count = field.counts.iter().product::<usize>() * self.class.unit / self.tall.unit;
            (0..count).map(move |index| {
                let from = self.place_before(field.name) + index * PANEL_ROWS * bytes;
                let to = self.place_after(field.name) + (part * count + index) * self.to.rows * bytes;
                Move { from, from_stride: bytes, to, to_stride: bytes, bytes, ..WHOLE }
            })
        });
        moves.collect()
    }

    /// Sub-scales and sub-mins, which a row has side by side.
    fn subs(&self, part: usize) -> Vec<Move> {
        let Some(subs) = self.to.fields.iter().find(|field| field.name == SUBS) else { return Vec::new() };
        let (to, to_stride) = (self.place_after(SUBS), subs.element.bytes());
        let byte = |name: &str, size: usize, index: usize, to: usize| {
            let from = self.place_before(name) + index / size * PANEL_ROWS * size + index % size;
            Move { from, from_stride: size, to, to_stride, ..WHOLE }
        };
        let (scales, mins) = (sub_scale_bytes(self.class), 2 * self.class.min_pairs());
        // Where they share bytes, a step has one of each: mins come two steps to a pair.
        let (first, to_shift) = if has_halves(self.class) { (0, 4) } else { (sub_scale_bytes(self.tall), 0) };
        let mask = u8::MAX >> to_shift;
        let scales = (0..scales).map(|index| Move { mask, ..byte("scales", 1, index, to + part * scales + index) });
        let mins = (0..mins).map(|index| Move { mask, to_shift, ..byte("mins", 2, index, to + first + part * mins + index) });
        scales.chain(mins).collect()
    }

    /// The codes of each quad, taken apart at the bits that both layouts are cut at.
    fn codes(&self, part: usize) -> Vec<Move> {
        let (class, tall) = (self.class, self.tall);
        if class.planes.is_empty() {
            return Vec::new();
        }
        let (quads, tall_quads) = (class.body() / 4, tall.panel_body() / 4);
        let moves = (0..class.unit / 4).flat_map(|quad| {
            let tall_quad = part * class.unit / 4 + quad;
            class.places(quad % quads).into_iter().flat_map(move |from| {
                let line = quad / quads * class.body_lines() + from.line;
                let from_at = self.place_before("codes") + line * PANEL_ROWS * 4;
                tall.panel_places(tall_quad % tall_quads).into_iter().filter_map(move |to| {
                    let both = from.low.max(to.low)..(from.low + from.bits).min(to.low + to.bits);
                    let chunk = tall_quad / tall_quads * tall.panel_chunks(to.plane) + to.chunk;
                    let to_at = self.place_after(plane_name(to.bits)) + chunk * self.to.rows * CHUNK + 4 * to.word;
                    let place = Move { from: from_at, from_stride: 4, to: to_at, to_stride: CHUNK, bytes: 4, ..WHOLE };
                    let shift = |shift: u32, low: u32| (shift + both.start).saturating_sub(low);
                    bits(&place, &both, shift(from.shift, from.low), shift(to.shift, to.low))
                })
            })
        });
        moves.collect()
    }

    fn place_before(&self, name: &str) -> usize {
        self.from.offset_of(name).unwrap_or_else(|| unreachable!("{} has no {name}", self.class.name()))
    }

    fn place_after(&self, name: &str) -> usize {
        self.to.offset_of(name).unwrap_or_else(|| unreachable!("panels of {} have no {name}", self.class.name()))
    }
}

/// Some bits of the codes of a quad, if there are any.
fn bits(place: &Move, bits: &Range<u32>, from_shift: u32, to_shift: u32) -> Option<Move> {
    (!bits.is_empty()).then(|| Move { from_shift, mask: u8::MAX >> (8 - bits.len()), to_shift, ..*place })
}
