//! The words of several cards, which kernels and the runtime have too.

use std::fmt;

/// A numerics class: which function of weights and activations a kernel computes. Within a class every kernel gives the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Numerics {
    /// `exact`: decoded weights times f32 activations, `acc = fma(w, x, acc)` in K order within a segment.
    Exact,
    /// `int8`: integer levels times activations of 8 bits, which are quantised per group; exact integer dots, f32 scales.
    Int8,
}

/// How a kernel gets at decoded weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Schedule {
    /// `direct`: decoded in registers, straight from packed memory, once per column group.
    Direct,
    /// `panel`: a segment is unpacked once and used for all columns.
    Panel,
}

/// Which lines of packed memory a kernel asks for ahead of their use, for each line that it reads. How far ahead is an argument of the
/// kernel, which it takes as far as it asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Prefetch {
    /// `none`: no line.
    None,
    /// `near`: one, into the first-level cache.
    Near,
    /// `far`: one, into the second-level cache.
    Far,
    /// `both`: one into the second-level cache, from afar, and one into the first.
    Both,
}

/// How an instruction set sums products of bytes: codes, which are unsigned, and quants, which are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dot {
    /// `scalar`: one product at a time.
    Scalar,
    /// `pairs-i16`: pairs of products summed into i16 with saturation, which are widened later.
    PairsI16,
    /// `products-i16`: each product by itself accumulated into i16, widened later; codes are taken as signed.
    ProductsI16,
    /// `quads-i32`: four products accumulated into i32.
    QuadsI32,
    /// `signed-quads-i32`: four products accumulated into i32; codes are taken as signed.
    SignedQuadsI32,
    /// `matrix-i32`: eight products of each of two rows with each of two columns accumulated into i32; of four for a single column.
    MatrixI32,
}

/// A kind of instruction, scalar or on vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `broadcasts`: one item of memory into all lanes.
    Broadcasts,
    /// `loads`: reads of neighbouring items.
    Loads,
    /// `stores`: writes of neighbouring items.
    Stores,
    /// `products`: dots of bytes as `int8` has them, multiplications with additions as `exact` has them.
    Products,
    /// `floats`: f32 multiplied, added, or both at once.
    Floats,
    /// `converts`: integers to f32 and back, and to wider types.
    Converts,
    /// `integers`: masks, shifts, shuffles, look-ups and additions of integers.
    Integers,
}

impl Numerics {
    /// Both classes.
    pub const ALL: [Self; 2] = [Self::Exact, Self::Int8];

    /// The word that cards, users and kernel names have for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Int8 => "int8",
        }
    }
}

impl fmt::Display for Numerics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Schedule {
    /// Both schedules.
    pub const ALL: [Self; 2] = [Self::Direct, Self::Panel];

    /// The word that cards have for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Panel => "panel",
        }
    }
}

impl Prefetch {
    /// Every way.
    pub const ALL: [Self; 4] = [Self::None, Self::Near, Self::Far, Self::Both];

    /// The word that cards and kernel names have for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Near => "near",
            Self::Far => "far",
            Self::Both => "both",
        }
    }

    /// Whether it asks for lines into the second-level cache.
    #[must_use]
    pub const fn is_far(self) -> bool {
        matches!(self, Self::Far | Self::Both)
    }

    /// Whether it asks for lines into the first-level cache.
    #[must_use]
    pub const fn is_near(self) -> bool {
        matches!(self, Self::Near | Self::Both)
    }
}

impl Dot {
    /// Every way.
    pub const ALL: [Self; 6] =
        [Self::Scalar, Self::PairsI16, Self::ProductsI16, Self::QuadsI32, Self::SignedQuadsI32, Self::MatrixI32];

    /// The word that cards have for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::PairsI16 => "pairs-i16",
            Self::ProductsI16 => "products-i16",
            Self::QuadsI32 => "quads-i32",
            Self::SignedQuadsI32 => "signed-quads-i32",
            Self::MatrixI32 => "matrix-i32",
        }
    }

    /// Whether products are summed in 16 bits first.
    #[must_use]
    pub const fn is_narrow(self) -> bool {
        self.narrow_registers() > 0
    }

    /// Vector registers that the 16-bit sums of one vector's lanes take.
    #[must_use]
    pub const fn narrow_registers(self) -> usize {
        match self {
            Self::PairsI16 => 1,
            Self::ProductsI16 => 2,
            Self::Scalar | Self::QuadsI32 | Self::SignedQuadsI32 | Self::MatrixI32 => 0,
        }
    }

    /// Whether codes are taken as signed bytes.
    #[must_use]
    pub const fn is_signed(self) -> bool {
        matches!(self, Self::ProductsI16 | Self::SignedQuadsI32)
    }
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 7] =
        [Self::Broadcasts, Self::Loads, Self::Stores, Self::Products, Self::Floats, Self::Converts, Self::Integers];

    /// The word that cards have for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Broadcasts => "broadcasts",
            Self::Loads => "loads",
            Self::Stores => "stores",
            Self::Products => "products",
            Self::Floats => "floats",
            Self::Converts => "converts",
            Self::Integers => "integers",
        }
    }
}
