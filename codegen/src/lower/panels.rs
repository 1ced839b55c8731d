//! Panels for graphics processors, from the packed weights that processors have: a second interleave, which is the same for every format.

use super::class::{Class, PANEL_ROWS};
use super::layout::{PackedLayout, SUBS, has_halves, plane_name, sub_scale_bytes};
use super::planes::{CHUNK, ROWS};

/// What makes panels of 32 rows of a class.
#[derive(Debug)]
pub struct Interleave {
    /// As processors have it, and as panels of 32 rows do.
    class: Class,
    tall: Class,
    from: PackedLayout,
    to: PackedLayout,
}

impl Interleave {
    /// Of a class, as it is planned for processors.
    #[must_use]
    pub fn new(class: &Class) -> Self {
        let tall = class.in_panels();
        let (from, to) = (PackedLayout::cpu(class), PackedLayout::panel(&tall));
        Self { class: class.clone(), tall, from, to }
    }

    /// Bytes of `n` rows of `k` weights.
    #[must_use]
    pub fn bytes(&self, n: usize, k: usize) -> usize {
        n.div_ceil(ROWS) * k.div_ceil(self.tall.unit) * self.to.bytes()
    }

    /// The panels of `n` rows of `k` weights: each its units of 32 rows in the order of K, one panel after the other. What lies past the last row
    /// and the last weight is zeros. `packed` has the panels of 16 rows that a processor multiplies, and may have more of them than `n` rows take;
    /// `None` if it has fewer.
    #[must_use]
    pub fn panels(&self, packed: &[u8], n: usize, k: usize) -> Option<Vec<u8>> {
        let (units, panels) = (k.div_ceil(self.class.unit), n.div_ceil(PANEL_ROWS));
        let panel = units * self.from.bytes();
        if packed.len() < panels * panel {
            return None;
        }
        let mut out = vec![0; self.bytes(n, k)];
        if n == 0 || k == 0 {
            return Some(out);
        }
        let (ratio, tall_units) = (self.tall.unit / self.class.unit, k.div_ceil(self.tall.unit));
        for (index, to) in out.chunks_exact_mut(self.to.bytes()).enumerate() {
            let (tall_panel, tall_unit) = (index / tall_units, index % tall_units);
            let halves = (0..ROWS / PANEL_ROWS).map(|half| (half, tall_panel * ROWS / PANEL_ROWS + half));
            for (half, from) in halves.filter(|(_, from)| *from < panels) {
                for part in (0..ratio).filter(|part| tall_unit * ratio + part < units) {
                    let at = from * panel + (tall_unit * ratio + part) * self.from.bytes();
                    self.unit(&packed[at..][..self.from.bytes()], to, part, half * PANEL_ROWS);
                }
            }
        }
        Some(out)
    }

    /// A unit of 16 rows, as part `part` of a unit of 32, from row `first` of that on.
    fn unit(&self, from: &[u8], to: &mut [u8], part: usize, first: usize) {
        for row in 0..PANEL_ROWS {
            self.heads(from, to, part, (row, first + row));
            self.subs(from, to, part, (row, first + row));
            self.codes(from, to, part, (row, first + row));
        }
    }

    /// Fields that only have more rows.
    fn heads(&self, from: &[u8], to: &mut [u8], part: usize, (row, to_row): (usize, usize)) {
        for field in self.to.fields.iter().filter(|field| self.from.offset_of(field.name).is_some()) {
            let size = field.element.bytes();
            let count = field.counts.iter().product::<usize>() * self.class.unit / self.tall.unit;
            for index in 0..count {
                let at = self.place(&self.from, field.name) + (index * PANEL_ROWS + row) * size;
                let to_at = self.place(&self.to, field.name) + ((part * count + index) * ROWS + to_row) * size;
                to[to_at..][..size].copy_from_slice(&from[at..][..size]);
            }
        }
    }

    /// Sub-scales and sub-mins, which a row has side by side.
    fn subs(&self, from: &[u8], to: &mut [u8], part: usize, (row, to_row): (usize, usize)) {
        let Some(subs) = self.to.fields.iter().find(|field| field.name == SUBS) else { return };
        let to = &mut to[self.place(&self.to, SUBS) + to_row * subs.element.bytes()..][..subs.element.bytes()];
        let byte = |name: &str, size: usize, index: usize| {
            from[self.place(&self.from, name) + (index / size * PANEL_ROWS + row) * size + index % size]
        };
        let (scales, mins) = (sub_scale_bytes(&self.class), 2 * self.class.min_pairs());
        // Where they share bytes, a step has one of each: mins come two steps to a pair.
        let (first, shift) = if has_halves(&self.class) { (0, 4) } else { (sub_scale_bytes(&self.tall), 0) };
        for index in 0..scales {
            to[part * scales + index] = byte("scales", 1, index) & (u8::MAX >> shift);
        }
        for index in 0..mins {
            to[first + part * mins + index] |= byte("mins", 2, index) << shift;
        }
    }

    /// The codes of each quad, put together and taken apart again.
    fn codes(&self, from: &[u8], to: &mut [u8], part: usize, (row, to_row): (usize, usize)) {
        let (class, tall) = (&self.class, &self.tall);
        if class.planes.is_empty() {
            return;
        }
        let (quads, tall_quads) = (class.body() / 4, tall.panel_body() / 4);
        for quad in 0..class.unit / 4 {
            let mut codes = [0; 4];
            for place in class.places(quad % quads) {
                let line = quad / quads * class.body_lines() + place.line;
                let at = self.place(&self.from, "codes") + (line * PANEL_ROWS + row) * 4;
                for (code, byte) in codes.iter_mut().zip(&from[at..][..4]) {
                    *code |= field(*byte, place.shift, place.bits) << place.low;
                }
            }
            let quad = part * class.unit / 4 + quad;
            for place in tall.panel_places(quad % tall_quads) {
                let chunk = quad / tall_quads * tall.panel_chunks(place.plane) + place.chunk;
                let at = self.place(&self.to, plane_name(place.bits)) + (chunk * ROWS + to_row) * CHUNK + 4 * place.word;
                for (code, byte) in codes.iter().zip(&mut to[at..][..4]) {
                    *byte |= field(*code, place.low, place.bits) << place.shift;
                }
            }
        }
    }

    fn place(&self, layout: &PackedLayout, name: &str) -> usize {
        layout.offset_of(name).unwrap_or_else(|| unreachable!("{} has no {name}", self.class.name()))
    }
}

/// `bits` bits of a byte from bit `from` up.
fn field(byte: u8, from: u32, bits: u32) -> u8 {
    (byte >> from) & (u8::MAX >> (8 - bits))
}
