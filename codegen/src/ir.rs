//! The neutral form of a format: how one weight's value follows from stored bits.
//!
//! It names no target. A [`Decoder`] is a nest of loops over the digits of a position in a block and a list of operations, each
//! tied to the innermost loop that it depends on, so that every target hoists what a group of weights shares. Weights in separate
//! tensors have blocks too: the stretches of K after which their layout repeats.

/// The value of every weight of a block.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoder {
    /// Weights in a block.
    pub weights: usize,
    /// Where blocks are stored.
    pub storage: Storage,
    /// Tables that [`Op::Level`] looks up, each a flat list of f32.
    pub tables: Vec<Vec<f32>>,
    /// The pieces of a block, in order of position.
    pub pieces: Vec<Piece>,
}

/// Where the blocks of a row are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storage {
    /// One after the other, behind the header of the row.
    Rows {
        /// Bytes of the header; 0 for most formats.
        header: usize,
        /// Bytes of a block.
        block: usize,
    },
    /// In separate tensors; what is known of a weight before its block is begun says where.
    Tensors {
        /// Digits of the row number and the number of the block.
        known: Vec<Known>,
    },
}

/// A digit that is known before a block is begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// The number of the block, under the name that the card gives the slowest digit of a position.
    Block {
        /// The digit's name.
        name: String,
    },
    /// A digit of the row number: `row / stride`, modulo `size` unless that is 0.
    Row {
        /// The digit's name.
        name: String,
        /// What one step adds to the row number.
        stride: usize,
        /// How many values it takes; 0: no bound.
        size: usize,
    },
}

impl Known {
    /// The digit's name in the card.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Block { name } | Self::Row { name, .. } => name,
        }
    }
}

/// A run of positions with one loop nest.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    /// First weight of the piece.
    pub start: usize,
    /// The digits of a position, slowest first: `position = start + sum of stride * digit`.
    pub loops: Vec<Loop>,
    /// The operations, operands before users.
    pub ops: Vec<Node>,
    /// Where the parts of the value are.
    pub values: Values,
}

/// The operations that hold a weight and its parts, as indices into [`Piece::ops`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Values {
    /// The weight itself, f32.
    pub weight: usize,
    /// The stored code, an unsigned integer.
    pub code: usize,
    /// Its value, f32.
    pub own: usize,
    /// The zero, f32, if there is one.
    pub zero: Option<usize>,
    /// `(code - zero) * sign`, f32.
    pub level: usize,
    /// The scale's own bits, if there is a scale: see [`Part`].
    pub scale: Option<Part>,
    /// The same for the min.
    pub min: Option<Part>,
}

/// A scale or a min, and its two levels: `root * own`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The operation with the f32 value of the whole.
    pub value: usize,
    /// The operation with the stored integer under a root; `None` when the number has no outer number and is its own root.
    pub stored: Option<usize>,
    /// The operation with the f32 value of the root.
    pub root: usize,
}

/// One digit of a position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loop {
    /// The digit's name in the card.
    pub name: String,
    /// How many values it takes.
    pub size: usize,
    /// What one step adds to the position.
    pub stride: usize,
}

/// An operation and the loop it belongs to.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// How many loops must be open for the operands to be known: 0 for a value that the whole block shares.
    pub depth: usize,
    /// What is computed.
    pub op: Op,
}

