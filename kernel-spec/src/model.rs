//! The checked model of a format card.
//!
//! Everything here has been proved consistent by the checker: names are resolved, every map stays inside its field, every
//! stored bit is read exactly once, and every own value is exact in f32. The comments name the card's key for each part in
//! quotes, and its limits and what holds without it.

use std::collections::{BTreeMap, BTreeSet};

/// A weight format: how stored bits become the numbers
/// `weight = scale * ((code - zero) * sign) + min`, where each absent part is left out.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Format {
    /// `name`: what users write, such as the name that GGUF tools print; a letter, then letters, digits, `_` and `-`. No two
    /// cards have names that differ only in case or in `-` for `_`.
    pub name: String,
    /// `gguf`: the format's type number in GGUF files, if it has one.
    pub gguf: Option<u32>,
    /// `doc`: one line that says what the format is.
    pub doc: String,
    /// `kernels`: whether every build has kernels of the format, which takes seconds of each: those of the names in this list, and
    /// without it all of the card. The others are decoded and encoded, and have kernels in builds that ask for them.
    pub kernels: bool,
    /// `fields`, or `tensors` and `rows`: where the bytes lie.
    pub storage: Storage,
    /// `code` or each `[[code]]`: the pieces of a block in order of position; most formats have one.
    pub pieces: Vec<Piece>,
    /// `zero`: subtracted from the code.
    pub zero: Option<Number>,
    /// `sign`: multiplies `code - zero`.
    pub sign: Option<Number>,
    /// `scale`: multiplies `(code - zero) * sign`.
    pub scale: Option<Number>,
    /// `min`: added last.
    pub min: Option<Number>,
    /// `reserved`: its `planes` are bits that mean nothing. Whatever they hold, the weights are the same.
    pub reserved: Option<Number>,
}

/// Where the bytes of a format lie.
#[derive(Clone, Debug, PartialEq)]
pub enum Storage {
    /// `fields`: rows of blocks of fixed size, as in GGUF files.
    Blocks(Blocks),
    /// `tensors`: separate ones for codes, scales and zero points, as in safetensors files.
    Tensors(Tensors),
}

/// Storage as rows: a header of `header` bytes, then blocks of `bytes` bytes that hold `weights` neighbouring weights each.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Blocks {
    /// `row`: bytes at the start of each row, before its first block, which the fields of this table fill; 0 without it.
    pub header: usize,
    /// `weights`: weights in a block, 1 to 65536.
    pub weights: usize,
    /// `bytes`: bytes in a block, 1 to 65536, which the fields of the block fill.
    pub bytes: usize,
    /// `fields.NAME` and `row.NAME`: the parts of a block in card order, then those of the header.
    pub fields: Vec<Field>,
}

/// What a field is a part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// `fields`: it lies in each block.
    Block,
    /// `row`: it lies in the header of a row, once for all blocks of the row.
    Row,
}

/// One part of a block or of a row's header: an item, or an array of items.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Field {
    /// The name that the card gives it; numbers refer to it with `from` or `super`. Blocks and rows share the names.
    pub name: String,
    /// Whether it lies in each block, or once in the header of the row.
    pub home: Home,
    /// `at`: byte offset from the start of the block, or of the row.
    pub at: usize,
    /// `type`: what one item is.
    pub element: Element,
    /// `[n]` behind the type: items in an array, 1 to 65536; `None` for a single item.
    pub count: Option<usize>,
    /// `stream = true`: the items of the array continue each other as one stream of bits, lowest bit first. Bit b of an item is
    /// then bit `b % width` of the item `b / width` places on, and a run of bits may lie in several items.
    pub stream: bool,
    /// `sums = "code"`: redundant sums of neighbouring codes, which decoding ignores. Each is over an equal share of the block.
    pub sums: bool,
}

/// Storage as separate tensors, addressed by digits of the row and of the position along k. The slowest digit of either has no
/// bound; an axis uses at most one of the two, and has as many items for each of its values as its stride says.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Tensors {
    /// `rows`: digits of the row number, slowest first.
    pub rows: Vec<Digit>,
    /// `tensors.NAME`: the tensors, in card order.
    pub tensors: Vec<Tensor>,
    /// `indices.NAME`: tensors that say again what is known, such as the group of each k.
    pub indices: Vec<Index>,
    /// `config`: settings and the values, one or a list, that they may have in what a model says of its quantisation. Where it says
    /// anything else, a file is refused; where it says nothing, nothing is compared.
    pub config: Vec<Setting>,
    /// `doubtful_zero`: what no format of a symmetric matrix has as its zero point. Where all zero points are this number, whoever
    /// reads a file is warned that it may be in a format that stores them otherwise.
    pub doubtful_zero: Option<f32>,
}

