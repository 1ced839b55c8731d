//! Kernels in neutral form as text for graphics processors: what a lane of a vector is elsewhere, is a thread here.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::{iter, mem};

use quantloom_spec::kernels::Numerics;

use super::spelling::{C, Item, Kind, Spelling};
use crate::kernel::fragments::{BLOCK, CELLS};
use crate::kernel::ir::{Arithmetic, Base, Code, Expr, Index, Loop, Pattern, Place, Stmt};
use crate::kernel::ops::Op;
use crate::kernel::quads::Held;
use crate::kernel::threads::WIDTH;
use crate::kernel::width;
use crate::lower::class::{Class, Sums};
use crate::lower::layout::{PackedLayout, SUBS, has_halves, plane_name, sub_scale_bytes};
use crate::lower::planes::{CHUNK, ROWS};

/// Names that the skeleton of a kernel has.
const TAKEN: [&str; 32] = [
    "at", "begin", "bytes", "chunks", "column", "columns", "decoded", "end", "first", "g", "half", "lane", "last", "out",
    "panel", "part", "place", "quants", "round", "row", "rows", "scales", "segment", "splits", "stage", "sums", "t", "unit",
    "units", "values", "warp", "weights",
];

/// What a name of the neutral form is.
#[derive(Clone)]
enum Meaning {
    /// A variable, under this name.
    Variable(String),
    /// A part of memory, under no name.
    Place(Place),
}

/// What was named since a brace was opened.
#[derive(Default)]
struct Scope {
    meanings: HashMap<String, Meaning>,
    /// The variables of the text.
    variables: Vec<String>,
}

/// Prints the code of a unit.
pub struct Printer<'a> {
    spelling: &'a dyn Spelling,
    class: &'a Class,
    layout: &'a PackedLayout,
    numerics: Numerics,
    cols: usize,
    held: Held,
    scopes: Vec<Scope>,
    /// Dots of steps: integers of which the magnitude is known.
    small: HashMap<String, bool>,
    text: String,
    indent: usize,
}

/// The index of the only turn of a loop.
const NOTHING: &str = "0u";
/// The four parts of a vector.
const PARTS: [&str; 4] = ["x", "y", "z", "w"];

impl<'a> Printer<'a> {
    /// For a class in panels, and so many columns, with a row a thread.
    pub fn new(
        spelling: &'a dyn Spelling,
        class: &'a Class,
        layout: &'a PackedLayout,
        numerics: Numerics,
        cols: usize,
    ) -> Self {
        let (held, scopes, small, text) = (Held::Planes, vec![Scope::default()], HashMap::new(), String::new());
        Self { spelling, class, layout, numerics, cols, held, scopes, small, text, indent: 0 }
    }

    /// With fragments, in the class `int8` and in C.
    pub fn of_fragments(class: &'a Class, layout: &'a PackedLayout, cols: usize) -> Self {
        Self { held: Held::Fragments, ..Self::new(&C, class, layout, Numerics::Int8, cols) }
    }

    /// The statements since it was called last, so many levels in; names stay.
    pub fn take(&mut self, levels: usize) -> String {
        let text = mem::take(&mut self.text);
        text.lines().map(|line| format!("{:1$}{line}", "", 4 * levels)).collect::<Vec<_>>().join("\n")
    }

    /// Prints statements.
    pub fn code(&mut self, code: &Code) {
        code.iter().for_each(|statement| self.statement(statement));
    }

    fn line(&mut self, text: &str) {
        writeln!(self.text, "{:1$}{text}", "", 4 * self.indent).expect("a String takes all");
    }

