//! What a kernel executes, counted in its program.

use std::collections::BTreeSet;

use quantloom_spec::kernels::Numerics;
use quantloom_spec::processor::Kind;

use super::ir::{Base, Code, Expr, Loop, Pattern, Place, Stmt};
use super::ops::Op;
use super::schedule::Program;
use super::width::Width;

/// Vector instructions of each kind, in the order of [`Kind::ALL`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Operations([usize; Kind::ALL.len()]);

/// The operations of a kernel, by how often they are done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// For each unit of each tile and column group.
    pub unit: Operations,
    /// For each unit of each tile, whatever the columns.
    pub unpacking: Operations,
    /// For each segment of each tile and column group.
    pub sums: Operations,
}

impl Counts {
    /// Of a kernel with some vectors. What it does once is nothing beside the rest.
    #[must_use]
    pub fn of(program: &Program, width: Width, numerics: Numerics) -> Self {
        let mut counter = Counter { width, numerics, activations: BTreeSet::new(), counts: Self::default() };
        counter.code(&program.segment, Within { times: 1, group: false, unit: false });
        counter.counts
    }
}

impl Operations {
    /// How many there are of a kind.
    #[must_use]
    pub const fn of(self, kind: Kind) -> usize {
        self.0[kind as usize]
    }

    fn add(&mut self, kind: Kind, count: usize) {
        self.0[kind as usize] += count;
    }
}

/// The loops around a statement.
#[derive(Clone, Copy)]
struct Within {
    /// Turns of those whose number is known, all together.
    times: usize,
    /// One of them is over column groups.
    group: bool,
    /// One of them is over units.
    unit: bool,
}

struct Counter<'p> {
    width: Width,
    numerics: Numerics,
    /// Names of what columns have.
    activations: BTreeSet<&'p str>,
    counts: Counts,
}

impl<'p> Counter<'p> {
    fn code(&mut self, code: &'p Code, within: Within) {
        code.iter().for_each(|statement| self.statement(statement, within));
    }

    fn statement(&mut self, statement: &'p Stmt, within: Within) {
        match statement {
            Stmt::Let { value, .. } => value.iter().for_each(|value| self.expr(value, within)),
            Stmt::LetTwo(_, values) => values.iter().for_each(|value| self.expr(value, within)),
            Stmt::TakeApart(pattern, of) if self.is_activation(of) => self.name(pattern),
            Stmt::Set(_, value) | Stmt::Do(value) => self.expr(value, within),
            Stmt::Block(code) | Stmt::FirstPart(code) => self.code(code, within),
            Stmt::For(turns, code) => {
                let within = match turns {
                    Loop::Turns(_, count) | Loop::Parts(count) => Within { times: within.times * count, ..within },
                    Loop::Groups => Within { group: true, ..within },
                    Loop::Units => Within { unit: true, ..within },
                };
                self.code(code, within);
            }
            Stmt::TakeApart(..)
            | Stmt::LetIndex(..)
            | Stmt::Begin(_)
            | Stmt::Memory(..)
            | Stmt::Keep(_)
            | Stmt::Meet
            | Stmt::LoadRows(..)
            | Stmt::Matrices { .. }
            | Stmt::Prefetch(..)
            | Stmt::PrefetchHead { .. }
            | Stmt::PrefetchTurn { .. } => {}
        }
    }

    fn expr(&mut self, expr: &Expr, within: Within) {
        match expr {
            Expr::Of(op, arguments) => {
                self.add(*op, arguments, within);
                arguments.iter().for_each(|argument| self.expr(argument, within));
            }
            Expr::ByTurns(_, choices) => choices.iter().for_each(|choice| self.expr(choice, within)),
            Expr::Variable(_)
            | Expr::Pointee(_)
            | Expr::Value(_)
            | Expr::Read(_)
            | Expr::Write(_)
            | Expr::Reborrow(_)
            | Expr::Bytes(_)
            | Expr::Float(_) => {}
        }
    }

