//! The operations of kernels on vectors of 32-bit lanes: for each its name in the vocabulary, and the instructions that it takes.

use quantloom_spec::isa::Dot;
use quantloom_spec::processor::Kind;

use super::width::Width;

/// An operation. Its constants are known when code is generated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Loads 64 bytes, or as many as a vector has.
    Line,
    /// A word of a line of several.
    Word(usize),
    /// Loads f32.
    Floats,
    /// Loads half-precision floats as f32.
    Halves,
    /// Loads upper halves of f32 as f32.
    Bfloats,
    /// Loads unsigned bytes as integers.
    Unsigned,
    /// Loads signed bytes as integers.
    Signed,
    /// Loads pairs of signed bytes as pairs of 16 bits.
    Pairs,
    /// Loads exponents as f32: `2^(x - bias)`.
    PowersOfTwo(i32),
    /// Loads unsigned floats of 4 exponent and 3 mantissa bits as f32.
    Ue4m3,
    /// Stores a line.
    StoreLine,
    /// Stores f32.
    StoreFloats,
    /// An integer in every lane.
    SplatI,
    /// An f32 in every lane.
    SplatF,
    /// Two integers by turns.
    SplatTwo,
    /// Four quantised activations in every lane.
    Quants,
    /// Two quads of two columns, by turns.
    FirstTwo,
    /// Integers of 0.
    ZeroI,
    /// f32 of +0.
    ZeroF,
    /// The bytes of the codes of a palette of 16.
    Palette,
    /// Those of one of 32.
    Palette32,
    /// The levels of the codes of a palette of 16: its bytes less so much.
    SignedPalette(i32),
    /// Those of one of 32.
    SignedPalette32(i32),
    /// The f32 of the codes of a palette.
    Table,
    /// Chosen bits of every byte.
    Mask(u32),
    /// Shifted towards the lowest bit of a lane.
    Shr(u32),
    /// Shifted towards the highest bit of a lane.
    Shl(u32),
    /// The bits of both.
    Or,
    /// Every byte less 128.
    Less128,
    /// What a palette of 16 has for every byte.
    LookUp,
    /// What one of 32 has.
    LookUp32,
    /// The byte of a lane from so many bits on, as f32.
    Byte(usize),
    /// What a table of f32 has for it.
    Pick(usize),
    /// It as a float of 4 exponent and 3 mantissa bits with its sign, as f32.
    E4m3(usize),
    /// The same, where it is a number.
    E4m3Number(usize),
    /// The largest magnitudes of signed bytes so far.
    Magnitudes,
    /// The sums, or what is no number where a magnitude is none.
    UnlessNan,
    /// The lower 16 bits of a lane as f32.
    LowHalf,
    /// The upper 16 bits of a lane as f32.
    HighHalf,
    /// Integers as f32.
    ToFloat,
    /// Integers lifted: to the bits of 1.5 * 2^23 plus as much, so that they need no conversion.
    Lift,
    /// What was lifted as f32.
    LiftedToFloat,
    /// Four sub-mins of a row, as unsigned bytes.
    MinQuad,
    /// `a * b + c`, rounded once.
    Fma,
    /// `a * b + 0`, rounded once.
    FirstProduct,
    /// `a - b * c`, of integers that f32 holds.
    SubProduct,
    /// A product of f32.
    Mul,
    /// A sum of f32.
    Add,
    /// A difference of f32.
    Sub,
    /// Adds the products of four bytes to 32 bits.
    Dot,
    /// Adds the products of two halves to 32 bits.
    DotPairs,
    /// Adds the products of two rows and two columns to 32 bits.
    DotMatrix,
    /// Adds sums of 16 bits to those of 32.
    Widen,
    /// Products in 16 bits, of codes as the instruction set takes them.
    Products,
    /// Products in 16 bits, of signed codes.
    SignedProducts,
    /// Adds products in 16 bits.
    AddProducts,
    /// Integers shifted down.
    Lower(u32),
    /// A sum of integers.
    AddI,
    /// The lower quads of two vectors by turns.
    LowTurns,
    /// The upper quads of two vectors by turns.
    HighTurns,
    /// The even lanes of two vectors.
    Even,
    /// The odd lanes of two vectors.
    Odd,
    /// A place of memory, known when integers have been computed and not before.
    After,
    /// The same of f32.
    AfterF,
}

