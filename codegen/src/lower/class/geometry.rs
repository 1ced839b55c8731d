//! Where things lie in a unit.

use super::{Class, LINE, Min, PANEL_ROWS, Place};

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
        let (chunk, quad) = (quad / chunk_quads, quad % chunk_quads);
        let (mut line, mut low) = (chunk * self.chunk_lines(), 0);
        let place = |&bits: &u32| {
            let quads_a_line = 8 / bits as usize;
            let shift = bits * (quad % quads_a_line) as u32;
            let place = Place { line: line + quad / quads_a_line, bits, low, shift };
            line += chunk_quads / quads_a_line;
            low += bits;
            place
        };
        self.planes.iter().map(place).collect()
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
        let roots = (self.roots() + self.min_roots()) * self.root.bytes() + self.zeros();
        let subs = if self.sub_scale.is_some() { self.steps() } else { 0 };
        (roots + subs + 2 * self.min_pairs()) * PANEL_ROWS
    }

    /// Bytes of a unit that carry information.
    #[must_use]
    pub fn content_bytes(&self) -> usize {
        self.head_bytes() + self.lines() * LINE
    }

    /// Bytes of a unit: a whole number of lines.
    #[must_use]
    pub fn unit_bytes(&self) -> usize {
        self.content_bytes().next_multiple_of(LINE)
    }
}
