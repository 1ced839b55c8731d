//! Stored weights: what their bytes are for N rows of K weights, and how decoders and packers read them.

use crate::Format;

/// How the weights of a format are stored.
#[derive(Clone, Copy, Debug)]
pub enum Storage {
    /// Row after row: a header, and blocks.
    Rows {
        /// Bytes of the header; 0 for most formats.
        header: usize,
        /// Bytes of a block.
        block: usize,
    },
    /// Separate tensors.
    Tensors {
        /// N must be a multiple of it.
        rows: usize,
        /// The tensors, in the order of the card.
        tensors: &'static [Spec],
        /// Tensors that files may have beside them.
        indices: &'static [Index],
        /// What a model's configuration must not contradict.
        config: &'static [Setting],
        /// A zero point that tells of another format where all are the same.
        doubtful_zero: Option<f32>,
    },
}

/// One of the separate tensors of a format.
#[derive(Debug)]
pub struct Spec {
    /// What follows the name of a matrix in a file.
    pub name: &'static str,
    /// The type of its items, as cards call it.
    pub element: &'static str,
    /// Bytes of an item.
    pub bytes: usize,
    /// Its axes, slowest first.
    pub axes: &'static [Axis],
    /// How files may store it quantised, which then are bytes.
    pub nested: Option<Nested>,
}

/// How a tensor of f32 is quantised: item i is `levels[byte i] * scales[i / group] + offset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nested {
    /// What follows the name of a matrix in the name of the f32 tensor with the level of each byte.
    pub levels: &'static str,
    /// The same of the f32 tensor with the scale of each group.
    pub scales: &'static str,
    /// Items under one scale.
    pub group: usize,
    /// The setting that is the offset.
    pub offset: &'static str,
}

/// A setting of a model's configuration, and the values that it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its key.
    pub key: &'static str,
    /// The values.
    pub values: &'static [Word],
}

/// The value of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// A text.
    Text(&'static str),
    /// An integer.
    Integer(i64),
}

/// A tensor that says again what is known without it: where it says anything else, columns are stored in another order, or the file
/// is in another format.
#[derive(Debug)]
pub struct Index {
    /// What follows the name of a matrix in a file.
    pub name: &'static str,
    /// The type of its items, as cards call it.
    pub element: &'static str,
    /// Bytes of an item.
    pub bytes: usize,
    /// What its items must be.
    pub holds: Holds,
}

/// What such a tensor holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Holds {
    /// An item for each k.
    Column(Map),
    /// The level of each code.
    Levels(&'static [f32]),
    /// The number of rows, and that of columns.
    Shape,
}

/// A number that follows from k.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Map {
    /// What it is for k = 0.
    pub at: i64,
    /// What the digits of k add.
    pub digits: &'static [Digit],
}

/// What a digit of k adds to a number: `times * (k / stride % size)`, without the modulo if the size is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digit {
    /// What one step of the digit adds to k.
    pub stride: usize,
    /// How many values it takes.
    pub size: usize,
    /// What one step adds to the number.
    pub times: i64,
}

impl Map {
    /// The number for `k`.
    #[must_use]
    pub fn of(&self, k: usize) -> i64 {
        let value = |digit: &Digit| {
            let steps = k / digit.stride;
            digit.times * if digit.size == 0 { steps } else { steps % digit.size } as i64
        };
        self.at + self.digits.iter().map(value).sum::<i64>()
    }
}

/// How long an axis is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axis {
    /// So many items.
    Fixed(usize),
    /// `items` for every `per` rows.
    Rows {
        /// Rows.
        per: usize,
        /// Items.
        items: usize,
    },
    /// `items` for every `per` weights of a row.
    Columns {
        /// Weights.
        per: usize,
        /// Items.
        items: usize,
    },
}

impl Axis {
    /// Its length for N rows of K weights, which are multiples of what the format asks for; `None` if it is beyond all memory.
    #[must_use]
    pub fn length(self, n: usize, k: usize) -> Option<usize> {
        match self {
            Self::Fixed(items) => Some(items),
            Self::Rows { per, items } => (n / per).checked_mul(items),
            Self::Columns { per, items } => (k / per).checked_mul(items),
        }
    }
}

