//! Codes in registers: a body's lines loaded, and each quad of codes put together from its planes.

use quantloom_spec::kernels::Prefetch;

use super::ir::{Base, Code, Expr, Index, Pattern, Stmt};
use super::ops::Op;
use super::tile::Tile;
use super::width;
use crate::lower::class::{Class, Codes};
use crate::lower::planes;

/// How the codes of a unit lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// In lines of 16 rows, whose bytes hold as many whole codes as fit: [`Class::places`].
    Lines,
    /// By planes, in chunks of which a row has four words: [`Class::panel_places`]. What is called a line is such a chunk here.
    Planes,
    /// The same, where a thread has one of the four words of several rows: that of a fragment.
    Fragments,
}

/// Where lines are counted from: a body of the codes of a unit, and which of its lines is the first.
pub struct Lines {
    /// The body.
    pub body: Index,
    /// The line.
    pub first: Index,
}

impl Lines {
    /// From the first one of a body on.
    pub fn of_body(name: String) -> Self {
        Self { body: Index::of(name), first: Index::from(0) }
    }
}

impl Tile<'_> {
    /// Weights handled by one unrolled body.
    pub fn body(&self) -> usize {
        match self.held {
            Held::Lines => self.class.body(),
            Held::Planes | Held::Fragments => self.class.panel_body(),
        }
    }

    /// Weights covered by whole lines.
    pub fn chunk(&self) -> usize {
        match self.held {
            Held::Lines => self.class.chunk(),
            Held::Planes | Held::Fragments => self.class.panel_body(),
        }
    }

    /// Lines of a body.
    pub fn body_lines(&self) -> usize {
        match self.held {
            Held::Lines => self.class.body_lines(),
            Held::Planes | Held::Fragments => (0..self.class.planes.len()).map(|plane| self.class.panel_chunks(plane)).sum(),
        }
    }

    /// Lines of a chunk.
    pub fn chunk_lines(&self) -> usize {
        self.body_lines() * self.chunk() / self.body()
    }

    /// The lines of a body that hold bits of quad `quad`.
    fn lines_of(&self, quad: usize) -> Vec<usize> {
        match self.held {
            Held::Lines => self.class.lines_of(quad),
            Held::Planes | Held::Fragments => {
                self.class.panel_places(quad).iter().map(|place| self.class.panel_chunk(place)).collect()
            }
        }
    }

    /// Those of them that hold bits of no quad before it.
    pub fn new_lines(&self, quad: usize) -> Vec<usize> {
        let seen = (0..quad).flat_map(|quad| self.lines_of(quad)).collect::<Vec<_>>();
        self.lines_of(quad).into_iter().filter(|line| !seen.contains(line)).collect()
    }

    /// Loads the lines that quad `quad` is the first to need, or where registers are few all that it needs, each under a prefix and its
    /// number.
    pub fn load_lines(&self, vector: usize, from: &Lines, quad: usize, prefix: &str) -> Code {
        let lines = if self.tight { self.lines_of(quad) } else { self.new_lines(quad) };
        let load = |index, place| vec![Stmt::value(format!("{prefix}{index}"), Expr::Of(Op::Line, vec![place]))];
        self.lines(vector, from, &lines, load)
    }

    /// The bytes of quad `quad` of a body that `int8` multiplies, where they are not multiplied in place.
    pub fn int8_quad(&self, prefix: &str, quad: usize) -> Expr {
        let bytes = self.quad(prefix, quad);
        if width::less_128(self.class, self.width) { Expr::Of(Op::Less128, vec![bytes]) } else { bytes }
    }

    /// Asks for as many lines as far ahead, if the tile does.
    pub fn prefetch_lines(&self, vector: usize, from: &Lines, count: usize) -> Code {
        if self.prefetch == Prefetch::None || !self.begins_line(vector) {
            return Code::new();
        }
        let lines = (0..count).collect::<Vec<_>>();
        self.lines(vector, from, &lines, |_, place| self.first_turn(vec![Stmt::Prefetch(self.prefetch, place)]))
    }

    /// Some code for each of some lines, with where the row vector's part of it is. They get names in one pattern if they are first, as
    /// [`Tile::columns`] do.
    fn lines(&self, vector: usize, from: &Lines, wanted: &[usize], code: impl Fn(usize, Expr) -> Code) -> Code {
        let (is_first, name) = (from.first == Index::from(0), |index| format!("at{index}"));
        let codes = wanted.iter().flat_map(|&index| {
            let place = match (is_first, self.part(vector)) {
                (true, None) => Expr::variable(name(index)),
                (true, part) => Expr::Read(Base::Name(name(index)).at(part)),
                (false, _) => Expr::Read(self.unit(vector, "codes", [from.body.clone(), from.first.plus(index)])),
            };
            code(index, place)
        });
        let named = |index| if wanted.contains(&index) { Pattern::Name(name(index)) } else { Pattern::Skip };
        let names = (is_first && !wanted.is_empty()).then(|| {
            let body = Base::Unit(vector, "codes").at([from.body.clone()]);
            Stmt::TakeApart(Pattern::Parts((0..self.body_lines()).map(named).collect()), Expr::Read(body))
        });
        names.into_iter().chain(codes).collect()
    }

    /// Whether a row vector is the first of a panel's: with narrow vectors, a line of memory is asked for only where the first of them is
    /// read.
    pub fn begins_line(&self, vector: usize) -> bool {
        vector.is_multiple_of(self.width.parts())
    }

    /// The bytes of quad `quad` of a body or a chunk that go into a dot: its codes, or what a palette has for them.
    pub fn quad(&self, prefix: &str, quad: usize) -> Expr {
        let codes = self.codes(prefix, quad);
        match &self.class.codes {
            Codes::Bytes(_) => {
                let look_up = if self.class.bits() > 4 { Op::LookUp32 } else { Op::LookUp };
                Expr::Of(look_up, vec![Expr::variable("palette"), codes])
            }
            _ => codes,
        }
    }

    /// The codes of quad `quad`, from lines that `load_lines` named.
    fn codes(&self, prefix: &str, quad: usize) -> Expr {
        let (class, line) = (self.class, |line: usize| Expr::variable(format!("{prefix}{line}")));
        let pieces: Vec<Expr> = match self.held {
            Held::Lines => {
                let places = class.places(quad).into_iter();
                places.map(|place| field(line(place.line), place.bits, place.shift, place.low + class.shift)).collect()
            }
            Held::Planes | Held::Fragments => {
                let places = class.panel_places(quad).into_iter();
                let piece = |place: planes::Place| {
                    let chunk = line(class.panel_chunk(&place));
                    let is_word = self.held == Held::Fragments;
                    let word = if is_word { chunk } else { Expr::Of(Op::Word(place.word), vec![chunk]) };
                    field(word, place.bits, place.shift, place.low + class.shift)
                };
                places.map(piece).collect()
            }
        };
        pieces.into_iter().reduce(|low, high| Expr::Of(Op::Or, vec![low, high])).expect("a code has planes")
    }
}