    fn statement(&mut self, statement: &Stmt) {
        match statement {
            // What codes stand for is in constants.
            Stmt::Let { value: Some(Expr::Of(Op::Palette | Op::Palette32 | Op::Table, _)), .. }
            | Stmt::Let { value: Some(Expr::Of(Op::SignedPalette(_) | Op::SignedPalette32(_), _)), .. } => {}
            Stmt::Let { name, changes, value: Some(value) } => {
                let (kind, text) = (self.kind(value), self.expr(value));
                let name = self.variable(name);
                self.line(&self.spelling.declare(kind, &name, Some(&text), *changes));
            }
            Stmt::LetIndex(name, at) => {
                let at = self.index(at);
                let name = self.variable(name);
                self.line(&self.spelling.declare(Kind::Uint, &name, Some(&at), false));
            }
            Stmt::TakeApart(pattern, of) => {
                let place = self.place(of);
                self.loads(&place);
                self.names(pattern, &place);
            }
            Stmt::Set(Expr::Variable(name), value) => {
                let text = self.expr(value);
                let name = self.name(name);
                if let Expr::Of(op @ (Op::Dot | Op::DotPairs), _) = value {
                    self.small.insert(name.clone(), *op == Op::Dot && width::dots_are_small(self.class));
                }
                self.line(&format!("{name} = {text};"));
            }
            Stmt::Block(code) => self.scope("{", code),
            Stmt::For(Loop::Turns(turn, 1), code) => {
                self.scopes.push(Scope::default());
                self.bind(turn, Meaning::Variable(NOTHING.to_owned()));
                self.scope("{", code);
                self.scopes.pop();
            }
            Stmt::For(Loop::Turns(turn, count), code) => {
                self.scopes.push(Scope::default());
                let turn = self.variable(turn);
                let mut open = self.spelling.open_loop(&turn, *count);
                let last = open.pop().expect("a loop is opened");
                if self.held == Held::Fragments {
                    open = vec!["ROLLED".to_owned()];
                }
                open.iter().for_each(|line| self.line(line));
                self.scope(&last, code);
                self.scopes.pop();
            }
            Stmt::Meet => self.line("meet_in_warp();"),
            Stmt::LoadRows(names, place) => {
                let names = names.iter().map(|name| self.variable(name)).collect::<Vec<_>>().join(", ");
                let chunk = self.chunk(place);
                self.line(&format!("uint {names};"));
                self.line(&format!("load_rows({names}, chunks + {chunk} + lane);"));
            }
            Stmt::Matrices { block, columns, weights, dots } => self.matrices(*block, columns, weights, dots),
            Stmt::Do(Expr::Of(Op::StoreFloats, arguments)) => {
                let (place, value) = (self.place(&arguments[0]), self.expr(&arguments[1]));
                let [chunk, at, ..] = &place.at[..] else { unreachable!("{place:?} is no unpacked weight") };
                let at = chunk.scaled(self.class.panel_body()).plus(at.clone());
                self.line(&format!("decoded[{}] = {value};", self.index(&at)));
            }
            other => unreachable!("threads have their own schedule, without {other:?}"),
        }
    }

    /// Words of a block of columns, and what they are multiplied by.
    fn matrices(&mut self, block: usize, columns: &Place, weights: &[Vec<String>], dots: &[[String; 4]]) {
        let place = self.resolved(columns);
        let (of, at) = match (&place.base, &place.at[..]) {
            (Base::Columns("quants"), [body, Index::Constant(quad)]) => {
                let at = self.index(&body.scaled(self.class.panel_body()).plus(4 * quad));
                (format!("own_quants + {}u * STAGE_QUANTS", BLOCK * block), at)
            }
            (Base::Columns(name), [span]) => {
                let steps = self.class.span / self.class.step;
                let at = self.index(&span.scaled(steps));
                let word = format!("{name}_bytes(*(const int4*)(quad_sums + {}u * STAGE_STEPS + {at}))", BLOCK * block);
                // A row has fewer sub-mins than a fragment.
                let guard = if 4 * PARTS.len() > steps { format!("t < {}u ? {word} : 0u", steps / 4) } else { word };
                self.line("{");
                self.line(&format!("    const uint x = {guard};"));
                return self.products("multiply_mins", weights, dots, "x");
            }
            other => unreachable!("{other:?} are no columns of fragments"),
        };
        let (kind, word, x) =
            if weights[0].len() == 4 { ("uint2", "multiply_32", "x.x, x.y") } else { ("uint", "multiply_16", "x") };
        self.line("{");
        self.line(&format!("    const {kind} x = *(const {kind}*)({of} + {at});"));
        self.products(word, weights, dots, x);
    }

