//! The form: statements about vectors of 32-bit lanes, and about the memory that they come from.

use quantloom_spec::kernels::Prefetch;

use super::ops::Op;

/// Statements, in order.
pub type Code = Vec<Stmt>;

/// A number that is known when the kernel runs, or before: which turn a loop is in, or what follows from that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Index {
    /// A constant.
    Constant(usize),
    /// The turn of a loop, or a name for another index.
    Name(String),
    /// Two indices with an operation between them. Those of a product, quotient or remainder are no sums: no parentheses are needed.
    Of(Box<Self>, Arithmetic, Box<Self>),
}

/// An operation on indices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arithmetic {
    /// A sum.
    Plus,
    /// A product.
    Times,
    /// A quotient without its fraction.
    Over,
    /// What that leaves.
    Modulo,
}

impl Index {
    /// The index of a name.
    pub fn of(name: impl Into<String>) -> Self {
        Self::Name(name.into())
    }

    /// Plus another.
    #[must_use]
    pub fn plus(&self, other: impl Into<Self>) -> Self {
        self.with(Arithmetic::Plus, other)
    }

    /// Times a constant.
    #[must_use]
    pub fn times(&self, count: usize) -> Self {
        self.with(Arithmetic::Times, count)
    }

    /// Times a constant, plainly where that is 1.
    #[must_use]
    pub fn scaled(&self, count: usize) -> Self {
        if count == 1 { self.clone() } else { self.times(count) }
    }

    /// Over a constant.
    #[must_use]
    pub fn over(&self, count: usize) -> Self {
        self.with(Arithmetic::Over, count)
    }

    /// Modulo a constant.
    #[must_use]
    pub fn modulo(&self, count: usize) -> Self {
        self.with(Arithmetic::Modulo, count)
    }

    /// Which one is number `step` of the `count` that belong to it.
    #[must_use]
    pub fn part(&self, count: usize, step: usize) -> Self {
        let first = self.scaled(count);
        if step == 0 { first } else { first.plus(step) }
    }

    /// The index of the group that it belongs to, where groups and what it counts have so many weights.
    #[must_use]
    pub fn group(&self, weights: usize, group: usize) -> Self {
        self.times(weights).over(group)
    }

    fn with(&self, arithmetic: Arithmetic, other: impl Into<Self>) -> Self {
        Self::Of(Box::new(self.clone()), arithmetic, Box::new(other.into()))
    }
}

impl From<usize> for Index {
    fn from(constant: usize) -> Self {
        Self::Constant(constant)
    }
}

/// A part of memory: an element of a field of something, or a part of what a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// What it belongs to.
    pub base: Base,
    /// Which of its elements.
    pub at: Vec<Index>,
}

