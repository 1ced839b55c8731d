//! The codes of four or eight consecutive weights at once, one in each byte of a word: how packers read what lies in such runs.

pub mod columns;
mod levels;
mod staged;

use proc_macro2::{Ident, Literal, TokenStream};
use quote::{format_ident, quote};

use super::value::{affine, name};
use crate::ir::{Affine, Loop, Node, Op, Piece};
pub use levels::Levels;
pub use staged::Staged;

/// Weights of a word of a line.
const LANES: usize = 4;
/// 1 in each byte.
const ONES: u32 = 0x0101_0101;

/// Where the weights of some loops lie in a block, and how their codes get into lines.
pub struct Run<'a> {
    /// Weights of a body of lines.
    pub body: usize,
    /// When the row, `lane`, is known.
    pub of_lane: &'a TokenStream,
    /// When the number of the row is known: `row`.
    pub of_row: &'a TokenStream,
    /// The number of the body that begins at a position, and a row of its codes woven into `unit.codes[that]`.
    pub place: &'a dyn Fn(&TokenStream) -> TokenStream,
    /// `weave(lines, lane, quads)` of the class.
    pub weave: &'a TokenStream,
}

/// How many of the outermost loops to leave as they are, so that what lies within them makes whole bodies, and its weights.
fn bodies(pieces: &[&Piece], block: usize, body: usize) -> (usize, usize) {
    let [piece] = pieces else { return (0, block) };
    let outer = piece.loops.iter().take_while(|digit| digit.stride >= body).count();
    let run = outer.checked_sub(1).map_or(block, |last| piece.loops[last].stride);
    if piece.start == 0 && run.is_multiple_of(body) { (outer, run) } else { (0, block) }
}