    fn products(&mut self, word: &str, weights: &[Vec<String>], dots: &[[String; 4]], x: &str) {
        for (weights, dots) in weights.iter().zip(dots) {
            let names = |names: &[String]| names.iter().map(|name| self.name(name)).collect::<Vec<_>>().join(", ");
            let product = format!("    {word}({}, {}, {x});", names(dots), names(weights));
            self.line(&product);
        }
        self.line("}");
    }

    fn scope(&mut self, open: &str, code: &Code) {
        self.line(open);
        self.indent += 1;
        self.scopes.push(Scope::default());
        self.code(code);
        self.scopes.pop();
        self.indent -= 1;
        self.line("}");
    }

    /// A new variable; the languages do not have a second one of a name in a scope, nor one in terms of another of its name.
    fn variable(&mut self, name: &str) -> String {
        let variables = self.scopes.iter().flat_map(|scope| &scope.variables);
        let is_taken = |candidate: &str| TAKEN.contains(&candidate) || variables.clone().any(|known| known == candidate);
        let numbered = (2..).map(|number| format!("{name}_at{number}"));
        let unique = iter::once(name.to_owned()).chain(numbered).find(|name| !is_taken(name)).expect("numbers do not end");
        self.bind(name, Meaning::Variable(unique.clone()));
        self.scopes.last_mut().expect("there is a scope").variables.push(unique.clone());
        unique
    }

    fn bind(&mut self, name: &str, meaning: Meaning) {
        self.scopes.last_mut().expect("there is a scope").meanings.insert(name.to_owned(), meaning);
    }

    fn meaning(&self, name: &str) -> &Meaning {
        let found = self.scopes.iter().rev().find_map(|scope| scope.meanings.get(name));
        found.unwrap_or_else(|| unreachable!("{name} was not named before"))
    }

    fn name(&self, name: &str) -> String {
        match self.meaning(name) {
            Meaning::Variable(name) => name.clone(),
            Meaning::Place(place) => unreachable!("{name} is {place:?}, and no variable"),
        }
    }

    /// The memory that an expression is about.
    fn place(&self, of: &Expr) -> Place {
        match of {
            Expr::Read(place) | Expr::Write(place) | Expr::Value(place) => self.resolved(place),
            Expr::Variable(name) | Expr::Pointee(name) => match self.meaning(name) {
                Meaning::Place(place) => place.clone(),
                Meaning::Variable(name) => unreachable!("{name} is a variable, and no memory"),
            },
            other => unreachable!("{other:?} is no memory"),
        }
    }

    /// A place in terms of what the kernel has.
    fn resolved(&self, place: &Place) -> Place {
        let Base::Name(name) = &place.base else { return place.clone() };
        let Meaning::Place(of) = self.meaning(name) else { unreachable!("{name} is a variable, and no memory") };
        Place { base: of.base.clone(), at: of.at.iter().chain(&place.at).cloned().collect() }
    }

    fn names(&mut self, pattern: &Pattern, place: &Place) {
        match pattern {
            Pattern::Skip => {}
            Pattern::Name(name) => self.bind(name, Meaning::Place(place.clone())),
            Pattern::Parts(parts) => {
                for (index, part) in parts.iter().enumerate() {
                    let at = place.at.iter().cloned().chain([index.into()]).collect();
                    self.names(part, &Place { base: place.base.clone(), at });
                }
            }
        }
    }

    /// Activations are loaded four at a time, when the first of them is needed.
    fn loads(&mut self, place: &Place) {
        if self.held == Held::Fragments {
            return;
        }
        let (name, whole) = match &place.base {
            Base::Columns("quants") => ("x", self.class.panel_body() / 16),
            Base::Columns("values") => ("v", self.class.panel_body() / 4),
            _ => return,
        };
        let [body, Index::Constant(at)] = &place.at[..] else { return };
        if at % 4 != 0 {
            return;
        }
        let at = body.scaled(whole).plus(at / 4);
        let at = self.index(&at);
        for column in 0..self.cols {
            let memory = if name == "x" { "quants" } else { "values" };
            self.line(&format!("{name}{column} = {};", self.spelling.of_column(memory, column, &at)));
        }
    }