/// Where the constant of an operation is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Constant {
    /// It has none.
    None,
    /// It is a parameter, and picks the instruction.
    Parameter(i64),
    /// It is the last argument.
    Argument(u32),
}

impl Op {
    /// Its name, and its constant.
    #[must_use]
    pub fn spelling(self) -> (&'static str, Constant) {
        use Constant::{Argument, Parameter};
        let plain = |name| (name, Constant::None);
        match self {
            Self::Line => plain("line"),
            Self::Word(index) => ("word", Parameter(index as i64)),
            Self::Floats => plain("floats"),
            Self::Halves => plain("halves"),
            Self::Bfloats => plain("bfloats"),
            Self::Unsigned => plain("unsigned"),
            Self::Signed => plain("signed"),
            Self::Pairs => plain("pairs"),
            Self::PowersOfTwo(bias) => ("powers_of_two", Parameter(bias.into())),
            Self::Ue4m3 => plain("ue4m3"),
            Self::StoreLine => plain("store_line"),
            Self::StoreFloats => plain("store_floats"),
            Self::SplatI => plain("splat_i"),
            Self::SplatF => plain("splat_f"),
            Self::SplatTwo => plain("splat_two"),
            Self::Quants => plain("quants"),
            Self::FirstTwo => plain("first_two"),
            Self::ZeroI => plain("zero_i"),
            Self::ZeroF => plain("zero_f"),
            Self::Palette => plain("palette"),
            Self::Palette32 => plain("palette_32"),
            Self::SignedPalette(zero) => ("signed_palette", Parameter(zero.into())),
            Self::SignedPalette32(zero) => ("signed_palette_32", Parameter(zero.into())),
            Self::Table => plain("table"),
            Self::Mask(mask) => ("mask", Argument(mask)),
            Self::Shr(bits) => ("shr", Parameter(bits.into())),
            Self::Shl(bits) => ("shl", Parameter(bits.into())),
            Self::Or => plain("or"),
            Self::Less128 => plain("less_128"),
            Self::LookUp => plain("look_up"),
            Self::LookUp32 => plain("look_up_32"),
            Self::Byte(bits) => ("byte", Parameter(bits as i64)),
            Self::Pick(bits) => ("pick", Parameter(bits as i64)),
            Self::E4m3(bits) => ("e4m3", Parameter(bits as i64)),
            Self::E4m3Number(bits) => ("e4m3_number", Parameter(bits as i64)),
            Self::Magnitudes => plain("magnitudes"),
            Self::UnlessNan => plain("unless_nan"),
            Self::LowHalf => plain("low_half"),
            Self::HighHalf => plain("high_half"),
            Self::ToFloat => plain("to_float"),
            Self::Lift => plain("lift"),
            Self::LiftedToFloat => plain("lifted_to_float"),
            Self::MinQuad => plain("min_quad"),
            Self::Fma => plain("fma"),
            Self::FirstProduct => plain("first_product"),
            Self::SubProduct => plain("sub_product"),
            Self::Mul => plain("mul"),
            Self::Add => plain("add"),
            Self::Sub => plain("sub"),
            Self::Dot => plain("dot"),
            Self::DotPairs => plain("dot_pairs"),
            Self::DotMatrix => plain("dot_matrix"),
            Self::Widen => plain("widen"),
            Self::Products => plain("products"),
            Self::SignedProducts => plain("signed_products"),
            Self::AddProducts => plain("add_products"),
            Self::Lower(bits) => ("lower", Parameter(bits.into())),
            Self::AddI => plain("add_i"),
            Self::LowTurns => plain("low_turns"),
            Self::HighTurns => plain("high_turns"),
            Self::Even => plain("even"),
            Self::Odd => plain("odd"),
            Self::After => plain("after"),
            Self::AfterF => plain("after_f"),
        }
    }

