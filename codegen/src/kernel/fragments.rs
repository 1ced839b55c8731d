//! How a warp goes about a unit with instructions that multiply matrices of bytes: 16 rows by 32 weights, or 16, by 8 columns.
//!
//! A thread has cells: rows g, g + 8, g + 16 and g + 24 of a panel, a row vector each, and columns 2t and 2t + 1 of each block of eight, g being its
//! number over 4 and t what that leaves. Of weights it has word t of these rows, as panels have them, and of a block the same quads of column g.
//! What becomes of dots is what it is elsewhere.

use quantloom_spec::kernels::{Numerics, Prefetch};

use super::int8::{Source, at_body, cell, dot, lines_of, quants_of};
use super::ir::{Base, Code, Expr, Index, Place, Stmt};
use super::ops::Op;
use super::quads::Held;
use super::threads::WIDTH;
use super::tile::Tile;
use super::width;
use crate::lower::class::{Class, Min, Sub};

/// Columns of a block.
pub const BLOCK: usize = 8;
/// Cells that a thread has in a row of a block.
pub const CELLS: usize = 2;
/// Row vectors of a panel, as a thread has them.
const VECTORS: usize = 4;
/// Row vectors whose rows are multiplied by one instruction.
const TOGETHER: usize = 2;
/// Fewest weights of a fragment.
const FRAGMENT: usize = 16;
/// Sub-mins that a thread has of a row.
const QUAD: usize = 4;

/// What a thread of a warp does: a panel times so many blocks of columns.
#[derive(Debug)]
pub struct Fragments {
    /// Sets the sums of a segment to +0.
    pub clear: Code,
    /// Adds a unit to them.
    pub unit: Code,
    /// The cells: row vector and column.
    pub cells: Vec<(usize, usize)>,
}

impl Fragments {
    /// Whether a class has whole fragments: in panels, with products of bytes.
    #[must_use]
    pub fn cover(class: &Class) -> bool {
        class.has(Numerics::Int8) && class.step.is_multiple_of(FRAGMENT)
    }

    /// Of a class in panels that they cover.
    #[must_use]
    pub fn new(class: &Class, blocks: usize) -> Self {
        let (prefetch, held, cols) = (Prefetch::None, Held::Fragments, CELLS * blocks);
        let (vectors, width) = (VECTORS, WIDTH);
        let tile =
            Tile { class, width, vectors, cols, steps: 1, prefetch, stored: 0, tight: false, matrix: false, held, before: 0 };
        let cells = (0..cols).flat_map(|column| (0..vectors).map(move |vector| (vector, column))).collect();
        Self { clear: tile.clear("sum"), unit: tile.int8_unit(Source::Packed), cells }
    }
}