    fn index(&self, of: &Index) -> String {
        match of {
            Index::Constant(value) => format!("{value}u"),
            Index::Name(name) => self.name(name),
            Index::Of(one, arithmetic, other) => {
                let (one, other) = (self.index(one), self.index(other));
                match arithmetic {
                    Arithmetic::Plus if other == NOTHING => one,
                    Arithmetic::Plus if one == NOTHING => other,
                    Arithmetic::Times | Arithmetic::Over | Arithmetic::Modulo if one == NOTHING => one,
                    Arithmetic::Times | Arithmetic::Over if other == "1u" => one,
                    Arithmetic::Plus => format!("({one} + {other})"),
                    Arithmetic::Times => format!("{one} * {other}"),
                    Arithmetic::Over => format!("{one} / {other}"),
                    Arithmetic::Modulo => format!("{one} % {other}"),
                }
            }
        }
    }

    /// The type of a value.
    fn kind(&self, of: &Expr) -> Kind {
        match of {
            Expr::ByTurns(_, choices) => self.kind(&choices[0]),
            Expr::Of(op, _) => match op {
                Op::Line => Kind::Uints,
                Op::Word(_) | Op::Mask(_) | Op::Shr(_) | Op::Shl(_) | Op::Or | Op::Less128 | Op::LookUp | Op::LookUp32 => {
                    Kind::Uint
                }
                Op::Quants | Op::Pairs | Op::Magnitudes | Op::MinQuad => Kind::Uint,
                // Integers are bits of codes there.
                Op::ZeroI if self.numerics == Numerics::Exact => Kind::Uint,
                Op::Unsigned | Op::Signed | Op::SplatI | Op::ZeroI | Op::Dot | Op::DotPairs | Op::Lift => Kind::Int,
                _ => Kind::Float,
            },
            other => unreachable!("{other:?} is named as it is"),
        }
    }

    fn expr(&mut self, of: &Expr) -> String {
        match of {
            Expr::Variable(name) => self.name(name),
            Expr::Float(value) if value.is_sign_negative() => format!("({value:?}f)"),
            Expr::Float(value) => format!("{value:?}f"),
            Expr::ByTurns(at, choices) => {
                let (at, [even, odd]) = (self.index(at), choices.each_ref().map(|choice| self.expr(choice)));
                self.spelling.choose(&format!("{at} % 2u == 0u"), &even, &odd)
            }
            Expr::Of(op, arguments) => self.operation(*op, arguments),
            other => unreachable!("{other:?} is read by an operation"),
        }
    }

