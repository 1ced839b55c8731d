//! The shape of a kernel's register tile, and what it has one of for each cell, column or row vector.

use std::ops::Range;

use quantloom_spec::kernels::Prefetch;

use super::int8::{Source, cell};
use super::ir::{Base, Code, Expr, Index, Pattern, Place, Stmt};
use super::ops::Op;
use super::quads::Held;
use super::width::Width;
use crate::lower::class::Class;

/// A register tile: `vectors` row vectors by `cols` columns.
#[derive(Clone, Copy)]
pub struct Tile<'a> {
    /// What is multiplied.
    pub class: &'a Class,
    /// With which vectors.
    pub width: Width,
    /// Row vectors at a time: of whole panels, or some of one panel.
    pub vectors: usize,
    /// Columns.
    pub cols: usize,
    /// How many columns come before them, which other tiles have.
    pub before: usize,
    /// Steps whose dots are in flight at once.
    pub steps: usize,
    /// Which lines it asks for that are `ahead` of those of packed memory that it reads.
    pub prefetch: Prefetch,
    /// How many of its f32 sums lie in memory, because registers hold the dots and what they are made of.
    pub stored: usize,
    /// Whether registers are so few that quads are decoded one after the other.
    pub tight: bool,
    /// Whether two rows and two columns of weights and quants are multiplied at a time.
    pub matrix: bool,
    /// How the codes of a unit lie.
    pub held: Held,
}