/// One operation. Operands are indices of earlier operations of the piece. Every f32 operation rounds to nearest even by itself.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// `bits` bits of an item, from bit `shift` upwards.
    Bits {
        /// The item, a little-endian integer.
        item: Item,
        /// Its size, 1 to 6.
        bytes: u32,
        /// Lowest bit; past the end of the item only if it is part of a stream.
        shift: Affine,
        /// How many bits.
        bits: u32,
    },
    /// Base-3 digit n of the byte b: `((b * 3^n mod 256) * 3) >> 8`.
    Trit {
        /// The byte.
        item: Item,
        /// n.
        digit: Affine,
    },
    /// Unsigned integers put together: the sum of `weight * operand`.
    Join(Vec<(usize, u64)>),
    /// A two's-complement integer of `bits` bits as f32.
    SignedToFloat {
        /// The bits.
        of: usize,
        /// Their number.
        bits: u32,
    },
    /// An unsigned integer as f32.
    ToFloat(usize),
    /// Stored bits as a floating-point number, widened to f32 exactly.
    Widen(FloatKind, usize),
    /// `table[width * code + lane]`.
    Level {
        /// Index into [`Decoder::tables`].
        table: usize,
        /// Values per code.
        width: usize,
        /// The operation that gives the code.
        code: usize,
        /// Which value of the code's vector.
        lane: Affine,
    },
    /// f32 `operand * constant`, exact.
    Times(usize, f32),
    /// f32 `operand + constant`, exact.
    Plus(usize, f32),
    /// f32 product.
    Mul(usize, usize),
    /// f32 sum.
    Add(usize, usize),
    /// f32 difference.
    Sub(usize, usize),
}

impl Op {
    /// The operations that it needs.
    #[must_use]
    pub fn operands(&self) -> Vec<usize> {
        match self {
            Self::Bits { .. } | Self::Trit { .. } => vec![],
            Self::Join(parts) => parts.iter().map(|&(part, _)| part).collect(),
            Self::SignedToFloat { of, .. } => vec![*of],
            Self::Level { code, .. } => vec![*code],
            Self::ToFloat(a) | Self::Widen(_, a) | Self::Times(a, _) | Self::Plus(a, _) => vec![*a],
            Self::Mul(a, b) | Self::Add(a, b) | Self::Sub(a, b) => vec![*a, *b],
        }
    }

    /// The digits that it depends on by itself.
    pub fn maps(&mut self) -> Vec<&mut Affine> {
        match self {
            Self::Bits { item, shift, .. } => item.at.iter_mut().chain([shift]).collect(),
            Self::Trit { item, digit } => item.at.iter_mut().chain([digit]).collect(),
            Self::Level { lane, .. } => vec![lane],
            _ => Vec::new(),
        }
    }
}

/// Where an item is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// What it is a part of.
    pub home: Home,
    /// The byte offset in a block or header; in a tensor the index along each axis, slowest first.
    pub at: Vec<Affine>,
    /// The axis along which items continue each other as one stream of bits: bit b is bit `b % width` of the item `b / width` places
    /// on.
    pub stream: Option<usize>,
}

/// What an item is a part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// The block.
    Block,
    /// The header of the row.
    Header,
    /// A separate tensor: its place in the card.
    Tensor(usize),
}

impl Item {
    /// How many loops must be open for the place to be known.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.at.iter().map(Affine::depth).max().unwrap_or(0)
    }
}

/// How stored bits are a floating-point number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FloatKind {
    /// IEEE half precision.
    F16,
    /// The upper half of an f32.
    Bf16,
    /// IEEE single precision.
    F32,
    /// x is `2^(x - bias)`, also for 255; a step that is a power of two has been folded into the bias.
    E8m0 {
        /// 127 less the exponent of the step.
        bias: i32,
    },
    /// Four exponent and three mantissa bits; 0x7F is 0, exponent 0 is subnormal, and bit 7 counts for nothing else.
    Ue4m3,
    /// Sign, four exponent and three mantissa bits; 0x7F and 0xFF are no numbers, exponent 0 is subnormal.
    E4m3,
}

/// `at + sum of stride * digit`: digits that are loops, by their index, and digits that are known before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Affine {
    /// The constant.
    pub at: i64,
    /// (loop, stride) in loop order; strides are not 0.
    pub terms: Vec<(usize, i64)>,
    /// (name of a [`Known`] digit, stride) in their order; strides are not 0.
    pub known: Vec<(String, i64)>,
}

impl Affine {
    /// How many loops must be open for the value to be known.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.terms.last().map_or(0, |&(index, _)| index + 1)
    }
}