/// What memory belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Base {
    /// A field of the packed unit that a row vector belongs to.
    Unit(usize, &'static str),
    /// A field of the unit of a column group.
    Columns(&'static str),
    /// A field of an unpacked unit.
    Stage(&'static str),
    /// A field of what the codes of the format stand for.
    Palette(&'static str),
    /// What has been given a name.
    Name(String),
}

impl Base {
    /// An element of it.
    pub fn at(self, at: impl IntoIterator<Item = Index>) -> Place {
        Place { base: self, at: at.into_iter().collect() }
    }
}

/// What an operation works on, or gives.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// A variable.
    Variable(String),
    /// What a name points to.
    Pointee(String),
    /// A number in memory.
    Value(Place),
    /// Memory that is read.
    Read(Place),
    /// Memory that is written.
    Write(Place),
    /// The memory that a name points to, written for a while.
    Reborrow(String),
    /// The bytes of some memory.
    Bytes(Place),
    /// A constant.
    Float(f32),
    /// The result of an operation.
    Of(Op, Vec<Self>),
    /// The first where an index is even, else the second.
    ByTurns(Index, Box<[Self; 2]>),
}

impl Expr {
    /// A variable of that name.
    pub fn variable(name: impl Into<String>) -> Self {
        Self::Variable(name.into())
    }
}

/// How a name points into what is taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// A name for the part.
    Name(String),
    /// No name: the part is not needed.
    Skip,
    /// Its own parts.
    Parts(Vec<Self>),
}

/// A statement.
#[derive(Clone, Debug, PartialEq)]
pub enum Stmt {
    /// Names a value.
    Let {
        /// The name.
        name: String,
        /// Whether it has other values later.
        changes: bool,
        /// The value, if it is there yet.
        value: Option<Expr>,
    },
    /// Names two values that the first two names may have had before.
    LetTwo([String; 2], [Expr; 2]),
    /// Names an index.
    LetIndex(String, Index),
    /// Names the parts of some memory.
    TakeApart(Pattern, Expr),
    /// Changes a variable, or what a name points to.
    Set(Expr, Expr),
    /// Does what gives nothing.
    Do(Expr),
    /// Statements whose names end with them.
    Block(Code),
    /// Statements for each turn of a loop.
    For(Loop, Code),
    /// Statements for the first of the turns over a panel's rows only.
    FirstPart(Code),
    /// Names what a turn of a loop is about.
    Begin(Begin),
    /// Memory for that many f32 vectors, all +0, under a name.
    Memory(String, usize),
    /// Keeps what lies in memory there: a compiler would load it into registers, and spill those.
    Keep(String),
    /// Asks for what lies ahead of a line of memory.
    Prefetch(Prefetch, Expr),
    /// Asks for what lies ahead of the first bytes of a unit.
    PrefetchHead {
        /// Which lines, for each that is read.
        lines: Prefetch,
        /// The row vector that the unit is of.
        vector: usize,
        /// How many bytes.
        bytes: usize,
        /// Whether they are ahead of those; else they are asked for as they are reached.
        ahead: bool,
    },
    /// The threads of a warp meet: what follows is not begun before.
    Meet,
    /// Names for each row vector of a panel the word of a chunk of codes that a thread multiplies.
    LoadRows(Vec<String>, Place),
    /// Adds products of matrices to dots of a block of eight columns, of which a thread has two.
    Matrices {
        /// Which block.
        block: usize,
        /// What its columns are multiplied by.
        columns: Place,
        /// For each two row vectors the words that are multiplied: of both, and of both again if there are twice as many.
        weights: Vec<Vec<String>>,
        /// For each two row vectors the dots: two of the first, then two of the second.
        dots: Vec<[String; 4]>,
    },
    /// Asks for a part of what lies ahead of a segment of a panel.
    PrefetchTurn {
        /// Which lines, for each that is read.
        lines: Prefetch,
        /// The panel.
        panel: usize,
    },
}

impl Stmt {
    /// `let name = value`.
    pub fn value(name: impl Into<String>, value: Expr) -> Self {
        Self::Let { name: name.into(), changes: false, value: Some(value) }
    }

    /// `let mut name = value`.
    pub fn variable(name: impl Into<String>, value: Expr) -> Self {
        Self::Let { name: name.into(), changes: true, value: Some(value) }
    }
}

/// A loop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loop {
    /// A known number of turns, which have a name. A single one is no loop.
    Turns(String, usize),
    /// Turns over the rows of a panel, which a vector has a part of.
    Parts(usize),
    /// The column groups.
    Groups,
    /// The units of a segment.
    Units,
}

/// What a turn of a loop is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// A column group, and its sums.
    Group,
    /// The activations of a packed unit.
    Columns,
    /// Those of an unpacked unit, and that.
    Staged,
    /// The place of an unpacked unit.
    Unpacked,
    /// A unit of a panel, under the name of a row vector.
    Unit {
        /// The row vector.
        vector: usize,
        /// The panel that it belongs to.
        panel: usize,
    },
}

/// A loop over a known number of turns.
pub fn each(name: &str, count: usize, body: Code) -> Code {
    vec![Stmt::For(Loop::Turns(name.to_owned(), count), body)]
}