/// Quads of 16 rows, from what `fill` leaves in them, woven into lines.
fn woven(weights: usize, fill: &TokenStream, first: &TokenStream, run: &Run<'_>) -> TokenStream {
    let (quads, count, of_body) = (weights / LANES, weights / run.body, run.body / LANES);
    let (place, weave) = ((run.place)(first), run.weave);
    let row = (0..of_body).map(|quad| quote!(quads[#of_body * body + #quad][lane]));
    quote! {
        let mut quads = [[0_u32; PANEL_ROWS]; #quads];
        #fill
        for body in 0..#count {
            let lines = &mut unit.codes[#place + body];
            for lane in 0..PANEL_ROWS {
                #weave(lines, lane, &[#(#row),*]);
            }
        }
    }
}

/// The piece with its fastest digits counted in fours or eights, so that its operations are those of the first weight of each word.
fn by_lanes(piece: &Piece, lanes: usize) -> Option<Piece> {
    let mut whole = piece.clone();
    // Weights that share a byte, or a vector of four, may have a digit of their own.
    let mut stride = 1;
    while let Some(digit) = whole.loops.last()
        && digit.stride == stride
        && stride * digit.size < lanes
    {
        stride *= digit.size;
        whole.loops.pop();
    }
    let index = whole.loops.len().checked_sub(1)?;
    let last = &mut whole.loops[index];
    let steps = lanes / stride;
    let fits = last.stride == stride && last.size.is_multiple_of(steps) && piece.start.is_multiple_of(lanes);
    *last = Loop { size: last.size / steps, stride: lanes, ..last.clone() };
    if !fits || !whole.loops.iter().all(|digit| digit.stride.is_multiple_of(lanes)) {
        return None;
    }
    for node in &mut whole.ops {
        node.depth = node.depth.min(index + 1);
        for map in node.op.maps() {
            map.terms.retain(|(digit, _)| *digit <= index);
            map.terms.iter_mut().filter(|(digit, _)| *digit == index).for_each(|(_, stride)| *stride *= steps as i64);
        }
    }
    Some(whole)
}

/// The position within the loops that are not among the outermost `outer`.
fn place(piece: &Piece, outer: usize) -> TokenStream {
    let inner = piece.loops.iter().enumerate().skip(outer).map(|(index, digit)| (index, digit.stride as i64));
    affine(piece, &Affine { at: if outer == 0 { piece.start as i64 } else { 0 }, terms: inner.collect(), known: Vec::new() })
}
/// Operations on words, as they are made from a piece that is counted in fours or eights.
struct Words<'a> {
    /// The piece, weight by weight.
    whole: &'a Piece,
    /// The same in fours or eights, with operations of its own behind the others.
    piece: Piece,
    tables: &'a [Vec<f32>],
    /// Weights of a word.
    lanes: usize,
    /// Operations that are the same for all weights of a word.
    scalars: Vec<usize>,
    /// Tables of words.
    items: TokenStream,
    /// The number of the piece, which the names of its tables begin with.
    at: usize,
}

impl Words<'_> {
    /// Whether an operation differs between the weights of a word.
    fn varies(&self, index: usize) -> bool {
        let within = |map: &&Affine| self.offsets(map).iter().any(|offset| *offset != 0);
        match &self.whole.ops[index].op {
            Op::Bits { item, shift, .. } => item.at.iter().chain([shift]).any(|map| within(&map)),
            Op::Trit { item, digit } => item.at.iter().chain([digit]).any(|map| within(&map)),
            Op::Join(parts) => parts.iter().any(|&(part, _)| self.varies(part)),
            _ => self.piece.ops[index].depth >= self.piece.loops.len(),
        }
    }

    /// The value of an operation that does not depend on the fastest digit.
    fn scalar(&mut self, index: usize) -> Ident {
        self.scalars.push(index);
        name(index)
    }

    /// The same of an operation that the piece does not have.
    fn scalar_of(&mut self, op: Op) -> Ident {
        let index = self.push(op);
        self.scalar(index)
    }

    /// Adds an operation to the piece.
    fn push(&mut self, op: Op) -> usize {
        self.piece.ops.push(Node { depth: self.piece.loops.len(), op });
        self.piece.ops.len() - 1
    }

    /// What a map of the whole piece adds for each weight of a word.
    fn offsets(&self, map: &Affine) -> Vec<i64> {
        let of_lane = |lane| {
            let mut rest = lane;
            let digits = self.whole.loops.iter().enumerate().rev().map(|(index, digit)| {
                let value = (rest % digit.size) as i64;
                rest /= digit.size;
                value * map.terms.iter().find(|(digit, _)| *digit == index).map_or(0, |&(_, stride)| stride)
            });
            digits.sum()
        };
        (0..self.lanes).map(of_lane).collect()
    }

    /// The same, if it is so much for each.
    fn step(&self, map: &Affine) -> Option<i64> {
        let offsets = self.offsets(map);
        offsets.windows(2).all(|pair| pair[1] - pair[0] == offsets[1]).then_some(offsets[1])
    }
}

/// Bits of an integer; `None` if it is none that is read in one piece.
fn bits_of(piece: &Piece, index: usize) -> Option<u32> {
    match &piece.ops[index].op {
        Op::Bits { bits, .. } => Some(*bits),
        Op::Join(parts) => parts.iter().map(|&(part, weight)| Some(weight.ilog2() + bits_of(piece, part)?)).max().flatten(),
        _ => None,
    }
}

/// Four fields of `bits` bits, `step` bits from each to the next, as bytes: first two and two, then one by one. Each field has a mask
/// of its own: else compilers make multiplications of it, which vectors have to put together.
fn spread(run: &TokenStream, step: u32, bits: u32) -> TokenStream {
    if step == 8 {
        let mask = hex(ONES * ((1 << bits) - 1));
        return if bits == 8 { run.clone() } else { quote!((#run & #mask)) };
    }
    let mask = (1_u32 << bits) - 1;
    let (pair, pairs, each) = (mask | mask << step, 16 - 2 * step, 8 - step);
    let (first, second) = (hex(pair), hex(pair << 16));
    let (even, odd) = (hex(mask | mask << 16), hex((mask | mask << 16) << 8));
    quote!({
        let run = #run;
        let pairs = run & #first | run << #pairs & #second;
        pairs & #even | pairs << #each & #odd
    })
}

/// A word whose bytes are seen.
pub fn hex(word: u32) -> TokenStream {
    literal(u64::from(word), LANES)
}

/// The type of a word of `lanes` bytes.
fn word_type(lanes: usize) -> Ident {
    format_ident!("u{}", 8 * lanes)
}

/// A word of `lanes` bytes.
fn literal(word: u64, lanes: usize) -> TokenStream {
    let literal: Literal = format!("0x{word:0digits$x}", digits = 2 * lanes).parse().expect("a literal");
    quote!(#literal)
}
