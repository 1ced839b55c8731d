//! The checked model of a format card.
//!
//! Everything here has been proved consistent by the checker: names are resolved, every map stays inside its field, every
//! stored bit is read exactly once, and every own value is exact in f32.

use std::collections::BTreeMap;

/// A weight format: how stored bits become the numbers
/// `weight = scale * ((code - zero) * sign) + min`, where each absent part is left out.
#[derive(Clone, Debug, PartialEq)]
pub struct Format {
    /// The name users write, such as the one GGUF tools print.
    pub name: String,
    /// The format's type number in GGUF files, if it has one.
    pub gguf: Option<u32>,
    /// One line that says what the format is.
    pub doc: String,
    /// Where the bytes lie.
    pub storage: Storage,
    /// The pieces of a block in order of position; most formats have one.
    pub pieces: Vec<Piece>,
    /// Subtracted from the code.
    pub zero: Option<Number>,
    /// Multiplies `code - zero`.
    pub sign: Option<Number>,
    /// Multiplies `(code - zero) * sign`.
    pub scale: Option<Number>,
    /// Added last.
    pub min: Option<Number>,
}

/// Where the bytes of a format lie.
#[derive(Clone, Debug, PartialEq)]
pub enum Storage {
    /// Rows of blocks of fixed size: GGUF.
    Blocks(Blocks),
    /// Separate tensors for codes, scales and zero points: safetensors.
    Tensors(Tensors),
}

/// Storage as rows: a header of `header` bytes, then blocks of `bytes` bytes that hold `weights` neighbouring weights each.
#[derive(Clone, Debug, PartialEq)]
pub struct Blocks {
    /// Bytes at the start of each row, before its first block; 0 for most formats.
    pub header: usize,
    /// Weights in a block.
    pub weights: usize,
    /// Bytes in a block.
    pub bytes: usize,
    /// The parts of a block in card order, then those of the header.
    pub fields: Vec<Field>,
}

/// What a field is a part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// Each block has the field.
    Block,
    /// The header of a row has it: once for all blocks of the row.
    Row,
}

/// One part of a block or of a row's header: an item, or an array of items.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// The name cards refer to.
    pub name: String,
    /// Whether it lies in each block, or once in the header of the row.
    pub home: Home,
    /// Byte offset from the start of the block, or of the row.
    pub at: usize,
    /// Type of one item.
    pub element: Element,
    /// Items in an array; `None` for a single item.
    pub count: Option<usize>,
    /// The items of the array continue each other as one stream of bits, lowest bit first: bit b of an item is bit `b % width` of
    /// the item `b / width` places on.
    pub stream: bool,
    /// The field holds redundant sums of neighbouring codes, which decoding ignores.
    pub sums: bool,
}

/// Storage as separate tensors, addressed by digits of the row and of the position along k.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensors {
    /// Digits of the row number, slowest first.
    pub rows: Vec<Digit>,
    /// The tensors, in card order.
    pub tensors: Vec<Tensor>,
    /// Tensors that say again what the card says.
    pub indices: Vec<Index>,
}

/// A tensor with an item for each k, which says again what follows from k itself; files may leave it out. Where it says anything
/// else, the columns are stored in another order than the card's.
#[derive(Clone, Debug, PartialEq)]
pub struct Index {
    /// What follows the name of a matrix in files.
    pub file: String,
    /// Type of one item, an integer.
    pub element: Element,
    /// What the item of each k must be.
    pub holds: Map,
}

/// One of the separate tensors.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// The name cards refer to.
    pub name: String,
    /// What follows the name of a matrix in files, after a dot.
    pub file: String,
    /// Type of one item.
    pub element: Element,
    /// Index along each axis, slowest axis first; without axes the tensor is one item for the whole matrix.
    pub axes: Vec<Map>,
    /// The axis along which items continue each other as one stream of bits, lowest bit first: bit b of an item is bit
    /// `b % width` of the item `b / width` places on.
    pub stream: Option<usize>,
}

/// The type of a stored item; multi-byte items are little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// Unsigned integer of 8, 16, 24, 32, 40 or 48 bits.
    Unsigned(u8),
    /// Two's-complement integer of 8, 16, 24, 32, 40 or 48 bits.
    Signed(u8),
    /// IEEE half precision.
    F16,
    /// The upper half of an f32.
    Bf16,
    /// IEEE single precision.
    F32,
    /// An exponent: x is 2^(x - 127), also for 255.
    E8m0,
    /// Four exponent and three mantissa bits; bit 7 is ignored, exponent 0 is subnormal, and 0x7F (but not 0xFF) is 0.
    Ue4m3,
    /// Sign, four exponent and three mantissa bits of bias 7; 0x7F and 0xFF are NaN, and nothing is infinite.
    E4m3,
}