/// A setting of a model's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The key under `config`: its name.
    pub key: String,
    /// The values that it may have.
    pub values: Vec<Word>,
}

/// The value of a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// A text.
    Text(String),
    /// An integer.
    Integer(i64),
}

/// A tensor that says again what is known without it; files may leave it out. Where it says anything else, the file is in another
/// format than the card's, or its columns are stored in another order, and it is refused.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Index {
    /// `name`, or else its name: what files write after the name of a matrix and a dot.
    pub file: String,
    /// `type`: what one item is: an integer, or `f32` for levels.
    pub element: Element,
    /// `holds`: what its items must be.
    pub holds: Holds,
}

/// What a tensor holds that says again what is known.
#[derive(Clone, Debug, PartialEq)]
pub enum Holds {
    /// A map: an item for each k, which is the value of this map over the digits of k. Where all are 0, or all bits of all are set,
    /// they say nothing.
    Column(Map),
    /// `"levels"`: the level of each code, to a thousandth of the largest.
    Levels,
    /// `"shape"`: two integers, the number of rows and that of columns. Files may have them in 64 bits as well.
    Shape,
}

/// One of the separate tensors.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Tensor {
    /// The name that the card gives it; numbers refer to it with `from` or `super`.
    pub name: String,
    /// `name`, or else its name: what files write after the name of a matrix and a dot.
    pub file: String,
    /// `type`: what one item is.
    pub element: Element,
    /// `axes`: index along each axis, slowest axis first, at most 8. Without axes, `[]`, the tensor is one item for the whole
    /// matrix; one whose axes use no digit of the position along k has an item per row.
    pub axes: Vec<Map>,
    /// `stream`: the axis, counted from 0, along which items continue each other as one stream of bits, lowest bit first. Bit b
    /// of an item is then bit `b % width` of the item `b / width` places on. The axis uses a digit without bound.
    pub stream: Option<usize>,
    /// `nested`: how files may store a tensor of `f32` that is itself quantised.
    pub nested: Option<Nested>,
}

/// A quantised tensor of `f32`: its file holds a byte for each item, and item i is `levels[byte] * scales[i / group] + offset`, i
/// counting all items of the tensor in row-major order. The multiplication and the addition are one f32 operation each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nested {
    /// `levels`: the name, after that of the matrix and a dot, of the `f32` tensor with the level of each byte.
    pub levels: String,
    /// `scales`: that of the `f32` tensor with a scale for each group.
    pub scales: String,
    /// `group`: items that share a scale.
    pub group: usize,
    /// `offset`: the setting, in what a model says of the quantisation of the matrix, that is the offset.
    pub offset: String,
}

/// The type of a stored item; multi-byte items are little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// `u8` to `u48`: unsigned integer of 8, 16, 24, 32, 40 or 48 bits.
    Unsigned(u8),
    /// `i8` to `i48`: two's-complement integer of 8, 16, 24, 32, 40 or 48 bits.
    Signed(u8),
    /// `f16`: IEEE half precision.
    F16,
    /// `bf16`: the upper half of an f32.
    Bf16,
    /// `f32`: IEEE single precision.
    F32,
    /// `e8m0`: an exponent; x is 2^(x - 127), also for 255.
    E8m0,
    /// `ue4m3`: four exponent and three mantissa bits of bias 7; bit 7 is ignored, exponent 0 is subnormal, and 0x7F (but not
    /// 0xFF) is 0.
    Ue4m3,
    /// `e4m3`: sign, four exponent and three mantissa bits of bias 7; exponent 0 is subnormal, 0x7F and 0xFF are NaN, and nothing
    /// is infinite.
    E4m3,
}

/// A run of positions in a block that share one digit structure.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Piece {
    /// `index.at`: first weight of the piece; 0 without it.
    pub start: usize,
    /// One past its last weight; of separate tensors, the stride of the slowest digit, at which everything repeats.
    pub end: usize,
    /// `index`: digits of `position - start`, slowest (largest stride) first; each stride divides the one before, and the last is
    /// 1. A card with one piece may give it beside `code`, one with several gives each its own.
    pub digits: Vec<Digit>,
    /// The keys of a number: the code of a weight.
    pub code: Number,
}

