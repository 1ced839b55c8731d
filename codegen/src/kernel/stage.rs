//! The stage of a panel kernel: the units of a segment, unpacked once and used for every column group.

use quantloom_spec::kernels::Numerics;

use super::exact::Use;
use super::ir::{Base, Code, Expr, Index, Pattern, Stmt, each};
use super::ops::Op;
use super::quads::Lines;
use super::tile::Tile;
use crate::lower::class::Min;

/// A field of an unpacked unit: for each row vector of a tile, a vector's lanes.
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// How many there are, outermost first.
    pub counts: Vec<usize>,
    /// Whether lanes are f32; else each is four bytes.
    pub is_float: bool,
}

impl Tile<'_> {
    /// The fields of a unit of the stage.
    pub fn stage(&self, numerics: Numerics) -> Vec<Field> {
        let class = self.class;
        let field = |name, counts: &[usize], is_float| Field { name, counts: counts.to_vec(), is_float };
        let fields = match numerics {
            Numerics::Exact => vec![field("weights", &[class.unit / class.chunk(), class.chunk()], true)],
            Numerics::Int8 => vec![
                field("quads", &[class.unit / class.body(), class.body() / 4], false),
                field("scales", &[class.steps()], true),
                field("zeros", &[class.zeros()], true),
                field("mins", &[class.min_pairs()], false),
                field("min_roots", &[class.min_roots()], true),
            ],
        };
        fields.into_iter().filter(|field| !field.counts.contains(&0)).collect()
    }

    /// Unpacks `unit{vector}` to `stage`.
    pub fn unpack(&self, numerics: Numerics) -> Code {
        match numerics {
            Numerics::Exact => self.unpack_exact(),
            Numerics::Int8 => [self.unpack_quads(), self.unpack_scales(), self.unpack_zeros(), self.unpack_mins()].concat(),
        }
    }

    fn unpack_exact(&self) -> Code {
        let store = |quad: usize, index: usize| {
            let place = Base::Stage("weights").at([Index::of("at_chunk"), (quad * 4 + index).into()]);
            self.rows_of(Expr::Write(place), |vector, row| {
                vec![Stmt::Do(Expr::Of(Op::StoreFloats, vec![row, Expr::variable(format!("weight{vector}"))]))]
            })
        };
        self.exact_weights(&Use { code: &store, after: Code::new(), summed: false })
    }

    fn unpack_quads(&self) -> Code {
        let class = self.class;
        let place = |quad: usize, vector: usize| format!("quad{quad}_{vector}");
        let places = (0..class.body() / 4).map(|quad| {
            let rows = (0..self.vectors).map(|vector| Pattern::Name(place(quad, vector)));
            Pattern::Parts(rows.collect())
        });
        let body = Expr::Write(Base::Stage("quads").at([Index::of("at_body")]));
        let places = Stmt::TakeApart(Pattern::Parts(places.collect()), body);
        let from = Lines::of_body("at_body".to_owned());
        let vectors = self.each_vector(|vector| {
            let stores = (0..class.body() / 4).step_by(self.quads_at_once()).flat_map(|quad| {
                let load = |quad| self.load_lines(vector, &from, quad, "line");
                let store = |quad, value| Stmt::Do(Expr::Of(Op::StoreLine, vec![Expr::variable(place(quad, vector)), value]));
                if self.matrix {
                    let stores = [store(quad, Expr::variable("upper")), store(quad + 1, Expr::variable("lower"))];
                    [load(quad), load(quad + 1), self.rows("line", quad), stores.to_vec()].concat()
                } else {
                    [load(quad), vec![store(quad, self.int8_quad("line", quad))]].concat()
                }
            });
            vec![Stmt::Block(stores.collect())]
        });
        each("at_body", class.unit / class.body(), [vec![places], vectors].concat())
    }

    fn unpack_scales(&self) -> Code {
        let stores = self.each_vector(|vector| {
            let store = store(Op::StoreFloats, "scales", "at_step", vector, self.packed_scale(vector));
            vec![Stmt::Block(self.step_root(vector).into_iter().chain([store]).collect())]
        });
        each("at_step", self.class.steps(), stores)
    }

    fn unpack_zeros(&self) -> Code {
        let zeros = |vector| self.zeros(vector, Index::of("at"));
        self.store_each(self.class.zeros(), |vector| store(Op::StoreFloats, "zeros", "at", vector, zeros(vector)))
    }

    fn unpack_mins(&self) -> Code {
        let factor = match self.class.min {
            None => return Code::new(),
            Some(Min::Flat) => 1.0,
            Some(Min::Sub(sub)) => sub.unit,
        };
        let at = || Index::of("at");
        let root = |vector| self.root(vector, "min_roots", at(), factor);
        let roots =
            self.store_each(self.class.min_roots(), |vector| store(Op::StoreFloats, "min_roots", "at", vector, root(vector)));
        let mins = |vector| Expr::Of(Op::Pairs, vec![Expr::Read(self.unit(vector, "mins", [at()]))]);
        let pairs = self.store_each(self.class.min_pairs(), |vector| store(Op::StoreLine, "mins", "at", vector, mins(vector)));
        [roots, pairs].concat()
    }

    /// A statement for each row vector, so many times, `at` counting.
    fn store_each(&self, count: usize, statement: impl Fn(usize) -> Stmt) -> Code {
        if count == 0 { Code::new() } else { each("at", count, self.each_vector(|vector| vec![statement(vector)])) }
    }
}

/// Stores a row vector's part of an element of an unpacked unit.
fn store(op: Op, field: &'static str, at: &str, vector: usize, value: Expr) -> Stmt {
    let place = Expr::Write(Base::Stage(field).at([Index::of(at), vector.into()]));
    Stmt::Do(Expr::Of(op, vec![place, value]))
}