/// Most axes of a tensor.
pub const MAX_AXES: usize = 8;

impl Spec {
    /// Bytes per weight, of a tensor that grows with rows and columns; 0 for others.
    #[must_use]
    pub fn bytes_per_weight(&self) -> f64 {
        let (mut of_rows, mut of_columns) = (0.0, 0.0);
        for axis in self.axes {
            match *axis {
                Axis::Fixed(_) => {}
                Axis::Rows { per, items } => of_rows = items as f64 / per as f64,
                Axis::Columns { per, items } => of_columns = items as f64 / per as f64,
            }
        }
        self.bytes as f64 * of_rows * of_columns
    }
}

/// A stored tensor: the rows of a block format, or one of the separate tensors of another.
#[derive(Clone, Copy, Debug)]
pub struct Tensor<'a> {
    bytes: &'a [u8],
    /// Bytes from one index of an axis to the next.
    strides: [usize; MAX_AXES],
}

impl<'a> Tensor<'a> {
    /// A row-major tensor of little-endian items of `item` bytes; `None` if `bytes` are not as many as `shape` asks for, or there
    /// are too many axes.
    #[must_use]
    pub fn new(shape: &[usize], item: usize, bytes: &'a [u8]) -> Option<Self> {
        let mut strides = [0; MAX_AXES];
        let mut stride = item;
        for (axis, length) in shape.iter().enumerate().rev() {
            *strides.get_mut(axis)? = stride;
            stride = stride.checked_mul(*length)?;
        }
        (stride == bytes.len()).then_some(Self { bytes, strides })
    }

    /// All items.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The bytes at one index of the slowest axis.
    #[must_use]
    pub fn row(&self, index: usize) -> &'a [u8] {
        &self.bytes[index * self.strides[0]..][..self.strides[0]]
    }

    /// The bits of an item.
    #[expect(
        clippy::needless_range_loop,
        clippy::manual_memcpy,
        reason = "iterators of the standard library are compiled apart from the kernels, and called: ten times slower"
    )]
    #[inline]
    #[must_use]
    pub fn item<const BYTES: usize, const AXES: usize>(&self, index: [usize; AXES]) -> u64 {
        let mut at = 0;
        for axis in 0..AXES {
            at += index[axis] * self.strides[axis];
        }
        let item = &self.bytes[at..][..BYTES];
        let mut word = [0; 8];
        for byte in 0..BYTES {
            word[byte] = item[byte];
        }
        u64::from_le_bytes(word)
    }

    /// `bits` bits from bit `bit` of an item on; they run on into the items that follow along `axis`.
    #[inline]
    #[must_use]
    pub fn stream<const BYTES: usize, const AXES: usize>(
        &self,
        mut index: [usize; AXES],
        axis: usize,
        bit: usize,
        bits: u32,
    ) -> u64 {
        let width = 8 * BYTES;
        index[axis] += bit / width;
        let mut value = self.item::<BYTES, AXES>(index) >> (bit % width);
        let mut taken = width - bit % width;
        while taken < bits as usize {
            index[axis] += 1;
            value |= self.item::<BYTES, AXES>(index) << taken;
            taken += width;
        }
        value & (u64::MAX >> (64 - bits))
    }
}

/// `bits` bits, 1 to 48, from bit `bit` of a run of bytes on.
#[inline]
#[must_use]
pub fn stream(bytes: &[u8], bit: usize, bits: u32) -> u64 {
    let (first, shift) = (bit / 8, bit % 8);
    let end = (bit + bits as usize).div_ceil(8);
    let word = bytes[first..end].iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte));
    word >> shift & (u64::MAX >> (64 - bits))
}

