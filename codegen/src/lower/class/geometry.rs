//! Where things lie in a unit.

use super::{Class, Min, Place};
use crate::lower::layout::PackedLayout;

impl Class {
    /// Bits of a code.
    #[must_use]
    pub fn bits(&self) -> u32 {
        self.planes.iter().sum()
    }

    /// Weights covered by whole lines of every plane.
    #[must_use]
    pub fn chunk(&self) -> usize {
        32 / self.planes.iter().min().copied().unwrap_or(8) as usize
    }

    /// Weights handled by one unrolled body: whole steps up to 32 weights, and whole lines.
    #[must_use]
    pub fn body(&self) -> usize {
        self.chunk().max(self.step.min(32))
    }

    /// Weights whose codes packers put into lines at once: a block, or as many as fill a body.
    #[must_use]
    pub fn run(&self) -> usize {
        self.block.max(self.body())
    }

    /// Code lines of a chunk.
    #[must_use]
    pub fn chunk_lines(&self) -> usize {
        self.chunk() * self.bits() as usize / 32
    }

    /// Code lines of a body.
    #[must_use]
    pub fn body_lines(&self) -> usize {
        self.body() * self.bits() as usize / 32
    }

    /// Where the bits of quad `quad` of a body (or of a chunk, if it lies in the first) are, lowest first.
    #[must_use]
    pub fn places(&self, quad: usize) -> Vec<Place> {
        let chunk_quads = self.chunk() / 4;
        let first = quad / chunk_quads * self.chunk_lines();
        let places = self.chunk_places().swap_remove(quad % chunk_quads);
        places.into_iter().map(|place| Place { line: first + place.line, ..place }).collect()
    }

    /// Where the bits of the quads of a chunk are. Each byte of a line holds as many whole codes as fit, from the bottom; from what is
    /// left on top of it and of its neighbours come further codes, each as soon as it is complete.
    fn chunk_places(&self) -> Vec<Vec<Place>> {
        let bits = self.bits();
        let (mut quads, mut rest, mut held) = (Vec::new(), Vec::new(), 0);
        for line in 0..self.chunk_lines() {
            let whole = 8 / bits;
            quads.extend((0..whole).map(|code| vec![Place { line, bits, low: 0, shift: bits * code }]));
            let mut shift = bits * whole;
            while shift < 8 {
                let taken = (8 - shift).min(bits - held);
                rest.push(Place { line, bits: taken, low: held, shift });
                (shift, held) = (shift + taken, (held + taken) % bits);
                if held == 0 {
                    quads.push(std::mem::take(&mut rest));
                }
            }
        }
        quads
    }

    /// The lines of a body that hold bits of quad `quad`.
    #[must_use]
    pub fn lines_of(&self, quad: usize) -> Vec<usize> {
        self.places(quad).into_iter().map(|place| place.line).collect()
    }

    /// Root scales per row of a unit.
    #[must_use]
    pub const fn roots(&self) -> usize {
        self.unit.div_ceil(self.root_group)
    }

    /// What root scales are multiplied by, so that sub-scales and levels are integers.
    #[must_use]
    pub fn scale_factor(&self) -> f32 {
        self.root_factor * self.sub_scale.map_or(1.0, |sub| sub.unit)
    }

    /// Zero points per row of a unit.
    #[must_use]
    pub fn zeros(&self) -> usize {
        self.zero_group.map_or(0, |group| self.unit.div_ceil(group))
    }

    /// Root mins per row of a unit.
    #[must_use]
    pub const fn min_roots(&self) -> usize {
        match self.min {
            None => 0,
            Some(_) => self.roots(),
        }
    }

    /// Steps of a unit.
    #[must_use]
    pub const fn steps(&self) -> usize {
        self.unit / self.step
    }

    /// Pairs of steps of a unit that share an i16 pair of sub-mins; a span of a single step has a pair of its own.
    #[must_use]
    pub const fn min_pairs(&self) -> usize {
        match self.min {
            Some(Min::Sub(_)) => (self.unit / self.span) * self.span_pairs(),
            _ => 0,
        }
    }

    /// Pairs of steps of a span.
    #[must_use]
    pub const fn span_pairs(&self) -> usize {
        (self.span / self.step).div_ceil(2)
    }

    /// Code lines of a unit.
    #[must_use]
    pub fn lines(&self) -> usize {
        self.unit * self.bits() as usize / 32
    }

    /// Bytes of a unit that lie before its code lines: roots, zeros, scales and mins.
    #[must_use]
    pub fn head_bytes(&self) -> usize {
        PackedLayout::cpu(self).head_bytes()
    }

    /// Bytes of a unit: a whole number of lines.
    #[must_use]
    pub fn unit_bytes(&self) -> usize {
        PackedLayout::cpu(self).bytes()
    }
}