    fn add(&mut self, op: Op, arguments: &[Expr], within: Within) {
        let counts = match (within.unit, within.group) {
            (true, true) => &mut self.counts.unit,
            (true, false) => &mut self.counts.unpacking,
            (false, true) => &mut self.counts.sums,
            (false, false) => return,
        };
        let instructions = match op {
            // Constants stay in registers.
            Op::SplatI | Op::SplatF if !arguments.iter().any(|argument| is_activation(&self.activations, argument)) => &[],
            // What the class is made of.
            Op::Fma if self.numerics == Numerics::Exact => [(Kind::Products, 1)].as_slice(),
            op => op.instructions(self.width),
        };
        for &(kind, count) in instructions {
            counts.add(kind, within.times * count);
        }
    }

    fn is_activation(&self, expr: &Expr) -> bool {
        is_activation(&self.activations, expr)
    }

    /// Keeps the names of what columns have.
    fn name(&mut self, pattern: &'p Pattern) {
        match pattern {
            Pattern::Name(name) => drop(self.activations.insert(name)),
            Pattern::Skip => {}
            Pattern::Parts(parts) => parts.iter().for_each(|part| self.name(part)),
        }
    }
}

/// Whether something is of a column: of its unit, or under a name for a part of that.
fn is_activation(names: &BTreeSet<&str>, expr: &Expr) -> bool {
    match expr {
        Expr::Value(Place { base, .. }) | Expr::Read(Place { base, .. }) => match base {
            Base::Columns(_) => true,
            Base::Name(name) => names.contains(name.as_str()),
            Base::Unit(..) | Base::Stage(_) | Base::Palette(_) => false,
        },
        Expr::Variable(name) | Expr::Pointee(name) => names.contains(name.as_str()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use Kind::{Broadcasts, Converts, Floats, Integers, Loads, Products, Stores};

    use quantloom_spec::kernels::{Schedule, Variant};

    use super::*;
    use crate::kernel::tile::Tile;
    use crate::lower::class::Class;
    use crate::plan::Plan;
    use crate::{Config, Set, cards_dir};

    fn plan() -> &'static Plan {
        static PLAN: LazyLock<Plan> = LazyLock::new(|| Config::new().cards(cards_dir()).variants(Set::All).plan().unwrap());
        &PLAN
    }

    /// What the first kernel of an instruction set executes that is such a tile, for a class.
    fn counts(plan: &Plan, class: &Class, isa: &str, (schedule, rows, cols): (Schedule, usize, usize)) -> Counts {
        let isa = plan.isas.iter().find(|known| known.name == isa).unwrap();
        let is_meant = |variant: &&Variant| {
            let tile = (variant.schedule, variant.rows, variant.cols) == (schedule, rows, cols);
            tile && variant.numerics == Numerics::Int8
        };
        let variant = plan.variants_of(isa).find(is_meant).unwrap();
        of_tile(&Tile::new(class, isa, variant), variant)
    }

    fn of_tile(tile: &Tile<'_>, variant: &Variant) -> Counts {
        Counts::of(&tile.program(variant), tile.width, variant.numerics)
    }

    /// So many of these kinds, and none of others.
    fn of(counts: &[(Kind, usize)]) -> Operations {
        let mut operations = Operations::default();
        counts.iter().for_each(|&(kind, count)| operations.add(kind, count));
        operations
    }

    /// 4-bit codes with a zero of 8: 64 weights in a unit, of two steps that are spans of their own, each under a half-precision root.
    fn four_bits(plan: &Plan) -> &Class {
        &plan.classes["linear4z8_g32_h32_a32_u64"]
    }

    #[test]
    fn a_direct_tile_is_counted() {
        let plan = plan();
        // 64 rows are 4 vectors; a unit is 16 quads and 8 lines.
        let Counts { unit, unpacking, sums } = counts(plan, four_bits(plan), "avx512vnni", (Schedule::Direct, 64, 4));
        // A dot for each quad, vector and column.
        assert_eq!(unit.of(Products), 16 * 4 * 4);
        // For each column: its quads, the scales of two steps, and their biases, which the text has once for each vector.
        assert_eq!(unit.of(Broadcasts), (16 + 2 + 2 * 4) * 4);
        // For each vector: its lines and the roots of two steps.
        assert_eq!((unit.of(Loads), unit.of(Stores)), ((8 + 2) * 4, 0));
        // For each vector: a mask for each quad, and a shift for every other.
        assert_eq!(unit.of(Integers), (16 + 8) * 4);
        // Each root of a vector, and the dots of each cell and step.
        assert_eq!(unit.of(Converts), 2 * 4 + 2 * 4 * 4);
        // For each cell and step: the fmas that end the step and the span.
        assert_eq!(unit.of(Floats), 2 * 2 * 4 * 4);
        assert_eq!(unpacking, Operations::default());
        // For each cell: loaded, added to, stored.
        assert_eq!(sums, of(&[(Loads, 16), (Floats, 16), (Stores, 16)]));
    }

    #[test]
    fn a_panel_is_unpacked_once() {
        let plan = plan();
        let Counts { unit, unpacking, .. } = counts(plan, four_bits(plan), "avx512vnni", (Schedule::Panel, 32, 8));
        assert_eq!(unit.of(Products), 16 * 2 * 8);
        // From the stage: a vector for each quad, and the scale of each step.
        assert_eq!((unit.of(Loads), unit.of(Stores)), ((16 + 2) * 2, 0));
        assert_eq!((unit.of(Converts), unit.of(Floats)), (2 * 2 * 8, 2 * 2 * 2 * 8));
        assert_eq!(unit.of(Integers), 0, "codes are taken out of lines before");
        // Lines and roots are loaded and taken apart, quads and scales stored.
        let wanted = [(Loads, 8 + 2), (Integers, 16 + 8), (Converts, 2), (Stores, 16 + 2)];
        assert_eq!(unpacking, of(&wanted.map(|(kind, count)| (kind, count * 2))));
    }

    #[test]
    fn an_operation_of_several_instructions_has_them_in_their_kinds() {
        let plan = plan();
        let vnni = Width::of(plan.isas.iter().find(|isa| isa.name == "avx512vnni").unwrap());
        for (op, wanted) in [
            (Op::Halves, &[(Loads, 1), (Converts, 1)][..]),
            (Op::Pairs, &[(Loads, 1), (Converts, 1)]),
            (Op::Byte(8), &[(Integers, 2), (Converts, 1)]),
            (Op::PowersOfTwo(127), &[(Loads, 1), (Integers, 5), (Converts, 1), (Floats, 1)]),
            (Op::LookUp32, &[(Integers, 3)]),
            (Op::Dot, &[(Products, 1)]),
        ] {
            assert_eq!(of(op.instructions(vnni)), of(wanted), "{op:?}");
        }
    }

    #[test]
    fn kinds_lie_in_the_order_in_which_cards_have_them() {
        assert!(Kind::ALL.into_iter().enumerate().all(|(place, kind)| kind as usize == place));
    }

    #[test]
    fn narrow_sums_are_widened() {
        let plan = plan();
        // 16 rows are 2 vectors of 8 lanes. A step of 8 quads: so many products, one sum less, and two instructions that widen.
        let Counts { unit, .. } = counts(plan, four_bits(plan), "avx2", (Schedule::Direct, 16, 2));
        assert_eq!(unit.of(Products), 2 * (8 + 7 + 2) * 2 * 2);
    }

    #[test]
    fn turns_over_a_panel_count() {
        let plan = plan();
        // One lane at a time, a dot being four products: 16 turns.
        let Counts { unit, .. } = counts(plan, four_bits(plan), "scalar", (Schedule::Direct, 16, 1));
        assert_eq!(unit.of(Products), 4 * 16 * 16);
    }

    #[test]
    fn exact_kernels_multiply_every_weight_by_every_column() {
        let plan = plan();
        for isa in plan.isas.iter().filter(|isa| isa.arch.as_deref() != Some("aarch64")) {
            for variant in plan.variants_of(isa).filter(|variant| variant.numerics == Numerics::Exact) {
                for class in [four_bits(plan), &plan.classes["plain_g32_h1_a32_u64"]] {
                    let tile = Tile::new(class, isa, variant);
                    let unit = of_tile(&tile, variant).unit;
                    let cells = variant.rows / isa.lanes() * variant.cols;
                    let name = format!("{} {}", isa.name, variant.tile_name());
                    assert_eq!(unit.of(Products), class.unit * cells, "{name}");
                    let turns = class.unit * variant.cols * variant.rows / isa.lanes() / tile.vectors;
                    assert_eq!(unit.of(Broadcasts), turns, "{name}");
                }
            }
        }
    }
}