impl Tile<'_> {
    /// Whether dots begin lifted, so that no integer is converted: where they are small, and what adds to them begins anywhere.
    pub fn lifts(&self) -> bool {
        self.held == Held::Fragments && width::dots_are_small(self.class)
    }

    /// Loads the chunks that quad `quad` of a body is the first to need.
    pub fn load_rows(&self, body: usize, quad: usize) -> Code {
        let load = |chunk: usize| {
            let names = (0..self.vectors).map(|vector| format!("{}{chunk}", lines_of(body, vector)));
            Stmt::LoadRows(names.collect(), self.unit(0, "codes", [Index::of(at_body(body)), chunk.into()]))
        };
        self.new_lines(quad).into_iter().map(load).collect()
    }

    /// Whether a step is a fragment: then its dots are made and added block by block, because a thread has not the registers for all.
    pub fn by_blocks(&self) -> bool {
        self.held == Held::Fragments && self.class.step == self.class.fragment()
    }

    /// The words of the fragment that begins with quad `quad` of a body; and its products, added to the dots of `step`, unless that is done
    /// [block by block](Tile::block_steps).
    pub fn fragment_dots(&self, step: usize, (body, quad): (usize, usize)) -> Code {
        let words = (0..self.slots()).flat_map(|slot| (0..self.vectors).map(move |vector| (vector, slot)));
        let words = words
            .map(|(vector, slot)| Stmt::value(weight(vector, slot), self.packed_quad(&lines_of(body, vector), quad + slot)));
        let words = [Stmt::Meet].into_iter().chain(words);
        if self.by_blocks() {
            return words.collect();
        }
        let products = (0..self.cols / CELLS).map(|block| self.step_matrices(block, step, (body, quad)));
        vec![Stmt::Block(words.chain(products).collect())]
    }

    /// The products of a step that is a fragment, and what becomes of its dots, block by block.
    pub fn block_steps(&self, step: usize) -> Code {
        let quad = step * self.class.fragment() / 4;
        let block = |block| {
            let cells = Tile { before: CELLS * block, cols: CELLS, ..*self };
            let products = self.step_matrices(block, step, (0, quad));
            [cells.start_dots(step), vec![products], cells.add_dots(step)].concat()
        };
        (0..self.cols / CELLS).flat_map(block).collect()
    }

    fn step_matrices(&self, block: usize, step: usize, (body, quad): (usize, usize)) -> Stmt {
        let slots = 0..self.slots();
        let words =
            |vectors: [usize; TOGETHER]| slots.clone().flat_map(|slot| vectors.map(|vector| weight(vector, slot))).collect();
        let columns = Base::Name(quants_of(body, quad)).at([]);
        self.block_matrices(block, &columns, &self.pairs(words), &|vector, column| dot(step, vector, column))
    }

    /// Words that a thread has of a row of a fragment.
    fn slots(&self) -> usize {
        self.class.fragment() / FRAGMENT
    }

    /// Products of words of row vectors with a block of columns, added to dots of these names.
    fn block_matrices(
        &self,
        block: usize,
        columns: &Place,
        weights: &[Vec<String>],
        dot: &dyn Fn(usize, usize) -> String,
    ) -> Stmt {
        let column = CELLS * block;
        let dots =
            self.pairs(|[one, other]| [dot(one, column), dot(one, column + 1), dot(other, column), dot(other, column + 1)]);
        Stmt::Matrices { block, columns: columns.clone(), weights: weights.to_vec(), dots }
    }

    /// Something for each two row vectors.
    fn pairs<T>(&self, of: impl Fn([usize; TOGETHER]) -> T) -> Vec<T> {
        (0..self.vectors).step_by(TOGETHER).map(|first| of([first, first + 1])).collect()
    }

    /// Whether sub-mins are multiplied as matrices: a span has whole quads of them, and no more than a fragment.
    pub fn has_min_fragments(&self) -> bool {
        let steps = self.class.span / self.class.step;
        self.held == Held::Fragments
            && matches!(self.class.min, Some(Min::Sub(_)))
            && steps.is_multiple_of(QUAD)
            && steps <= FRAGMENT
    }

    /// The mins of a span: sums of quants have 16 bits, and their bytes are multiplied apart. What becomes of both is below 2^20, and
    /// `256 * high + low` rounded once is the exact sum as f32.
    pub fn fragment_mins(&self, sub: Sub) -> Code {
        let quad = |vector| {
            let place = self.unit(vector, "mins", [Index::of("span")]);
            vec![Stmt::value(format!("mins{vector}"), Expr::Of(Op::MinQuad, vec![Expr::Read(place)]))]
        };
        let weights = self.pairs(|vectors| vectors.iter().map(|vector| format!("mins{vector}")).collect());
        let roots = self.each_vector(|vector| {
            let root = self.root(vector, "min_roots", self.group_of_span(), sub.unit);
            vec![Stmt::value(format!("scale{vector}"), root)]
        });
        let blocks = (0..self.cols / CELLS).map(|block| Stmt::Block(self.block_mins(block, &weights)));
        let quads = self.each_vector(quad);
        vec![Stmt::Block([quads, roots, blocks.collect()].concat())]
    }

    /// Those of a block of columns: of few cells at a time, because registers are.
    fn block_mins(&self, block: usize, weights: &[Vec<String>]) -> Code {
        let columns = CELLS * block..CELLS * (block + 1);
        let cells = columns.flat_map(|column| (0..self.vectors).map(move |vector| (vector, column))).collect::<Vec<_>>();
        let zero = || Expr::Of(Op::Lift, vec![Expr::Of(Op::ZeroI, Vec::new())]);
        let bytes = ["low", "high"].into_iter().flat_map(|name| {
            let clear = cells.iter().map(|&(vector, column)| Stmt::variable(cell(name, vector, column), zero()));
            let place = Base::Columns(name).at([Index::of("span")]);
            let add = self.block_matrices(block, &place, weights, &|vector, column| cell(name, vector, column));
            clear.chain([add]).collect::<Code>()
        });
        let finish = cells.iter().map(|&(vector, column)| {
            let float = |name| Expr::Of(Op::LiftedToFloat, vec![Expr::variable(cell(name, vector, column))]);
            let whole = Expr::Of(Op::Fma, vec![Expr::Float(256.0), float("high"), float("low")]);
            let (t, scale) = (self.sum("t", vector, column), Expr::variable(format!("scale{vector}")));
            Stmt::Set(t.clone(), Expr::Of(Op::Fma, vec![scale, whole, t]))
        });
        bytes.chain(finish).collect()
    }
}

/// A word of a row vector.
fn weight(vector: usize, slot: usize) -> String {
    format!("weight{vector}_{slot}")
}