    fn operation(&mut self, op: Op, arguments: &[Expr]) -> String {
        match op {
            Op::Line => {
                let place = self.place(&arguments[0]);
                return self.spelling.of_unit(Item::Chunk, &format!("{} + lane", self.chunk(&place)));
            }
            Op::MinQuad => {
                let place = self.place(&arguments[0]);
                return self.min_quad(&place);
            }
            Op::Floats | Op::Halves | Op::Bfloats | Op::PowersOfTwo(_) | Op::Ue4m3 => {
                let place = self.place(&arguments[0]);
                return self.root(op, &place);
            }
            Op::Signed | Op::Unsigned => {
                let place = self.place(&arguments[0]);
                let byte = self.byte(&place);
                return if op == Op::Signed { format!("signed_byte({byte})") } else { self.spelling.convert(Kind::Int, &byte) };
            }
            Op::Pairs => {
                let place = self.place(&arguments[0]);
                return self.pair(&place);
            }
            Op::SplatI => {
                let place = self.place(&arguments[0]);
                return self.sum(&place);
            }
            Op::Quants => {
                let place = self.place(&arguments[0]);
                return quarter("x", &place);
            }
            Op::SplatF if !matches!(arguments[0], Expr::Float(_)) => {
                let place = self.place(&arguments[0]);
                return self.activation(&place);
            }
            _ => {}
        }
        let of = arguments.iter().map(|argument| self.lookup_or(argument)).collect::<Vec<_>>();
        match op {
            Op::Word(index) => format!("{}.{}", of[0], PARTS[index]),
            Op::SplatF => of[0].clone(),
            Op::ZeroI if self.numerics == Numerics::Exact => NOTHING.to_owned(),
            Op::ZeroI => "0".to_owned(),
            Op::ZeroF => self.spelling.zero().to_owned(),
            Op::Mask(mask) => format!("({} & {:#010x}u)", of[0], mask * 0x0101_0101),
            Op::Shr(bits) => format!("({} >> {bits}u)", of[0]),
            Op::Shl(bits) => format!("({} << {bits}u)", of[0]),
            Op::Or => format!("({} | {})", of[0], of[1]),
            Op::Less128 => format!("({} ^ 0x80808080u)", of[0]),
            Op::LookUp | Op::LookUp32 if self.numerics == Numerics::Int8 => format!("look_up_level({})", of[1]),
            Op::LookUp | Op::LookUp32 => format!("look_up({})", of[1]),
            Op::Byte(shift) => format!("byte_to_float({} >> {shift}u)", of[0]),
            Op::Pick(shift) => format!("LEVELS[({} >> {shift}u) & 0xffu]", of[1]),
            Op::E4m3(shift) | Op::E4m3Number(shift) => format!("e4m3({} >> {shift}u)", of[0]),
            Op::Magnitudes => format!("({} | not_numbers({}))", of[0], of[1]),
            Op::UnlessNan => self.spelling.choose(&format!("{} == 0u", of[1]), &of[0], self.spelling.not_a_number()),
            Op::LowHalf => {
                self.spelling.convert(Kind::Float, &self.spelling.convert(Kind::Int, &format!("{} & 0xffffu", of[0])))
            }
            Op::HighHalf => self.spelling.convert(Kind::Float, &self.spelling.convert(Kind::Int, &format!("{} >> 16u", of[0]))),
            Op::Lift if of[0] == "0" => "LIFTED".to_owned(),
            Op::Lift => format!("LIFTED + {}", of[0]),
            Op::LiftedToFloat => format!("lifted_to_float({})", of[0]),
            Op::ToFloat if self.is_small(&arguments[0]) => format!("dot_to_float({})", of[0]),
            Op::ToFloat => self.spelling.convert(Kind::Float, &of[0]),
            Op::Fma => format!("{}({}, {}, {})", self.spelling.fma(self.numerics), of[0], of[1], of[2]),
            Op::FirstProduct => format!("FMA({}, {}, 0.0f)", of[0], of[1]),
            Op::SubProduct => format!("FMA(-({}), {}, {})", of[1], of[2], of[0]),
            Op::Mul => format!("MUL({}, {})", of[0], of[1]),
            Op::Add => format!("ADD({}, {})", of[0], of[1]),
            Op::Sub => format!("SUB({}, {})", of[0], of[1]),
            Op::Dot => format!("DOT4({}, {}, {})", of[1], of[2], of[0]),
            Op::DotPairs => format!("dot_pairs({}, {}, {})", of[1], of[2], of[0]),
            other => unreachable!("threads have no {other:?}"),
        }
    }

    /// An argument; of what has no name here, nothing.
    fn lookup_or(&mut self, argument: &Expr) -> String {
        match argument {
            Expr::Variable(name) if name == "palette" => String::new(),
            other => self.expr(other),
        }
    }

    fn is_small(&self, of: &Expr) -> bool {
        match of {
            Expr::Variable(name) => self.small.get(&self.name(name)).copied().unwrap_or(false),
            // Sums of quants.
            Expr::Of(Op::SplatI, _) => true,
            _ => false,
        }
    }