/// The four bytes from `at` on, the first lowest.
#[inline]
#[must_use]
pub fn word(bytes: &[u8], at: usize) -> u32 {
    bytes[at..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

impl Format {
    /// Stored bits per weight of a matrix so large that what is stored once per row or once for all counts for nothing.
    #[must_use]
    pub fn bits_per_weight(&self) -> f64 {
        8.0 * match self.storage {
            Storage::Rows { block, .. } => block as f64 / self.block_weights as f64,
            Storage::Tensors { tensors, .. } => tensors.iter().map(Spec::bytes_per_weight).sum(),
        }
    }

    /// What N must be a multiple of.
    #[must_use]
    pub fn row_multiple(&self) -> usize {
        match self.storage {
            Storage::Rows { .. } => 1,
            Storage::Tensors { rows, .. } => rows,
        }
    }

    /// Bytes of `n` rows of `k` weights; `None` if they are beyond all memory.
    #[must_use]
    pub fn stored_bytes(&self, n: usize, k: usize) -> Option<usize> {
        let bytes = |(shape, item): (Vec<usize>, usize)| shape.into_iter().try_fold(item, usize::checked_mul);
        self.shapes(n, k)?.into_iter().try_fold(0, |all: usize, tensor| all.checked_add(bytes(tensor)?))
    }

    /// The tensors of `n` rows of `k` weights: the shape, and the bytes of an item. `None` if one is beyond all memory.
    #[must_use]
    pub fn shapes(&self, n: usize, k: usize) -> Option<Vec<(Vec<usize>, usize)>> {
        match self.storage {
            Storage::Rows { header, block } => {
                let row = (k / self.block_weights).checked_mul(block)?.checked_add(header)?;
                Some(vec![(vec![n, row], 1)])
            }
            Storage::Tensors { tensors, .. } => {
                let shape = |spec: &Spec| spec.axes.iter().map(|axis| axis.length(n, k)).collect::<Option<_>>();
                tensors.iter().map(|spec| Some((shape(spec)?, spec.bytes))).collect()
            }
        }
    }

    /// Takes apart the tensors of `n` rows of `k` weights that lie one after the other; `None` if `bytes` are not as many.
    #[must_use]
    pub fn split<'a>(&self, n: usize, k: usize, bytes: &'a [u8]) -> Option<Vec<Tensor<'a>>> {
        let mut rest = bytes;
        let mut tensors = Vec::new();
        for (shape, item) in self.shapes(n, k)? {
            let (tensor, after) =
                rest.split_at_checked(shape.iter().try_fold(item, |all, length| all.checked_mul(*length))?)?;
            tensors.push(Tensor::new(&shape, item, tensor)?);
            rest = after;
        }
        rest.is_empty().then_some(tensors)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: [u8; 12] = [0x21, 0x43, 0x65, 0x87, 0xa9, 0xcb, 0xed, 0x0f, 0x11, 0x22, 0x33, 0x44];

    #[test]
    fn items_lie_row_by_row() {
        let tensor = Tensor::new(&[2, 3], 2, &BYTES).unwrap();
        assert_eq!(tensor.item::<2, 2>([0, 2]), 0xcba9);
        assert_eq!(tensor.item::<2, 2>([1, 0]), 0x0fed);
        assert_eq!(tensor.row(1), &BYTES[6..]);
        assert_eq!(Tensor::new(&[], 4, &BYTES[..4]).unwrap().item::<4, 0>([]), 0x8765_4321);
        assert!(Tensor::new(&[2, 3], 4, &BYTES).is_none());
        assert!(Tensor::new(&[usize::MAX, usize::MAX], 1, &BYTES).is_none());
        assert!(Tensor::new(&[1; MAX_AXES + 1], 1, &BYTES[..1]).is_none());
    }

    #[test]
    fn streams_run_on_along_their_axis() {
        let tensor = Tensor::new(&[3, 2], 2, &BYTES).unwrap();
        // Down the first column lie 0x4321, 0xcba9 and 0x2211.
        assert_eq!(tensor.stream::<2, 2>([0, 0], 0, 12, 8), 0x94);
        assert_eq!(tensor.stream::<2, 2>([0, 0], 0, 12, 24), 0x001c_ba94);
        assert_eq!(tensor.stream::<2, 2>([1, 0], 0, 4, 4), 0xa);
        assert_eq!(stream(&BYTES, 12, 8), 0x54);
        assert_eq!(stream(&BYTES, 4, 44), 0x0cba_9876_5432);
        assert_eq!(stream(&BYTES, 88, 8), 0x44);
    }
}
