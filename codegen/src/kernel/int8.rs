//! The recurrence of the numerics class `int8`.
//!
//! Per span `t = +0`; per step `t = fma(root * sub, f32(dot), t)`; then the mins; then `sum = fma(activation scale, t, sum)`.
//!
//! The dots of several steps can be in flight at once: one dot takes five cycles, and two or more can begin in each, so that the cells
//! of a small tile are too few to keep the processor busy.

use super::ir::{Base, Code, Expr, Index, Pattern, Stmt, each};
use super::ops::Op;
use super::quads::{Held, Lines};
use super::tile::Tile;
use super::width;

/// Where a tile finds its weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The packed unit, decoded in registers.
    Packed,
    /// A segment that was unpacked before.
    Stage,
}

impl Tile<'_> {
    /// One unit: for each span its steps and mins, added to `sum{vector}_{column}`.
    pub fn int8_unit(&self, source: Source) -> Code {
        let class = self.class;
        let (spans, steps) = (class.unit / class.span, class.span / class.step);
        let (open, close) = self.around_span(source);
        let (turn, keep) = (Index::of("at_turn"), Code::from_iter(self.keep("sum")));
        if steps > 1 {
            let (flight, code) = self.turn(source, steps);
            let turns = steps / flight;
            let at = Index::of("span").scaled(turns).plus(Index::of("turn"));
            let at = [Stmt::LetIndex("at_turn".to_owned(), at)].into_iter().chain(self.keep("t"));
            let turns = each("turn", turns, at.chain(code).collect());
            return each("span", spans, [keep, open, turns, close].concat());
        }
        let end = |count, step| {
            let span = Stmt::LetIndex("span".to_owned(), turn.part(count, step));
            Stmt::Block([vec![span], open.clone(), self.end(source, step), close.clone()].concat())
        };
        let a_body = self.body() / class.step;
        if a_body > 1 || self.by_blocks() {
            let spans_of_body = self.body_turn(source, a_body, |step| vec![end(a_body, step)]);
            return each("at_turn", spans / a_body, [keep, spans_of_body].concat());
        }
        let flight = self.flight(spans);
        let (starts, dots) = (self.starts(source, flight), self.dots(source, flight));
        let ends = (0..flight).map(|step| end(flight, step));
        each("at_turn", spans / flight, [keep, starts, dots, ends.collect()].concat())
    }

    /// What comes before the steps of a span, and what after.
    fn around_span(&self, source: Source) -> (Code, Code) {
        let clear = if self.class.span > self.class.step { self.clear("t") } else { Code::new() };
        let finish = self.columns(Expr::Read(Base::Columns("scales").at([Index::of("span")])), |column, scale| {
            let scale = Stmt::value("scale", Expr::Of(Op::SplatF, vec![scale]));
            let sums = self.each_vector(|vector| {
                let (sum, t) = (self.sum("sum", vector, column), self.sum("t", vector, column));
                vec![Stmt::Set(sum.clone(), Expr::Of(Op::Fma, vec![Expr::variable("scale"), t, sum]))]
            });
            vec![Stmt::Block([vec![scale], sums].concat())]
        });
        let stored = ["sum", "t"].into_iter().filter_map(|name| self.stored_sums(name)).collect();
        ([clear, self.span_roots(source)].concat(), [self.int8_mins(source), stored, finish].concat())
    }

    /// Steps in flight: as many as the variant says, or fewer if those do not divide `steps`.
    fn flight(&self, steps: usize) -> usize {
        (1..=self.steps).rev().find(|flight| steps.is_multiple_of(*flight)).unwrap_or(1)
    }

    /// Turn `at_turn` of the unit, and how many steps of a span that has `steps` it takes.
    fn turn(&self, source: Source, steps: usize) -> (usize, Code) {
        let class = self.class;
        let a_body = self.body() / class.step;
        if a_body > 1 || self.by_blocks() {
            return (a_body, self.body_turn(source, a_body, |step| self.end(source, step)));
        }
        let flight = self.flight(steps);
        let ends = (0..flight).flat_map(|step| self.end(source, step)).collect();
        (flight, [self.starts(source, flight), self.dots(source, flight), ends].concat())
    }

    /// A body that holds several steps: loaded once, its steps one after the other, each with an end.
    fn body_turn(&self, source: Source, count: usize, end: impl Fn(usize) -> Code) -> Code {
        let quads = self.class.step / 4;
        let steps = (0..count).flat_map(|step| {
            let at = Stmt::LetIndex(at_step(step), Index::of("at_turn").part(count, step));
            let dots = (0..quads).step_by(self.quads_at_once());
            let dots = dots.flat_map(|index| self.loaded_dots(source, step, (0, step * quads + index), (index, quads)));
            let begin = [at].into_iter().chain(self.keep("t")).chain(self.start(source, step)).chain(self.pair_sums(step));
            begin.chain(dots).chain(end(step)).collect::<Code>()
        });
        let at = Stmt::LetIndex(at_body(0), Index::of("at_turn"));
        [vec![at], self.prefetch(source, 0), vec![self.quants(0)], steps.collect()].concat()
    }

    /// The dots of the steps in flight begin: `at_step{step}` is where in the unit they are.
    fn starts(&self, source: Source, flight: usize) -> Code {
        let starts = (0..flight).flat_map(|step| {
            let at = Stmt::LetIndex(at_step(step), Index::of("at_turn").part(flight, step));
            [vec![at], self.start(source, step)].concat()
        });
        starts.collect()
    }

    /// The dot of a step begins at its bias.
    fn start(&self, source: Source, step: usize) -> Code {
        if self.matrix {
            return self.matrix_start(step, &at_step(step));
        }
        if self.by_blocks() {
            return Code::new();
        }
        [self.start_places(source, step), self.start_dots(step)].concat()
    }

    /// The dots of cells begin.
    pub fn start_dots(&self, step: usize) -> Code {
        let lifted = |dot| if self.lifts() { Expr::Of(Op::Lift, vec![dot]) } else { dot };
        let begin = |column, first: Expr| {
            self.each_vector(|vector| vec![Stmt::variable(dot(step, vector, column), lifted(first.clone()))])
        };
        match width::bias(self.class, self.width) {
            0 => self.each_column().flat_map(|column| begin(column, Expr::Of(Op::ZeroI, Vec::new()))).collect(),
            _ => {
                let bias = Base::Columns("bias").at([Index::of(at_step(step))]);
                self.columns(Expr::Read(bias), |column, bias| begin(column, Expr::Of(Op::SplatI, vec![bias])))
            }
        }
    }

    /// The dot of a step ends with its scale.
    fn end(&self, source: Source, step: usize) -> Code {
        let at = Stmt::LetIndex("at_step".to_owned(), Index::of(at_step(step)));
        let scales = self.each_vector(|vector| {
            let scale = Stmt::value(format!("scale{vector}"), self.step_scale(source, vector));
            [scale].into_iter().chain(self.step_zeros(source, vector)).collect()
        });
        let dots = if self.matrix { self.dots_of_matrices(step) } else { self.end_places(source, step) };
        let add = if self.by_blocks() { self.block_steps(step) } else { self.add_dots(step) };
        [vec![at], dots, scales, add].concat()
    }

    /// The dots of cells are added to the sums of their spans.
    pub fn add_dots(&self, step: usize) -> Code {
        self.sums(
            |t, vector, column| {
                let scale = Expr::variable(format!("scale{vector}"));
                let to_float = if self.lifts() { Op::LiftedToFloat } else { Op::ToFloat };
                let whole = Expr::Of(to_float, vec![Expr::variable(dot(step, vector, column))]);
                let whole = self.less_zeros(vector, column, whole);
                vec![match t {
                    Expr::Variable(t) if self.class.span == self.class.step => {
                        Stmt::variable(t, Expr::Of(Op::FirstProduct, vec![scale, whole]))
                    }
                    t => Stmt::Set(t.clone(), Expr::Of(Op::Fma, vec![scale, whole, t])),
                }]
            },
            "t",
        )
    }

    /// The dots of the steps in flight, quad by quad in turn.
    fn dots(&self, source: Source, flight: usize) -> Code {
        let class = self.class;
        let (parts, quads) = (class.step / self.body(), self.body() / 4);
        let bodies = (0..flight).flat_map(|step| {
            let first = Index::of(at_step(step)).scaled(parts);
            let place = if parts == 1 { first } else { first.plus(Index::of("part_of_step")) };
            let at = Stmt::LetIndex(at_body(step), place);
            [vec![at], self.prefetch(source, step), vec![self.quants(step)], self.pair_sums(step)].concat()
        });
        let dots = (0..quads).step_by(self.quads_at_once()).flat_map(|quad| (0..flight).map(move |step| (quad, step)));
        let dots = dots.flat_map(|(quad, step)| self.loaded_dots(source, step, (step, quad), (quad, quads)));
        each("part_of_step", parts, bodies.chain(dots).collect())
    }

    /// Asks for what lies ahead of the lines of body `at_body{body}`.
    fn prefetch(&self, source: Source, body: usize) -> Code {
        if source == Source::Stage {
            return Code::new();
        }
        self.each_vector(|vector| self.prefetch_lines(vector, &Lines::of_body(at_body(body)), self.body_lines()))
    }

    /// Where the quants of each quad of body `at_body{body}` are: `columns{body}_{quad}`.
    fn quants(&self, body: usize) -> Stmt {
        let names = (0..self.body() / 4).map(|quad| Pattern::Name(quants_of(body, quad)));
        Stmt::TakeApart(Pattern::Parts(names.collect()), Expr::Read(Base::Columns("quants").at([Index::of(at_body(body))])))
    }

    /// Quads of a row that are multiplied at a time.
    pub fn quads_at_once(&self) -> usize {
        match self.held {
            Held::Fragments => self.class.fragment() / 4,
            _ if self.matrix => 2,
            _ => 1,
        }
    }

    /// [`Tile::quad_dots`] of as many quads as are multiplied at a time, loaded before.
    fn loaded_dots(&self, source: Source, step: usize, (body, quad): (usize, usize), row: (usize, usize)) -> Code {
        let loads = (0..self.quads_at_once()).flat_map(|index| self.load(source, body, quad + index));
        let dots = match self.held {
            Held::Fragments => self.fragment_dots(step, (body, quad)),
            _ if self.matrix => self.matrix_dots(source, step, (body, quad)),
            _ => self.quad_dots(source, step, (body, quad), row),
        };
        loads.chain(dots).collect()
    }

    /// Loads what [`Tile::load_lines`] says of body `at_body{body}`, if it comes from packed memory.
    fn load(&self, source: Source, body: usize, quad: usize) -> Code {
        if source == Source::Stage {
            return Code::new();
        }
        if self.held == Held::Fragments {
            return self.load_rows(body, quad);
        }
        let from = Lines::of_body(at_body(body));
        self.each_vector(|vector| self.load_lines(vector, &from, quad, &lines_of(body, vector)))
    }

    /// The products of one quad of a body with those of every column, added to the dots of `step`; it is quad `index` of `count` that
    /// are added in a row.
    fn quad_dots(&self, source: Source, step: usize, (body, quad): (usize, usize), row: (usize, usize)) -> Code {
        let weight = |vector, value| vec![Stmt::value(format!("weight{vector}"), value)];
        let weights = match source {
            Source::Packed => self.each_vector(|vector| weight(vector, self.packed_quad(&lines_of(body, vector), quad))),
            Source::Stage => {
                let place = Base::Stage("quads").at([Index::of(at_body(body)), quad.into()]);
                self.rows_of(Expr::Read(place), |vector, row| weight(vector, Expr::Of(Op::Line, vec![row])))
            }
        };
        let products = self.columns(Expr::variable(quants_of(body, quad)), |column, quants| {
            let quants = Stmt::value("quants", Expr::Of(Op::Quants, vec![quants]));
            let products = self.each_vector(|vector| self.multiply(source, (step, quad), (vector, column), row));
            vec![Stmt::Block([vec![quants], products].concat())]
        });
        let after = self.after(source, Op::After, &self.latest(source, (step, quad), row));
        [vec![Stmt::Block([weights, products].concat())], after].concat()
    }

    /// The 16-bit sums of a step that some instruction sets add to before they widen.
    fn pair_sums(&self, step: usize) -> Code {
        if !self.width.dot.is_narrow() {
            return Code::new();
        }
        self.cells(|name, _, _| Stmt::Let { name, changes: true, value: None }, &format!("pair{step}_"))
    }

    /// What the last product of a quad was added to: see [`Tile::multiply`].
    fn latest(&self, source: Source, (step, quad): (usize, usize), (index, count): (usize, usize)) -> String {
        let (vector, column) = (self.vectors - 1, self.cols - 1);
        let widened = (index + 1).is_multiple_of(width::budget(self.class, self.width)) || index + 1 == count;
        if self.width.dot.is_narrow() && !widened {
            cell(&format!("pair{step}_"), vector, column)
        } else {
            self.dot_of(source, step, quad, (vector, column))
        }
    }

    /// Adds the products of quad `index` of `count` to the dot, by the primitive of the instruction set.
    fn multiply(
        &self,
        source: Source,
        (step, quad): (usize, usize),
        (vector, column): (usize, usize),
        (index, count): (usize, usize),
    ) -> Code {
        let (weight, quants) = (Expr::variable(format!("weight{vector}")), Expr::variable("quants"));
        let dot = Expr::variable(self.dot_of(source, step, quad, (vector, column)));
        if !self.width.dot.is_narrow() {
            return vec![Stmt::Set(dot.clone(), Expr::Of(Op::Dot, vec![dot, weight, quants]))];
        }
        let pair = Expr::variable(cell(&format!("pair{step}_"), vector, column));
        // What takes signed codes by nature has no other word for them.
        let signed = width::signed_palette(self.class, self.width) || width::less_128(self.class, self.width);
        let op = if signed && !self.width.dot.is_signed() { Op::SignedProducts } else { Op::Products };
        let products = Expr::Of(op, vec![weight, quants]);
        let budget = width::budget(self.class, self.width);
        let sum = match index.is_multiple_of(budget) {
            true => products,
            false => Expr::Of(Op::AddProducts, vec![pair.clone(), products]),
        };
        let last = (index + 1).is_multiple_of(budget) || index + 1 == count;
        let widen = last.then(|| Stmt::Set(dot.clone(), Expr::Of(Op::Widen, vec![dot, pair.clone()])));
        [Stmt::Set(pair, sum)].into_iter().chain(widen).collect()
    }
}

/// Where in the unit a step in flight is.
fn at_step(step: usize) -> String {
    format!("at_step{step}")
}

/// Where in the unit the body is that a step in flight has come to.
pub fn at_body(step: usize) -> String {
    format!("at_body{step}")
}

/// Where the quants of a quad of a body are.
pub fn quants_of(body: usize, quad: usize) -> String {
    format!("columns{body}_{quad}")
}

/// The dot of a step in flight, of one cell.
pub fn dot(step: usize, vector: usize, column: usize) -> String {
    cell(&format!("dot{step}_"), vector, column)
}

/// The lines of a body and a vector are called so, and a number.
pub fn lines_of(body: usize, vector: usize) -> String {
    format!("line{body}_{vector}_")
}

/// The variable of one cell of a tile.
pub fn cell(prefix: &str, vector: usize, column: usize) -> String {
    format!("{prefix}{vector}_{column}")
}