/// `palette`, of a class that has one: of its bytes, or of its levels where those are wanted as signed bytes.
pub fn palette(class: &Class, signed: bool) -> Code {
    let (op, field) = match &class.codes {
        Codes::Bytes(_) if signed && class.bits() > 4 => (Op::SignedPalette32(class.zero), "bytes"),
        Codes::Bytes(_) if signed => (Op::SignedPalette(class.zero), "bytes"),
        Codes::Bytes(_) if class.bits() > 4 => (Op::Palette32, "bytes"),
        Codes::Bytes(_) => (Op::Palette, "bytes"),
        Codes::Floats(_) => (Op::Table, "floats"),
        Codes::Linear | Codes::E4m3 | Codes::None => return Code::new(),
    };
    vec![Stmt::value("palette", Expr::Of(op, vec![Expr::Read(Base::Palette(field).at([]))]))]
}

/// `bits` bits of every byte from bit `from`, moved to bit `to`.
pub fn field(line: Expr, bits: u32, from: u32, to: u32) -> Expr {
    if bits == 8 {
        return line;
    }
    let shift = from.abs_diff(to);
    let moved = match from.cmp(&to) {
        std::cmp::Ordering::Equal => line,
        std::cmp::Ordering::Greater => Expr::Of(Op::Shr(shift), vec![line]),
        std::cmp::Ordering::Less => Expr::Of(Op::Shl(shift), vec![line]),
    };
    Expr::Of(Op::Mask((((1_u32 << bits) - 1) << to) & 0xff), vec![moved])
}