    /// The instructions that it takes with some vectors, of which kind, and how many.
    #[must_use]
    pub fn instructions(self, width: Width) -> &'static [(Kind, usize)] {
        use Kind::{Broadcasts, Converts, Floats, Integers, Loads, Products, Stores};
        match (self, width.dot, width.lanes) {
            (Self::Line | Self::Floats, ..) => &[(Loads, 1)],
            (Self::StoreLine | Self::StoreFloats, ..) => &[(Stores, 1)],
            // Into wider lanes, of which x86 shifts upper halves besides.
            (Self::Halves | Self::Bfloats | Self::Unsigned | Self::Signed | Self::Pairs, ..) => &[(Loads, 1), (Converts, 1)],
            (Self::PowersOfTwo(_), ..) => &[(Loads, 1), (Converts, 1), (Integers, 5), (Floats, 1)],
            (Self::Ue4m3, ..) => &[(Loads, 1), (Converts, 2), (Integers, 2), (Floats, 1)],
            (Self::SplatI | Self::SplatF | Self::SplatTwo | Self::Quants | Self::FirstTwo, ..) => &[(Broadcasts, 1)],
            // Made once, or an order and no instruction.
            (Self::ZeroI | Self::ZeroF | Self::After | Self::AfterF | Self::Word(_), ..) => &[],
            (Self::E4m3(_), ..) => &[(Integers, 7), (Floats, 1)],
            (Self::E4m3Number(_), ..) => &[(Integers, 3), (Floats, 1)],
            (Self::Magnitudes, ..) => &[(Integers, 2)],
            (Self::UnlessNan, ..) => &[(Integers, 3)],
            (Self::Byte(_), ..) => &[(Integers, 2), (Converts, 1)],
            (Self::LowHalf | Self::HighHalf, ..) => &[(Integers, 1), (Converts, 1)],
            (Self::ToFloat, ..) => &[(Converts, 1)],
            (Self::LiftedToFloat, ..) => &[(Floats, 1)],
            (Self::MinQuad, ..) => &[(Loads, 1)],
            (Self::Fma | Self::FirstProduct | Self::SubProduct | Self::Mul | Self::Add | Self::Sub, ..) => &[(Floats, 1)],
            (Self::Dot, _, 1) | (Self::Widen, Dot::ProductsI16, _) => &[(Products, 4)],
            (Self::SignedProducts, Dot::PairsI16, 8) => &[(Products, 3)],
            (Self::SignedProducts, Dot::PairsI16, _) => &[(Products, 4)],
            (Self::DotPairs | Self::Widen, Dot::PairsI16, _) | (Self::Products, Dot::ProductsI16, _) => &[(Products, 2)],
            // A multiplication that adds.
            (Self::AddProducts, Dot::ProductsI16, _) => &[],
            (
                Self::Dot
                | Self::DotMatrix
                | Self::DotPairs
                | Self::Products
                | Self::SignedProducts
                | Self::AddProducts
                | Self::Widen,
                ..,
            ) => &[(Products, 1)],
            (Self::Pick(_), _, 8) => &[(Integers, 5)],
            (Self::Pick(_), _, 4) | (Self::LookUp, _, 1) | (Self::LookUp32, _, 8) => &[(Integers, 4)],
            (Self::LookUp32, _, 16) => &[(Integers, 3)],
            (Self::Pick(_), ..) => &[(Integers, 2)],
            (
                Self::Palette
                | Self::Palette32
                | Self::SignedPalette(_)
                | Self::SignedPalette32(_)
                | Self::Table
                | Self::Mask(_)
                | Self::Shr(_)
                | Self::Shl(_)
                | Self::Or
                | Self::Less128
                | Self::LookUp
                | Self::LookUp32
                | Self::Lower(_)
                | Self::Lift
                | Self::AddI
                | Self::LowTurns
                | Self::HighTurns
                | Self::Even
                | Self::Odd,
                ..,
            ) => &[(Integers, 1)],
        }
    }
}
