//! Scales, mins and zero points of a unit: what a dot is multiplied by, and what is added after it.

use super::int8::{Source, cell};
use super::ir::{Base, Code, Expr, Index, Stmt, each};
use super::ops::Op;
use super::tile::Tile;
use crate::lower::class::{Min, Root, Sub};

/// An f32 in every lane times something, unless it is 1.
fn times(value: Expr, factor: f32) -> Expr {
    if factor == 1.0 {
        return value;
    }
    Expr::Of(Op::Mul, vec![value, Expr::Of(Op::SplatF, vec![Expr::Float(factor)])])
}

impl Tile<'_> {
    /// The root group, or that of a zero point, of step `at_step`.
    pub fn group_of_step(&self, group: usize) -> Index {
        Index::of("at_step").group(self.class.step, group)
    }

    /// The root group of span `span`.
    pub fn group_of_span(&self) -> Index {
        Index::of("span").group(self.class.span, self.class.root_group)
    }

    /// The zero points of step `at_step` as f32, if the class has them.
    pub fn step_zeros(&self, source: Source, vector: usize) -> Option<Stmt> {
        self.class.zero_group.map(|group| {
            let at = self.group_of_step(group);
            let zeros = match source {
                Source::Packed => self.zeros(vector, at),
                Source::Stage => staged(Op::Floats, "zeros", at, vector),
            };
            Stmt::value(format!("zeros{vector}"), zeros)
        })
    }

    /// The zero points of a group as f32.
    pub fn zeros(&self, vector: usize, at: Index) -> Expr {
        let signed = Expr::Of(Op::Signed, vec![Expr::Read(self.unit(vector, "zeros", [at]))]);
        Expr::Of(Op::ToFloat, vec![signed])
    }

    /// `dot - zero * sum of quants`: all three are integers below 2^24, so that the f32 operation is exact.
    pub fn less_zeros(&self, vector: usize, column: usize, dot: Expr) -> Expr {
        if self.class.zero_group.is_none() {
            return dot;
        }
        Expr::Of(Op::SubProduct, vec![dot, Expr::variable(format!("zeros{vector}")), step_sum(column)])
    }

    /// Roots that a whole span shares.
    pub fn span_roots(&self, source: Source) -> Code {
        let class = self.class;
        if source == Source::Stage || class.root_group < class.span || class.sub_scale.is_none() {
            return Code::new();
        }
        self.each_vector(|vector| {
            let root = self.root(vector, "roots", self.group_of_span(), class.scale_factor());
            vec![Stmt::value(format!("root{vector}"), root)]
        })
    }

    /// A root of a field of the packed unit as f32, times a constant.
    pub fn root(&self, vector: usize, field: &'static str, at: Index, factor: f32) -> Expr {
        let load = match self.class.root {
            Root::F16 => Op::Halves,
            Root::Bf16 => Op::Bfloats,
            Root::F32 => Op::Floats,
            Root::E8m0 { bias } => Op::PowersOfTwo(bias),
            Root::Ue4m3 => Op::Ue4m3,
        };
        times(Expr::Of(load, vec![Expr::Read(self.unit(vector, field, [at]))]), factor)
    }

    /// The f32 scale of step `at_step`.
    pub fn step_scale(&self, source: Source, vector: usize) -> Expr {
        match source {
            Source::Stage => staged(Op::Floats, "scales", Index::of("at_step"), vector),
            Source::Packed => self.packed_scale(vector),
        }
    }

    /// The root that [`Tile::packed_scale`] takes for granted, where a span has one: that of step `at_step`.
    pub fn step_root(&self, vector: usize) -> Option<Stmt> {
        let class = self.class;
        let shared = class.sub_scale.is_some() && class.root_group >= class.span;
        shared.then(|| Stmt::value(format!("root{vector}"), self.root_of_step(vector)))
    }

    /// `root * sub` of step `at_step`, from the packed unit.
    pub fn packed_scale(&self, vector: usize) -> Expr {
        let Some(sub) = self.class.sub_scale else { return self.root_of_step(vector) };
        let shared = self.class.root_group >= self.class.span;
        let root = if shared { Expr::variable(format!("root{vector}")) } else { self.root_of_step(vector) };
        Expr::Of(Op::Mul, vec![root, Expr::Of(Op::ToFloat, vec![self.sub_integer(vector, sub)])])
    }

    fn root_of_step(&self, vector: usize) -> Expr {
        self.root(vector, "roots", self.group_of_step(self.class.root_group), self.class.scale_factor())
    }

    fn sub_integer(&self, vector: usize, sub: Sub) -> Expr {
        let load = if sub.signed { Op::Signed } else { Op::Unsigned };
        Expr::Of(load, vec![Expr::Read(self.unit(vector, "scales", [Index::of("at_step")]))])
    }

    /// The mins of a span, after its dots.
    pub fn int8_mins(&self, source: Source) -> Code {
        match self.class.min {
            None => Code::new(),
            Some(Min::Flat) => self.flat_mins(source),
            Some(Min::Sub(sub)) if self.has_min_fragments() => self.fragment_mins(sub),
            Some(Min::Sub(sub)) => self.sub_mins(source, sub),
        }
    }

    fn flat_mins(&self, source: Source) -> Code {
        let (steps, at) = (self.class.span / self.class.step, self.group_of_step(self.class.root_group));
        let add = self.sums(
            |t, vector, column| {
                let min = match source {
                    Source::Packed => self.root(vector, "min_roots", at.clone(), 1.0),
                    Source::Stage => staged(Op::Floats, "min_roots", at.clone(), vector),
                };
                vec![Stmt::Set(t.clone(), Expr::Of(Op::Fma, vec![min, step_sum(column), t]))]
            },
            "t",
        );
        let at_step = Stmt::LetIndex("at_step".to_owned(), Index::of("span").times(steps).plus(Index::of("step")));
        each("step", steps, [vec![at_step], add].concat())
    }

    /// One exact integer sum of `sub-min * quant sum`, two steps an instruction, then one fma.
    fn sub_mins(&self, source: Source, sub: Sub) -> Code {
        let (pairs, at_pair) = (self.class.span_pairs(), || Index::of("at_pair"));
        let mins = self.each_vector(|vector| {
            let load = match source {
                Source::Packed => Expr::Of(Op::Pairs, vec![Expr::Read(self.unit(vector, "mins", [at_pair()]))]),
                Source::Stage => staged(Op::Line, "mins", at_pair(), vector),
            };
            vec![Stmt::value(format!("mins{vector}"), load)]
        });
        let clear = self.cells(|dot, _, _| Stmt::variable(dot, Expr::Of(Op::ZeroI, Vec::new())), "dot");
        let add = self.columns(Expr::Read(Base::Columns("sums").at([at_pair()])), |column, sums| {
            let sums = Stmt::value("sums", Expr::Of(Op::SplatI, vec![sums]));
            let dots = self.each_vector(|vector| {
                let (dot, mins) = (Expr::variable(cell("dot", vector, column)), Expr::variable(format!("mins{vector}")));
                vec![Stmt::Set(dot.clone(), Expr::Of(Op::DotPairs, vec![dot, mins, Expr::variable("sums")]))]
            });
            vec![Stmt::Block([vec![sums], dots].concat())]
        });
        let at = Stmt::LetIndex("at_pair".to_owned(), Index::of("span").times(pairs).plus(Index::of("pair")));
        let sums = each("pair", pairs, [vec![at], mins, add].concat());
        let roots = self.each_vector(|vector| {
            let root = match source {
                Source::Packed => self.root(vector, "min_roots", self.group_of_span(), sub.unit),
                Source::Stage => staged(Op::Floats, "min_roots", self.group_of_span(), vector),
            };
            vec![Stmt::value(format!("scale{vector}"), root)]
        });
        let finish = self.sums(
            |t, vector, column| {
                let dot = Expr::Of(Op::ToFloat, vec![Expr::variable(cell("dot", vector, column))]);
                let scale = Expr::variable(format!("scale{vector}"));
                vec![Stmt::Set(t.clone(), Expr::Of(Op::Fma, vec![scale, dot, t]))]
            },
            "t",
        );
        vec![Stmt::Block([clear, sums, roots, finish].concat())]
    }
}

/// A row vector's part of an element of an unpacked unit, loaded.
fn staged(load: Op, field: &'static str, at: Index, vector: usize) -> Expr {
    Expr::Of(load, vec![Expr::Read(Base::Stage(field).at([at, vector.into()]))])
}

/// The sum of the quants of step `at_step` of a column, as f32.
fn step_sum(column: usize) -> Expr {
    let sum = Expr::Value(Base::Columns("sums").at([Index::of("at_step"), column.into()]));
    Expr::Of(Op::ToFloat, vec![Expr::Of(Op::SplatI, vec![sum])])
}
