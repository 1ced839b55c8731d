//! How a CPU goes about a tile: the loops over column groups and units, and what registers hold.

use quantloom_spec::isa::{Dot, Isa};
use quantloom_spec::kernels::{Numerics, Prefetch, Schedule, Variant};

use super::int8::Source;
use super::ir::{Base, Begin, Code, Expr, Loop, Pattern, Stmt};
use super::ops::Op;
use super::quads::{self, Held};
use super::tile::Tile;
use super::width::{self, Width};
use crate::lower::class::{Class, Codes, PANEL_ROWS};

/// What a kernel does.
pub struct Program {
    /// What the codes of the format stand for, taken up.
    pub palette: Code,
    /// Memory for what registers have no room for.
    pub memory: Code,
    /// What is done with one segment of one tile.
    pub segment: Code,
}

/// How a tile makes do with the registers that there are.
struct Registers {
    /// f32 sums that lie in memory.
    stored: usize,
    /// Whether quads are decoded one after the other.
    tight: bool,
}

impl Registers {
    /// Of a variant for a class. The counts of registers were tried: with fewer for decoding LLVM spills, with more it stores sums that have room,
    /// which takes 4 to 10% of the time.
    fn of(variant: &Variant, class: &Class, isa: &Isa) -> Self {
        let (vectors, int8) = (variant.vectors_of(isa), variant.numerics == Numerics::Int8);
        let narrow = int8 && isa.dot == Dot::PairsI16;
        let matrix = variant.multiplies_matrices(isa);
        let decoding = match variant.schedule {
            Schedule::Panel if narrow => 9,
            Schedule::Panel if matrix => 13,
            Schedule::Panel => 5,
            Schedule::Direct if narrow => 2 * vectors + 6,
            Schedule::Direct if int8 => vectors * class.planes.len() + 5,
            Schedule::Direct => 4 * vectors + 6,
        };
        let sums = if int8 { vectors * variant.cols } else { 0 };
        let missing = (variant.registers(isa) + sums + decoding).saturating_sub(isa.registers);
        // With 32 registers and one accumulator a cell, LLVM's own order spills little and is 2 to 4% faster.
        let spills = isa.registers < 32 || narrow;
        Self { stored: missing.min(sums), tight: missing > 0 && spills && !isa.is_scalar() }
    }
}

impl<'a> Tile<'a> {
    /// The tile of a variant.
    pub fn new(class: &'a Class, isa: &Isa, variant: &Variant) -> Self {
        let width = Width::of(isa);
        // A panel is asked for turn by turn, and not where it is read.
        let prefetch = if variant.schedule == Schedule::Direct { variant.prefetch } else { Prefetch::None };
        let vectors = variant.vectors_of(isa);
        let Registers { stored, tight } = Registers::of(variant, class, isa);
        let (cols, steps, matrix) = (variant.cols, variant.steps, variant.multiplies_matrices(isa));
        Tile { class, width, vectors, cols, steps, prefetch, stored, tight, matrix, held: Held::Lines, before: 0 }
    }

    /// What the kernel of a variant does, whose tile this is.
    pub fn program(&self, variant: &Variant) -> Program {
        let signed = variant.numerics == Numerics::Int8 && width::signed_palette(self.class, self.width);
        let segment = match variant.schedule {
            Schedule::Direct => {
                vec![Stmt::For(Loop::Groups, [vec![Stmt::Begin(Begin::Group)], self.segment(variant, Source::Packed)].concat())]
            }
            Schedule::Panel => self.panel_segment(variant),
        };
        // Narrow vectors take the 16 rows of a panel in several turns.
        let segment = if self.turns() == 1 { segment } else { vec![Stmt::For(Loop::Parts(self.turns()), segment)] };
        Program { palette: quads::palette(self.class, signed), memory: self.memory(), segment }
    }

    /// A segment that is unpacked, and multiplied by each column group.
    fn panel_segment(&self, variant: &Variant) -> Code {
        let unpack = [vec![Stmt::Begin(Begin::Unpacked)], self.units(), self.unpack(variant.numerics)].concat();
        let lines = variant.prefetch;
        let panels = if lines == Prefetch::None { 0 } else { variant.rows / PANEL_ROWS };
        let ask = (0..panels).map(|panel| Stmt::PrefetchTurn { lines, panel });
        let group = ask.chain([Stmt::Begin(Begin::Group)]).chain(self.segment(variant, Source::Stage));
        vec![Stmt::For(Loop::Units, unpack), Stmt::For(Loop::Groups, group.collect())]
    }

    /// The sums of a segment for one column group, added to the output.
    fn segment(&self, variant: &Variant, source: Source) -> Code {
        let unit = match variant.numerics {
            Numerics::Exact => self.exact_unit(source),
            Numerics::Int8 => self.int8_unit(source),
        };
        let begin = match source {
            Source::Packed => [vec![Stmt::Begin(Begin::Columns)], self.units(), self.prefetch_heads()].concat(),
            Source::Stage => vec![Stmt::Begin(Begin::Staged)],
        };
        let units = Stmt::For(Loop::Units, [begin, unit].concat());
        [self.clear("sum"), vec![units], self.add_sums(variant)].concat()
    }

    /// Adds the sums of a segment to the output.
    fn add_sums(&self, variant: &Variant) -> Code {
        let total = |panel, column| format!("total{panel}_{column}");
        let columns = (0..self.cols).map(|column| {
            let panels = (0..variant.rows / PANEL_ROWS).map(|panel| Pattern::Name(total(panel, column)));
            Pattern::Parts(panels.collect())
        });
        let totals = Stmt::TakeApart(Pattern::Parts(columns.collect()), Expr::variable("out"));
        let add = self.sums(
            |sum, vector, column| {
                let (panel, total) = (total(self.panel(vector), column), || Expr::variable("total"));
                let place = match self.part(vector) {
                    None => Expr::Variable(panel),
                    part => Expr::Write(Base::Name(panel).at(part)),
                };
                let added = Expr::Of(Op::Add, vec![Expr::Of(Op::Floats, vec![total()]), sum]);
                vec![Stmt::value("total", place), Stmt::Do(Expr::Of(Op::StoreFloats, vec![total(), added]))]
            },
            "sum",
        );
        [vec![totals], add].concat()
    }

    /// Without these the scales of each unit would be waited for: they are as far away as the codes. Where nothing else is asked for, they
    /// are as they are reached, so that a unit is read in the order of memory: scales and codes by turns make the processor's own
    /// prefetchers lose their way.
    fn prefetch_heads(&self) -> Code {
        // Where every weight is a root, they are asked for one by one.
        if self.class.codes == Codes::None {
            return Code::new();
        }
        let (bytes, ahead) = (self.class.head_bytes(), self.prefetch != Prefetch::None);
        let lines = if ahead { self.prefetch } else { Prefetch::Near };
        let vectors = (0..self.vectors).step_by(self.width.parts());
        let heads = vectors.map(|vector| Stmt::PrefetchHead { lines, vector, bytes, ahead });
        self.first_turn(heads.collect())
    }

    /// The unit of each row vector.
    fn units(&self) -> Code {
        self.each_vector(|vector| vec![Stmt::Begin(Begin::Unit { vector, panel: self.panel(vector) })])
    }
}