/// One digit of a mixed-radix position.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Digit {
    /// The name that the card gives it; maps refer to it.
    pub name: String,
    /// What one step of the digit adds to the position.
    pub stride: usize,
    /// How many values the digit takes, which follows from the strides. Of separate tensors the slowest digit has no bound: 0.
    pub size: usize,
}

/// An affine map over digits, `at + sum of stride * digit`: in a card a table of strides, or an integer for a constant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Map {
    /// `at`: the constant; 0 without it.
    pub at: i64,
    /// Stride of each digit that the map mentions, by digit name; may be negative, but not 0.
    pub strides: BTreeMap<String, i64>,
}

/// A number: stored bits, looked up, stepped, shifted and scaled: `super * (step * level(stored) + offset)`.
///
/// It is constant over the digits that it does not use; whoever uses a digit uses all slower ones of the same position.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Number {
    /// `from` and `item`, or `planes`: the bits in storage.
    pub stored: Stored,
    /// `levels`: what each stored code stands for; without it, the code itself.
    pub levels: Option<Levels>,
    /// `step`: multiplies the level, exactly. Without it nothing is multiplied.
    pub step: Option<f64>,
    /// `offset`: added to `step * level`, exactly. Without it nothing is added.
    pub offset: Option<f64>,
    /// `super`: multiplies the whole, as one f32 multiplication; a number, or the name of a field of which it is the only item.
    /// Supers nest at most 4 deep.
    pub outer: Option<Box<Number>>,
}

/// The bits of a number.
#[derive(Clone, Debug, PartialEq)]
pub enum Stored {
    /// `from`: one whole item, read as its field's type.
    Item {
        /// Index into the storage's fields or tensors.
        field: usize,
        /// `item`: which item of a field; 0 without it. A tensor has its `axes` instead.
        item: Map,
    },
    /// `planes`: put together, the first lowest, to at most 48 bits.
    Planes {
        /// At least one plane.
        planes: Vec<Plane>,
        /// `as`: what the joined bits are, which must have as many; `None`: an unsigned integer.
        element: Option<Element>,
    },
}

/// One run of bits per digit value.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Plane {
    /// `from`: index into the storage's fields or tensors.
    pub field: usize,
    /// `item`: which item of a field; 0 without it. A tensor has its `axes` instead.
    pub item: Map,
    /// Which part of the item.
    pub run: Run,
}

/// The part of an item that a plane reads.
#[derive(Clone, Debug, PartialEq)]
pub enum Run {
    /// `bits` bits from `bit` upwards.
    Bits {
        /// `bit`: the lowest bit, counted from the lowest of the item; 0 without it. It lies past the end of the item only
        /// where items make a stream.
        bit: Map,
        /// `bits`: how many, 1 to 48.
        bits: u32,
    },
    /// `trit`: base-3 digit n, 0 to 4, of a byte b: `((b * 3^n mod 256) * 3) >> 8`.
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

/// The value of each code: in a card a list, or the name of a table. With `width` over 1 a code stands for a vector: code c
/// gives `values[c * width ..][..width]` to `width` neighbouring weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Levels {
    /// Name of the table, if the levels come from one: the file `NAME.toml` in a folder `tables` near the card, with `name`, `doc`
    /// and the keys below.
    pub table: Option<String>,
    /// `width`: of a table, neighbouring weights per code, 1 to 64; of a list 1.
    pub width: usize,
    /// `rows`, or `members`, and `letters`: of a table, the rows of digits, or which of all sorted rows there are, and what each
    /// digit stands for. `codes * width` values, exact in f32; a list has them as they are.
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

    /// Names of the tables that the card names.
    #[must_use]
    pub fn tables(&self) -> BTreeSet<String> {
        let codes = self.pieces.iter().map(|piece| &piece.code);
        let others = [&self.zero, &self.sign, &self.scale, &self.min].into_iter().flatten();
        let levels = codes.chain(others).flat_map(Number::chain).filter_map(|number| number.levels.as_ref());
        levels.filter_map(|levels| levels.table.clone()).collect()
    }
}