    fn offset(&self, name: &str) -> usize {
        self.layout.offset_of(name).unwrap_or_else(|| unreachable!("panels of {} have no {name}", self.class.name()))
    }

    /// Where a chunk of codes is, of the first row.
    fn chunk(&self, place: &Place) -> String {
        let [body, Index::Constant(index)] = &place.at[..] else { unreachable!("{place:?} is no chunk of a body") };
        let (plane, chunk) = self.class.panel_plane(*index);
        let chunks = self.class.panel_chunks(plane);
        let first = self.offset(plane_name(self.class.planes[plane])) / CHUNK;
        let (first, at) = (first + chunk * ROWS, self.index(&body.scaled(chunks * ROWS)));
        format!("{first}u + {at}")
    }

    /// The row of a place in a unit.
    fn row(&self, place: &Place) -> String {
        match (self.held, &place.base) {
            (Held::Fragments, Base::Unit(vector, _)) => format!("{}u + g", BLOCK * vector),
            _ => "lane".to_owned(),
        }
    }

    /// A root as f32.
    fn root(&self, op: Op, place: &Place) -> String {
        let Base::Unit(_, field) = place.base else { unreachable!("{place:?} is no root") };
        let (offset, at) = (self.offset(field), self.index(&place.at[0].scaled(ROWS)));
        let row = self.row(place);
        let of = |item, bytes: usize| self.spelling.of_unit(item, &format!("{}u + {at} + {row}", offset / bytes));
        match op {
            Op::Floats => of(Item::Float, 4),
            Op::Halves => format!("HALF_TO_FLOAT({})", of(Item::Half, 2)),
            Op::Bfloats => format!("AS_FLOAT({} << 16u)", of(Item::Half, 2)),
            Op::PowersOfTwo(bias) => format!("power_of_two({}, {bias})", of(Item::Byte, 1)),
            _ => format!("ue4m3({})", of(Item::Byte, 1)),
        }
    }

    /// A byte of what steps have, or of zero points.
    fn byte(&self, place: &Place) -> String {
        match place.base {
            Base::Unit(_, "scales") if has_halves(self.class) => format!("{} & 15u", self.sub(place, &place.at[0])),
            Base::Unit(_, "scales") => self.sub(place, &place.at[0]),
            Base::Unit(_, field) => {
                let at = format!("{}u + {} + {}", self.offset(field), self.index(&place.at[0].scaled(ROWS)), self.row(place));
                self.spelling.of_unit(Item::Byte, &at)
            }
            _ => unreachable!("{place:?} is no byte"),
        }
    }

    /// The sub-mins of two steps, 16 bits each.
    fn pair(&self, place: &Place) -> String {
        let (begin, shift) = if has_halves(self.class) { (0, " >> 4u") } else { (sub_scale_bytes(self.class), "") };
        let first = place.at[0].times(2).plus(begin);
        let [low, high] = [first.clone(), first.plus(1)].map(|at| format!("({}{shift})", self.sub(place, &at)));
        format!("({low} | ({high} << 16u))")
    }

    /// The sub-mins of four steps of a span, which are those that the thread has of a fragment.
    fn min_quad(&self, place: &Place) -> String {
        let (begin, steps) = (sub_scale_bytes(self.class), self.class.span / self.class.step);
        let at = place.at[0].scaled(steps);
        if has_halves(self.class) {
            return format!("({} >> 4u) & 0x0f0f0f0fu", self.sub_word(place, &at));
        }
        self.sub_word(place, &at.plus(begin))
    }

    /// Word t of what a row has of its steps, from a byte on.
    fn sub_word(&self, place: &Place, at: &Index) -> String {
        let (at, row, bytes) = (self.index(at), self.row(place), self.sub_bytes());
        format!("*(const uint*)(bytes + {}u + {bytes}u * ({row}) + {at} + 4u * t)", self.offset(SUBS))
    }

    /// Bytes that a row has of its steps.
    fn sub_bytes(&self) -> usize {
        let field = self.layout.fields.iter().find(|field| field.name == SUBS);
        field.map_or(0, |field| field.element.bytes())
    }

