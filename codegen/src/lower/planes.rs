//! Where codes lie in panels for graphics processors: by planes, in chunks of 16 bytes a row.
//!
//! A plane holds so many bits of every code, 128 / bits weights to a chunk. The four bytes of a word are the codes of a quad of weights, in
//! 128 / 32 / bits slots from the lowest bit up. Which quad a slot is, follows from what an instruction that multiplies matrices reads at once:
//! a *fragment* of 32 weights, of which word t has quads 2t and 2t + 1, or of 16, of which it has quad t. Slots go on from chunk to chunk.

use super::class::{Class, SEGMENT};
use super::layout::PackedLayout;

/// Rows of a panel: what a warp has threads.
pub use quantloom_abi::panels::DEVICE_ROWS as ROWS;
/// Bytes that a row has of a chunk.
pub const CHUNK: usize = 16;
/// Words of a chunk.
const WORDS: usize = CHUNK / 4;
/// Bits of a chunk.
const CHUNK_BITS: usize = 8 * CHUNK;

/// Some bits of every code of a quad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The place of their plane among the planes of the class.
    pub plane: usize,
    /// The chunk that holds them, among those that the body has of that plane.
    pub chunk: usize,
    /// The word of the chunk.
    pub word: usize,
    /// How many bits of each code.
    pub bits: u32,
    /// The lowest of them in the code.
    pub low: u32,
    /// The lowest of them in a byte of the word.
    pub shift: u32,
}

impl Class {
    /// The class in panels for graphics processors: its units are those for processors, or several of them, so that chunks are whole and what
    /// fills rows up is little.
    #[must_use]
    pub fn in_panels(&self) -> Self {
        let whole = (self.unit..=SEGMENT).filter(|unit| SEGMENT.is_multiple_of(*unit) && unit.is_multiple_of(self.unit));
        let whole = whole.filter(|unit| unit.is_multiple_of(self.panel_body()));
        let units = whole.map(|unit| Self { unit, ..self.clone() }).collect::<Vec<_>>();
        let density = |class: &Self| PackedLayout::panel(class).bytes() as f64 / class.unit as f64;
        let least = units.iter().map(density).fold(f64::INFINITY, f64::min);
        let dense = units.into_iter().find(|class| density(class) <= least);
        dense.expect("a segment is whole chunks, and whole units")
    }

    /// Weights of a fragment.
    #[must_use]
    pub const fn fragment(&self) -> usize {
        if self.step.is_multiple_of(32) { 32 } else { 16 }
    }

    /// Weights that whole chunks of every plane, and whole fragments, cover.
    #[must_use]
    pub fn panel_body(&self) -> usize {
        self.planes.iter().map(|bits| CHUNK_BITS / *bits as usize).fold(self.fragment(), usize::max)
    }

    /// Chunks that a row of a body has of a plane.
    #[must_use]
    pub fn panel_chunks(&self, plane: usize) -> usize {
        self.panel_body() * self.planes[plane] as usize / CHUNK_BITS
    }

    /// Where the bits of quad `quad` of a body are, lowest first.
    #[must_use]
    pub fn panel_places(&self, quad: usize) -> Vec<Place> {
        let quads = self.fragment() / 4;
        let (fragment, quad) = (quad / quads, quad % quads);
        let a_word = quads / WORDS;
        let (word, slot) = (quad / a_word, fragment * a_word + quad % a_word);
        let mut low = 0;
        let place = |(plane, &bits): (usize, &u32)| {
            let slots = 8 / bits as usize;
            let shift = (slot % slots) as u32 * bits;
            low += bits;
            Place { plane, chunk: slot / slots, word, bits, low: low - bits, shift }
        };
        self.planes.iter().enumerate().map(place).collect()
    }

    /// The number of a chunk among all that a row of a body has: plane by plane.
    #[must_use]
    pub fn panel_chunk(&self, place: &Place) -> usize {
        (0..place.plane).map(|plane| self.panel_chunks(plane)).sum::<usize>() + place.chunk
    }

    /// The plane that such a chunk is of, and its number among those that the body has of that plane.
    #[must_use]
    pub fn panel_plane(&self, chunk: usize) -> (usize, usize) {
        let mut chunk = chunk;
        let mut planes = 0..self.planes.len();
        let plane = planes.find(|&plane| {
            let count = self.panel_chunks(plane);
            let found = chunk < count;
            chunk -= if found { 0 } else { count };
            found
        });
        (plane.expect("a body has no more chunks than its planes have"), chunk)
    }
}
