//! The recurrence of the numerics class `exact`: `sum = fma(w, x, sum)` in K order, `w` having the bits of the decoder's f32.

use quantloom_spec::kernels::Prefetch;

use super::int8::{Source, cell};
use super::ir::{Base, Code, Expr, Index, Stmt, each};
use super::ops::Op;
use super::quads::Lines;
use super::tile::Tile;
use crate::lower::class::{Codes, LINE, Min, PANEL_ROWS};

/// What becomes of decoded weights.
pub struct Use<'a> {
    /// The code that uses the vectors `weight0`, `weight1`, ... of weight `4 quad + index` of chunk `at_chunk`, for a quad and an index.
    pub code: &'a dyn Fn(usize, usize) -> Code,
    /// What comes after each quad.
    pub after: Code,
    /// Whether they are added to sums at once: then it is enough that these, at the end of a unit, are no numbers where a weight is none.
    pub summed: bool,
}

impl Tile<'_> {
    /// One unit from packed memory: every weight decoded to f32.
    pub fn exact_weights(&self, used: &Use<'_>) -> Code {
        let class = self.class;
        let (chunk, step) = (self.chunk(), class.step);
        if class.codes == Codes::None {
            return self.plain_weights(used);
        }
        let (scales, prefetch) = (self.exact_scales(), self.exact_prefetch());
        if step >= chunk {
            let chunks = step / chunk;
            let at = Stmt::LetIndex("at_chunk".to_owned(), Index::of("at_step").times(chunks).plus(Index::of("inner")));
            let inner = each("inner", chunks, [vec![at], prefetch, self.exact_quads(0..chunk / 4, used)].concat());
            each("at_step", class.steps(), [scales, inner].concat())
        } else {
            let count = chunk / step;
            let steps = (0..count).flat_map(|sub| {
                let at = Stmt::LetIndex("at_step".to_owned(), Index::of("at_chunk").times(count).plus(sub));
                [vec![at], scales.clone(), self.exact_quads(sub * step / 4..(sub + 1) * step / 4, used)].concat()
            });
            each("at_chunk", class.unit / chunk, prefetch.into_iter().chain(steps).collect())
        }
    }

    /// Every weight a root: `chunk` of them a turn.
    fn plain_weights(&self, used: &Use<'_>) -> Code {
        let class = self.class;
        let (chunk, bytes) = (self.chunk(), PANEL_ROWS * class.root.bytes());
        let weights = (0..chunk).map(|at| {
            let index = || Index::of("at_chunk").times(chunk).plus(at);
            let weights = self.each_vector(|vector| {
                let value = vec![Stmt::value(format!("weight{vector}"), self.root(vector, "roots", index(), 1.0))];
                let starts_line = self.begins_line(vector) && (at * bytes).is_multiple_of(LINE);
                if self.prefetch == Prefetch::None || !starts_line {
                    return value;
                }
                let line = Expr::Bytes(self.unit(vector, "roots", [index()]));
                [self.first_turn(vec![Stmt::Prefetch(self.prefetch, line)]), value].concat()
            });
            Stmt::Block([weights, (used.code)(at / 4, at % 4)].concat())
        });
        each("at_chunk", class.unit / chunk, weights.collect())
    }

    /// Asks for what lies ahead of the code lines of chunk `at_chunk`.
    fn exact_prefetch(&self) -> Code {
        let from = self.exact_codes();
        self.each_vector(|vector| self.prefetch_lines(vector, &from, self.chunk_lines()))
    }

    /// The lines of chunk `at_chunk`, among those of the body that it belongs to.
    fn exact_codes(&self) -> Lines {
        let (chunks, lines) = (self.body() / self.chunk(), self.chunk_lines());
        let at = Index::of("at_chunk");
        let first = if chunks == 1 { 0.into() } else { at.modulo(chunks).times(lines) };
        Lines { body: at.over(chunks), first }
    }

    fn exact_quads(&self, quads: std::ops::Range<usize>, used: &Use<'_>) -> Code {
        let from = self.exact_codes();
        let quads = quads.flat_map(|quad| {
            let lines = |vector| format!("line{vector}_");
            let loads = self.each_vector(|vector| self.load_lines(vector, &from, quad, &lines(vector)));
            let codes = self.each_vector(|vector| vec![Stmt::value(format!("quad{vector}"), self.quad(&lines(vector), quad))]);
            let weights = (0..4).map(|index| {
                let weights = self.each_vector(|vector| vec![self.exact_weight(vector, index, used)]);
                Stmt::Block([weights, (used.code)(quad, index)].concat())
            });
            [loads, codes, self.magnitudes(used), weights.collect(), used.after.clone()].concat()
        });
        quads.collect()
    }

    /// Keeps the largest magnitudes of codes of which the largest is no number.
    fn magnitudes(&self, used: &Use<'_>) -> Code {
        if !used.summed || self.class.codes != Codes::E4m3 {
            return Code::new();
        }
        self.each_vector(|vector| {
            let (largest, quad) = (magnitudes(vector), Expr::variable(format!("quad{vector}")));
            vec![Stmt::Set(largest.clone(), Expr::Of(Op::Magnitudes, vec![largest, quad]))]
        })
    }

    /// What comes before the weights of a unit for that, and after.
    fn around_magnitudes(&self) -> [Code; 2] {
        if self.class.codes != Codes::E4m3 {
            return Default::default();
        }
        let zero = || Expr::Of(Op::ZeroI, Vec::new());
        let begin = self.each_vector(|vector| vec![Stmt::variable(format!("magnitudes{vector}"), zero())]);
        let unless =
            |sum: Expr, vector, _| vec![Stmt::Set(sum.clone(), Expr::Of(Op::UnlessNan, vec![sum, magnitudes(vector)]))];
        [begin, self.sums(unless, "sum")]
    }

    /// The scale and the min of step `at_step`.
    fn exact_scales(&self) -> Code {
        self.each_vector(|vector| {
            let scale = Stmt::value(format!("scale{vector}"), self.packed_scale(vector));
            let scales = self.step_root(vector).into_iter().chain([scale]);
            scales.chain(self.exact_zero(vector)).chain(self.exact_min(vector)).collect()
        })
    }

    /// What is subtracted from every byte of step `at_step`, if that is not a constant.
    fn exact_zero(&self, vector: usize) -> Option<Stmt> {
        self.class.zero_group.map(|group| {
            let constant = Expr::Of(Op::SplatF, vec![Expr::Float(self.class.zero as f32)]);
            let zero = Expr::Of(Op::Add, vec![self.zeros(vector, self.group_of_step(group)), constant]);
            Stmt::value(format!("zero{vector}"), zero)
        })
    }

    fn exact_min(&self, vector: usize) -> Code {
        let class = self.class;
        let (name, at) = (format!("min{vector}"), self.group_of_step(class.root_group));
        match class.min {
            None => Code::new(),
            Some(Min::Flat) => vec![Stmt::value(name, self.root(vector, "min_roots", at, 1.0))],
            Some(Min::Sub(sub)) => {
                let (steps, pairs, step) = (class.span / class.step, class.span_pairs(), Index::of("at_step"));
                let pair = step.over(steps).times(pairs).plus(step.modulo(steps).over(2));
                let mins = Expr::Of(Op::Pairs, vec![Expr::Read(self.unit(vector, "mins", [pair]))]);
                let halves = [Op::LowHalf, Op::HighHalf].map(|half| Expr::Of(half, vec![Expr::variable("mins")]));
                let root = self.root(vector, "min_roots", at, sub.unit);
                vec![
                    Stmt::value("mins", mins),
                    Stmt::value("sub_min", Expr::ByTurns(step.modulo(steps), Box::new(halves))),
                    Stmt::value(name, Expr::Of(Op::Mul, vec![root, Expr::variable("sub_min")])),
                ]
            }
        }
    }

    /// `let weight{vector} = scale * (code - zero) + min`, each operation rounded by itself.
    fn exact_weight(&self, vector: usize, index: usize, used: &Use<'_>) -> Stmt {
        let named = |name: &str| Expr::variable(format!("{name}{vector}"));
        let shift = 8 * index;
        let quad = named("quad");
        let mut level = match &self.class.codes {
            Codes::Floats(_) => Expr::Of(Op::Pick(shift), vec![Expr::variable("palette"), quad]),
            Codes::E4m3 if used.summed => Expr::Of(Op::E4m3Number(shift), vec![quad]),
            Codes::E4m3 => Expr::Of(Op::E4m3(shift), vec![quad]),
            Codes::Linear | Codes::Bytes(_) | Codes::None => Expr::Of(Op::Byte(shift), vec![quad]),
        };
        if self.class.zero_group.is_some() {
            level = Expr::Of(Op::Sub, vec![level, named("zero")]);
        } else if self.class.zero != 0 {
            let zero = Expr::Of(Op::SplatF, vec![Expr::Float(self.class.zero as f32)]);
            level = Expr::Of(Op::Sub, vec![level, zero]);
        }
        let mut value = Expr::Of(Op::Mul, vec![named("scale"), level]);
        if self.class.min.is_some() {
            value = Expr::Of(Op::Add, vec![value, named("min")]);
        }
        Stmt::value(format!("weight{vector}"), value)
    }

    /// One unit multiplied, straight from packed memory or from the stage.
    pub fn exact_unit(&self, source: Source) -> Code {
        let (unit, chunk) = (self.class.unit, self.chunk());
        let after = self.after(source, Op::AfterF, &cell("sum", self.vectors - 1, self.cols - 1));
        match source {
            Source::Packed => {
                let multiply = |quad: usize, index: usize| self.multiply_exact((quad * 4 + index).into());
                let weights = self.exact_weights(&Use { code: &multiply, after, summed: true });
                let [begin, end] = self.around_magnitudes();
                [begin, weights, end].concat()
            }
            Source::Stage => {
                let place = Base::Stage("weights").at([Index::of("at_chunk"), Index::of("at")]);
                let weights = self.rows_of(Expr::Read(place), |vector, row| {
                    vec![Stmt::value(format!("weight{vector}"), Expr::Of(Op::Floats, vec![row]))]
                });
                let turn = [weights, self.multiply_exact(Index::of("at")), after].concat();
                each("at_chunk", unit / chunk, each("at", chunk, turn))
            }
        }
    }

    fn multiply_exact(&self, at: Index) -> Code {
        let values = Base::Columns("values").at([Index::of("at_chunk"), at]);
        self.columns(Expr::Read(values), |column, value| {
            let value = Stmt::value("value", Expr::Of(Op::SplatF, vec![value]));
            let sums = self.each_vector(|vector| {
                let (sum, weight) = (Expr::variable(cell("sum", vector, column)), Expr::variable(format!("weight{vector}")));
                vec![Stmt::Set(sum.clone(), Expr::Of(Op::Fma, vec![weight, Expr::variable("value"), sum]))]
            });
            vec![Stmt::Block([vec![value], sums].concat())]
        })
    }
}

/// The largest magnitudes of codes that a row vector has had.
fn magnitudes(vector: usize) -> Expr {
    Expr::variable(format!("magnitudes{vector}"))
}
