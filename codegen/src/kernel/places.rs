//! Short codes multiplied where they lie in their bytes.
//!
//! To move a code to the bottom of its byte takes a shift for every quad, and vectors are shifted by fewer units than multiply. Where each quad
//! is multiplied once, codes of the lower half of a byte stay where they are, those of the upper half move down together, and each place has a
//! dot of its own, which is moved when a step ends. All of it is integers, so that the dot of the step is the same number.

use quantloom_spec::isa::Dot;

use super::int8::{Source, cell, dot};
use super::ir::{Code, Expr, Stmt};
use super::ops::Op;
use super::quads::{Held, field};
use super::tile::Tile;
use crate::lower::class::{Codes, Place};

/// Bits of half a byte.
const HALF: u32 = 4;

impl Tile<'_> {
    /// Whether codes from packed memory are multiplied in place: by one column, if there is more than one place in half a byte, dots are of
    /// 32 bits, and registers hold those of all places. (Four panels at a time have too many: 2-bit codes took 205 us instead of 173 on a Zen 4.)
    fn in_place(&self, source: Source) -> bool {
        let short = self.class.codes == Codes::Linear && self.class.bits() <= HALF / 2 && self.class.shift <= 1;
        let wide = !self.width.dot.is_narrow() && self.width.dot != Dot::Scalar;
        let panel = self.cols == 1 && self.vectors <= self.width.parts();
        source == Source::Packed && self.held == Held::Lines && panel && short && wide && !self.tight
    }

    /// The places of codes in half a byte.
    fn half(&self) -> impl Iterator<Item = u32> {
        (0..HALF).step_by(self.class.bits() as usize)
    }

    /// Where in half a byte quad `quad` of a body is, and where it lies in memory, if it is multiplied in place.
    fn in_half(&self, source: Source, quad: usize) -> Option<(u32, Place)> {
        let place = self.in_place(source).then(|| self.class.places(quad)[0])?;
        Some((place.shift % HALF, place))
    }

    /// The bytes of quad `quad` of a body that `int8` multiplies, from lines that `load_lines` named.
    pub fn packed_quad(&self, prefix: &str, quad: usize) -> Expr {
        match self.in_half(Source::Packed, quad) {
            Some((to, place)) => {
                let line = Expr::variable(format!("{prefix}{}", place.line));
                field(line, place.bits, place.shift, to)
            }
            None => self.int8_quad(prefix, quad),
        }
    }

    /// The dot that the products of quad `quad` of a body are added to: that of the step, or of a place that is elsewhere in its bytes.
    pub fn dot_of(&self, source: Source, step: usize, quad: usize, (vector, column): (usize, usize)) -> String {
        match self.in_half(source, quad) {
            Some((place, _)) if place != self.class.shift => place_dot(place, step, vector),
            _ => dot(step, vector, column),
        }
    }

    /// The dots of the other places of a step begin.
    pub fn start_places(&self, source: Source, step: usize) -> Code {
        let places = self.other_places(source).into_iter();
        let dots = places.flat_map(|place| (0..self.vectors).map(move |vector| place_dot(place, step, vector)));
        dots.map(|dot| Stmt::variable(dot, Expr::Of(Op::ZeroI, Vec::new()))).collect()
    }

    /// They are added to the dot of the step.
    pub fn end_places(&self, source: Source, step: usize) -> Code {
        self.each_vector(|vector| {
            let parts = self.other_places(source).into_iter().map(|place| {
                let part = Expr::variable(place_dot(place, step, vector));
                match place.checked_sub(self.class.shift) {
                    Some(bits) => Expr::Of(Op::Lower(bits), vec![part]),
                    None => Expr::Of(Op::AddI, vec![part.clone(), part]),
                }
            });
            let (dot, sum) = (dot(step, vector, 0), parts.reduce(|sum, part| Expr::Of(Op::AddI, vec![sum, part])));
            let add = |sum| Stmt::value(dot.clone(), Expr::Of(Op::AddI, vec![Expr::variable(dot.clone()), sum]));
            sum.map(add).into_iter().collect()
        })
    }

    fn other_places(&self, source: Source) -> Vec<u32> {
        let shift = self.class.shift;
        if self.in_place(source) { self.half().filter(|&place| place != shift).collect() } else { Vec::new() }
    }
}

/// The dot of a place of a step in flight.
fn place_dot(place: u32, step: usize, vector: usize) -> String {
    cell(&format!("place{place}_{step}_"), vector, 0)
}