impl Tile<'_> {
    /// Turns that it takes over the rows of a panel.
    pub fn turns(&self) -> usize {
        self.width.parts().div_ceil(self.vectors)
    }

    /// The index of the part of a panel's rows that a row vector has: of the variable `part`, if it takes several turns. Nothing where a
    /// vector has them all.
    pub fn part(&self, vector: usize) -> Option<Index> {
        let (parts, vectors) = (self.width.parts(), self.vectors);
        match (self.turns(), vectors) {
            (1, _) if parts == 1 => None,
            (1, _) => Some((vector % parts).into()),
            (_, 1) => Some(Index::of("part")),
            _ => Some(Index::of("part").times(vectors).plus(vector)),
        }
    }

    /// A row vector's part of an element of a field of its packed unit.
    pub fn unit(&self, vector: usize, field: &'static str, at: impl IntoIterator<Item = Index>) -> Place {
        Base::Unit(vector, field).at(at.into_iter().chain(self.part(vector)))
    }

    /// The panel that a row vector belongs to.
    pub fn panel(&self, vector: usize) -> usize {
        if self.turns() == 1 { vector / self.width.parts() } else { 0 }
    }

    /// What is done only in the first turn over a panel.
    pub fn first_turn(&self, code: Code) -> Code {
        if self.turns() == 1 { code } else { vec![Stmt::FirstPart(code)] }
    }

    /// Some code for each row vector.
    pub fn each_vector(&self, code: impl FnMut(usize) -> Code) -> Code {
        (0..self.vectors).flat_map(code).collect()
    }

    /// A statement for each cell, columns first.
    pub fn cells(&self, statement: impl Fn(String, usize, usize) -> Stmt, prefix: &str) -> Code {
        self.each_cell(|vector, column| vec![statement(cell(prefix, vector, column), vector, column)])
    }

    /// Some code for each f32 sum, which is a variable or lies in memory; columns first.
    pub fn sums(&self, code: impl Fn(Expr, usize, usize) -> Code, name: &str) -> Code {
        let cells = self.each_cell(|vector, column| code(self.sum(name, vector, column), vector, column));
        self.stored_sums(name).into_iter().chain(cells).collect()
    }

    /// Names for the sums that lie in memory, which [`Tile::sum`] uses.
    pub fn stored_sums(&self, name: &str) -> Option<Stmt> {
        let places = (0..self.stored).map(|place| Pattern::Name(stored(name, place))).collect();
        let all = || Stmt::TakeApart(Pattern::Parts(places), Expr::Reborrow(name.to_owned()));
        self.stores(name).then(all)
    }

    /// The f32 sum of one cell.
    pub fn sum(&self, name: &str, vector: usize, column: usize) -> Expr {
        let variable = || Expr::variable(cell(name, vector, column));
        self.stored_at(name, vector, column).map_or_else(variable, |place| Expr::Pointee(stored(name, place)))
    }

    /// Every f32 sum of that name at +0.
    pub fn clear(&self, name: &str) -> Code {
        let zero = || Expr::Of(Op::ZeroF, Vec::new());
        let clear = |sum, _, _| match sum {
            Expr::Variable(sum) => vec![Stmt::variable(sum, zero())],
            stored => vec![Stmt::Set(stored, zero())],
        };
        self.sums(clear, name)
    }

    /// The memory of the f32 sums that lie there.
    pub fn memory(&self) -> Code {
        let names = ["sum", "t"].into_iter().filter(|name| self.stores(name));
        names.map(|name| Stmt::Memory(name.to_owned(), self.stored)).collect()
    }

    /// Keeps the sums of that name that lie in memory there: LLVM would load them into registers, and spill those.
    pub fn keep(&self, name: &str) -> Option<Stmt> {
        self.stores(name).then(|| Stmt::Keep(name.to_owned()))
    }

    /// Lets the next quad begin when `value` has been computed, if registers are few: LLVM would decode several quads ahead and spill
    /// them. The processor does not wait.
    pub fn after(&self, source: Source, op: Op, value: &str) -> Code {
        let next = |place: String| {
            let arguments = vec![Expr::variable(place.clone()), Expr::variable(value)];
            Stmt::value(place, Expr::Of(op, arguments))
        };
        match source {
            _ if !self.tight => Code::new(),
            Source::Packed => (0..self.vectors).map(|vector| next(format!("unit{vector}"))).collect(),
            Source::Stage => vec![next("stage".to_owned())],
        }
    }

    /// Whether sums of that name lie in memory: the sum of a span of one step is made and used at once.
    fn stores(&self, name: &str) -> bool {
        self.stored > 0 && (name == "sum" || self.class.span > self.class.step)
    }

    /// Where in memory the sum of a cell lies, if it does: the last ones do.
    fn stored_at(&self, name: &str, vector: usize, column: usize) -> Option<usize> {
        let kept = self.vectors * self.cols - self.stored;
        if self.stores(name) { (column * self.vectors + vector).checked_sub(kept) } else { None }
    }

    fn each_cell(&self, code: impl Fn(usize, usize) -> Code) -> Code {
        self.each_column()
            .flat_map(|column| (0..self.vectors).flat_map(|vector| code(vector, column)).collect::<Code>())
            .collect()
    }

    /// The columns, among those of all tiles.
    pub fn each_column(&self) -> Range<usize> {
        self.before..self.before + self.cols
    }

    /// What the columns have at a place, under the names `column0`, `column1` and so on, and some code for each column.
    pub fn columns(&self, place: Expr, code: impl Fn(usize, Expr) -> Code) -> Code {
        taken_apart(place, "column", self.each_column(), |column, name| code(column, Expr::Pointee(name)))
    }

    /// What the row vectors of a stage have, under the names `row0`, `row1` and so on, and some code for each vector.
    pub fn rows_of(&self, place: Expr, code: impl Fn(usize, Expr) -> Code) -> Code {
        taken_apart(place, "row", 0..self.vectors, |vector, name| code(vector, Expr::Variable(name)))
    }
}

/// The name of an f32 sum that lies in memory.
fn stored(name: &str, place: usize) -> String {
    format!("{name}_at{place}")
}

/// Names for the parts of a place, and some code for each. A pattern, because rustc takes a tenth of a millisecond to look up what an index
/// means.
fn taken_apart(place: Expr, name: &str, indices: Range<usize>, code: impl Fn(usize, String) -> Code) -> Code {
    let named = |index: usize| format!("{name}{index}");
    let before = (0..indices.start).map(|_| Pattern::Skip);
    let pattern = Pattern::Parts(before.chain(indices.clone().map(|index| Pattern::Name(named(index)))).collect());
    let parts = indices.flat_map(|index| code(index, named(index)));
    [Stmt::TakeApart(pattern, place)].into_iter().chain(parts).collect()
}