    /// A byte of what a row has of its steps.
    fn sub(&self, place: &Place, at: &Index) -> String {
        if self.held == Held::Fragments {
            let (at, row) = (self.index(at), self.row(place));
            return format!("(uint)bytes[{}u + {}u * ({row}) + {at}]", self.offset(SUBS), self.sub_bytes());
        }
        let vectors = (0..super::sub_vectors(self.layout)).map(|index| format!("subs{index}, ")).collect::<String>();
        format!("sub_byte({vectors}{})", self.index(at))
    }

    /// The sum of the quants of a step, or of two.
    fn sum(&self, place: &Place) -> String {
        let sum = |at: &Index| self.of_column("sums", "STAGE_STEPS", column(place), at);
        let at = &place.at[0];
        match &place.base {
            Base::Columns("bias") => format!("({}) * {}", width::bias(self.class, WIDTH), sum(at)),
            _ if self.class.sums() == Some(Sums::Whole) => sum(at),
            _ if self.class.span == self.class.step => {
                let bits = format!("{} & 0xffffu", self.spelling.convert(Kind::Uint, &sum(at)));
                self.spelling.convert(Kind::Int, &bits)
            }
            _ => format!("pair_of({}, {})", sum(&at.times(2)), sum(&at.times(2).plus(1))),
        }
    }

    /// An item of an array that columns have, so many in a stage.
    fn of_column(&self, name: &str, count: &str, column: usize, at: &Index) -> String {
        let at = self.index(at);
        match self.held {
            Held::Fragments => format!("own_{name}[{}u * {count} + {at}]", column / CELLS * BLOCK + column % CELLS),
            _ => self.spelling.of_column(name, column, &at),
        }
    }

    /// The scale of a span, or an activation.
    fn activation(&self, place: &Place) -> String {
        match &place.base {
            Base::Columns("scales") => self.of_column("scales", "STAGE_SPANS", column(place), &place.at[0]),
            Base::Columns("values") => quarter("v", place),
            _ => unreachable!("{place:?} is no activation"),
        }
    }

    /// Declarations of what activations are loaded to.
    pub fn activations(&mut self) {
        for column in 0..self.cols {
            let (kind, name) = match self.numerics {
                Numerics::Int8 => (Kind::Uints, "x"),
                Numerics::Exact => (Kind::Floats, "v"),
            };
            self.line(&self.spelling.declare(kind, &format!("{name}{column}"), None, true));
        }
    }

    /// The bytes of steps.
    pub fn steps(&mut self) {
        let Some(field) = self.layout.fields.iter().find(|field| field.name == SUBS) else { return };
        let (offset, bytes) = (self.offset(SUBS), field.element.bytes());
        if bytes < CHUNK {
            let word = |index: usize| match 4 * index < bytes {
                true => self.spelling.of_unit(Item::Word, &format!("{}u + {}u * lane", offset / 4 + index, bytes / 4)),
                false => NOTHING.to_owned(),
            };
            let vector = self.spelling.vector(&[0, 1, 2, 3].map(word));
            self.line(&self.spelling.declare(Kind::Uints, "subs0", Some(&vector), false));
        }
        for index in 0..bytes / CHUNK {
            let at = format!("{}u + {}u * lane", offset / CHUNK + index, bytes / CHUNK);
            let chunk = self.spelling.of_unit(Item::Chunk, &at);
            self.line(&self.spelling.declare(Kind::Uints, &format!("subs{index}"), Some(&chunk), false));
        }
    }
}

/// The column of a place.
fn column(place: &Place) -> usize {
    match place.at.last() {
        Some(Index::Constant(column)) => *column,
        _ => unreachable!("{place:?} is of no column"),
    }
}

/// One of four activations that were loaded together.
fn quarter(name: &str, place: &Place) -> String {
    let [_, Index::Constant(at), Index::Constant(column)] = &place.at[..] else {
        unreachable!("{place:?} is no activation of a body");
    };
    format!("{name}{column}.{}", PARTS[at % 4])
}
