//! Kernels in neutral form as text for graphics processors: what a lane of a vector is elsewhere, is a thread here.

mod memory;
mod names;
mod values;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::mem;

use quantloom_spec::kernels::Numerics;

use super::spelling::{C, Kind, Spelling};
use crate::kernel::fragments::BLOCK;
use crate::kernel::ir::{Base, Code, Expr, Index, Loop, Place, Stmt};
use crate::kernel::ops::Op;
use crate::kernel::quads::Held;
use crate::kernel::width;
use crate::lower::class::Class;
use crate::lower::layout::PackedLayout;

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
                self.line(&self.spelling.keep(&self.index(&at), &value));
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
}
