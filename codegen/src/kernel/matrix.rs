//! Products of matrices: two rows by two columns, eight weights at a time.
//!
//! While a step is being summed, the variables of the cells of four rows and columns `c` and `c + 1` hold two such products: that of the
//! upper two rows under the name of column `c`, that of the lower two under the other.

use super::int8::{Source, at_body, dot, lines_of, quants_of};
use super::ir::{Base, Code, Expr, Index, Stmt};
use super::ops::Op;
use super::tile::Tile;
use super::width;

impl Tile<'_> {
    /// The dots of a step begin at their bias.
    pub fn matrix_start(&self, step: usize, at_step: &str) -> Code {
        let bias = |column: usize| Expr::Value(Base::Columns("bias").at([Index::of(at_step), column.into()]));
        let first = |column: usize| match width::bias(self.class, self.width) {
            0 => Expr::Of(Op::ZeroI, Vec::new()),
            _ => Expr::Of(Op::SplatTwo, vec![bias(column & !1), bias(column | 1)]),
        };
        let cells = (0..self.cols).flat_map(|column| (0..self.vectors).map(move |vector| (vector, column)));
        cells.map(|(vector, column)| Stmt::variable(dot(step, vector, column), first(column))).collect()
    }

    /// The products of quads `quad` and `quad + 1` of a body with those of every column, added to the dots of `step`.
    pub fn matrix_dots(&self, source: Source, step: usize, (body, quad): (usize, usize)) -> Code {
        let quants = (0..self.cols).step_by(2).map(|column| {
            let [first, second] = [quad, quad + 1].map(|quad| {
                let of = |column: usize| Expr::Value(Base::Name(quants_of(body, quad)).at([column.into()]));
                Expr::Of(Op::FirstTwo, vec![of(column), of(column + 1)])
            });
            Stmt::value(format!("quants{column}"), Expr::Of(Op::LowTurns, vec![first, second]))
        });
        let products = self.each_vector(|vector| {
            let weights = self.source_rows(source, vector, (body, quad));
            let products = (0..self.cols).map(|column| {
                let (dot, quants) = (Expr::variable(dot(step, vector, column)), format!("quants{}", column & !1));
                let rows = Expr::variable(if column % 2 == 0 { "upper" } else { "lower" });
                Stmt::Set(dot.clone(), Expr::Of(Op::DotMatrix, vec![dot, rows, Expr::variable(quants)]))
            });
            vec![Stmt::Block(weights.into_iter().chain(products).collect())]
        });
        let after = self.after(source, Op::After, &dot(step, self.vectors - 1, self.cols - 1));
        [vec![Stmt::Block(quants.chain(products).collect())], after].concat()
    }

    /// Four rows as two matrices: `upper` and `lower`. A stage has them.
    fn source_rows(&self, source: Source, vector: usize, (body, quad): (usize, usize)) -> Code {
        if source == Source::Packed {
            return self.rows(&lines_of(body, vector), quad);
        }
        let rows = [quad, quad + 1].map(|quad| {
            let place = Base::Stage("quads").at([Index::of(at_body(body)), quad.into(), vector.into()]);
            Expr::Of(Op::Line, vec![Expr::Read(place)])
        });
        vec![Stmt::LetTwo(["upper", "lower"].map(str::to_owned), rows)]
    }

    /// Quads `quad` and `quad + 1` of four rows, from lines that `load_lines` named, as two matrices: `upper` and `lower`.
    pub fn rows(&self, prefix: &str, quad: usize) -> Code {
        let (quads, names) = ([quad, quad + 1].map(|quad| self.int8_quad(prefix, quad)), ["first", "second"]);
        let turns = [Op::LowTurns, Op::HighTurns].map(|op| Expr::Of(op, names.map(Expr::variable).to_vec()));
        vec![Stmt::LetTwo(names.map(str::to_owned), quads), Stmt::LetTwo(["upper", "lower"].map(str::to_owned), turns)]
    }

    /// The dot of each cell, from the products.
    pub fn dots_of_matrices(&self, step: usize) -> Code {
        let cells = (0..self.cols).step_by(2).flat_map(|column| (0..self.vectors).map(move |vector| (vector, column)));
        let dots = cells.map(|(vector, column)| {
            let names = [dot(step, vector, column), dot(step, vector, column + 1)];
            let dots = [Op::Even, Op::Odd].map(|op| Expr::Of(op, names.clone().map(Expr::Variable).to_vec()));
            Stmt::LetTwo(names, dots)
        });
        dots.collect()
    }
}