impl Element {
    /// Width of an item in bits.
    #[must_use]
    pub const fn bits(self) -> u32 {
        match self {
            Self::Unsigned(bits) | Self::Signed(bits) => bits as u32,
            Self::E8m0 | Self::Ue4m3 | Self::E4m3 => 8,
            Self::F16 | Self::Bf16 => 16,
            Self::F32 => 32,
        }
    }

    /// Whether items are integers.
    #[must_use]
    pub const fn is_integer(self) -> bool {
        matches!(self, Self::Unsigned(_) | Self::Signed(_))
    }
}

/// A run of positions in a block that share one digit structure.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    /// First weight of the piece.
    pub start: usize,
    /// One past its last weight; of separate tensors, the stride of the slowest digit, at which everything repeats.
    pub end: usize,
    /// Digits of `position - start`, slowest (largest stride) first; the last has stride 1.
    pub digits: Vec<Digit>,
    /// The code of a weight.
    pub code: Number,
}

/// One digit of a mixed-radix position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digit {
    /// The name cards refer to.
    pub name: String,
    /// What one step of the digit adds to the position.
    pub stride: usize,
    /// How many values the digit takes. For `Tensors` the slowest digit has no bound of its own: 0.
    pub size: usize,
}

/// An affine map over digits: `at + sum of stride * digit`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Map {
    /// The constant.
    pub at: i64,
    /// Stride of each digit that the map mentions, by digit name; may be negative.
    pub strides: BTreeMap<String, i64>,
}

/// A number: stored bits, looked up, stepped, shifted and scaled: `super * (step * level(stored) + offset)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Number {
    /// The bits in storage.
    pub stored: Stored,
    /// What each stored code stands for; absent: the code itself.
    pub levels: Option<Levels>,
    /// Multiplies the level. Absent means no multiplication.
    pub step: Option<f64>,
    /// Added to `step * level`. Absent means no addition.
    pub offset: Option<f64>,
    /// Multiplies the whole, as one f32 multiplication.
    pub outer: Option<Box<Number>>,
}

/// The bits of a number.
#[derive(Clone, Debug, PartialEq)]
pub enum Stored {
    /// One whole item, read as its field's type.
    Item {
        /// Index into the storage's fields or tensors.
        field: usize,
        /// Which item.
        item: Map,
    },
    /// Planes put together, the first lowest.
    Planes {
        /// At least one plane.
        planes: Vec<Plane>,
        /// What the joined bits are; `None`: an unsigned integer.
        element: Option<Element>,
    },
}

/// One run of bits per digit value.
#[derive(Clone, Debug, PartialEq)]
pub struct Plane {
    /// Index into the storage's fields or tensors.
    pub field: usize,
    /// Which item.
    pub item: Map,
    /// Which part of the item.
    pub run: Run,
}

/// The part of an item that a plane reads.
#[derive(Clone, Debug, PartialEq)]
pub enum Run {
    /// `bits` bits from `bit` upwards.
    Bits {
        /// The lowest bit, counted from the item that the plane names; past its end only where items make a stream.
        bit: Map,
        /// How many, 1 to 48.
        bits: u32,
    },
    /// Base-3 digit n of a byte b: `((b * 3^n mod 256) * 3) >> 8`.
    Trit(Map),
}

impl Run {
    /// How many values the run can take.
    #[must_use]
    pub const fn radix(&self) -> u64 {
        match self {
            Self::Bits { bits, .. } => 1 << *bits,
            Self::Trit(_) => 3,
        }
    }
}

/// The value of each code. With `width` over 1 a code stands for a vector: code c gives `values[c * width ..][..width]`
/// to `width` neighbouring weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Levels {
    /// Name of the table file, if the levels come from one.
    pub table: Option<String>,
    /// Neighbouring weights per code.
    pub width: usize,
    /// `codes * width` values, exact in f32.
    pub values: Vec<f32>,
}

impl Storage {
    /// Type of the items of a field or tensor.
    #[must_use]
    pub fn element(&self, field: usize) -> Element {
        match self {
            Self::Blocks(blocks) => blocks.fields[field].element,
            Self::Tensors(tensors) => tensors.tensors[field].element,
        }
    }
}

impl Blocks {
    /// Bytes of a row of `k` weights, which are whole blocks.
    #[must_use]
    pub const fn row_bytes(&self, k: usize) -> usize {
        self.header + k / self.weights * self.bytes
    }
}

impl Format {
    /// The block storage, if the format has it.
    #[must_use]
    pub const fn blocks(&self) -> Option<&Blocks> {
        match &self.storage {
            Storage::Blocks(blocks) => Some(blocks),
            Storage::Tensors(_) => None,
        }
    }

    /// Type of the items of a field or tensor.
    #[must_use]
    pub fn element(&self, field: usize) -> Element {
        self.storage.element(field)
    }
}
