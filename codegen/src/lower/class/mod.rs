//! Packed classes: all that a kernel needs to know of a format, derived from its checked card.
//!
//! Where the parts of a unit of a packed panel lie, [`super::layout`] says. Its codes are in lines. A line is 64 bytes: for each of 16 rows the same bits of 4 consecutive weights, one weight to a byte. Of codes of b bits, 8 / b such quads
//! of weights are whole in one line, the first lowest; the bits on top of them make up others.

mod derive;
mod geometry;

use std::fmt;

pub use quantloom_abi::{PANEL_ROWS, SEGMENT};
use quantloom_spec::kernels::Numerics;

/// Bytes of a code line: 16 rows of 4 weights.
pub const LINE: usize = 64;
/// Most levels of a palette.
pub const PALETTE: usize = 32;

/// A packed class, with what a format has of its own in it: how its codes, scales and mins come from storage.
#[derive(Clone, Debug, PartialEq)]
pub struct Class {
    /// Weights of a stored block, or the period of separate tensors.
    pub block: usize,
    /// Weights of a unit: one or more blocks.
    pub unit: usize,
    /// The powers of two that make up the bits of a code, the largest first; none where every weight is a root.
    pub planes: Vec<u32>,
    /// What the codes stand for.
    pub codes: Codes,
    /// Where packers find the codes: the format's own.
    pub source: Source,
    /// How many bits a linear code is moved up to give the byte of the dot: levels are that power of two apart.
    pub shift: u32,
    /// Subtracted from a byte of the dot to give the level.
    pub zero: i32,
    /// Largest byte that goes into a dot.
    pub max_byte: u32,
    /// Weights that share an integer zero point of their own, subtracted beside `zero`.
    pub zero_group: Option<usize>,
    /// Weights under one activation scale.
    pub span: usize,
    /// Weights under one weight scale and one activation scale.
    pub step: usize,
    /// Weights under one root scale.
    pub root_group: usize,
    /// How root scales and root mins are held.
    pub root: Root,
    /// What a root scale is multiplied by: a power of two.
    pub root_factor: f32,
    /// The integer scale under the root, if there are two levels.
    pub sub_scale: Option<Sub>,
    /// The min, if there is one.
    pub min: Option<Min>,
}

/// What a code stands for.
#[derive(Clone, Debug, PartialEq)]
pub enum Codes {
    /// The level plus `zero`, moved down by `shift`.
    Linear,
    /// An index of a byte, which is the level plus `zero`. The bytes are the format's own.
    Bytes(Vec<u8>),
    /// An index of an f32. The numbers are the format's own.
    Floats(Vec<f32>),
    /// A float of four exponent and three mantissa bits, with its sign.
    E4m3,
    /// There are no codes: a weight is a root.
    None,
}

/// Where a packer finds the code of a weight.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// The stored code, its top bit flipped if it is a two's-complement number of so many bits.
    Code {
        /// Width of a signed code.
        signed_bits: Option<u32>,
    },
    /// The code of a level: `levels[i]`, in units of `unit`, has code i.
    Level {
        /// A power of two, at most 1.
        unit: f32,
        /// The levels by code.
        levels: Vec<i8>,
    },
}

/// Why a format has no class, so that it can be decoded and not multiplied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uncovered {
    /// The part of the card that no kernel covers, and the rule that it does not keep.
    pub what: String,
}

impl fmt::Display for Uncovered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no kernel covers {}", self.what)
    }
}

impl std::error::Error for Uncovered {}

/// Some bits of every code of a quad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The line of the body that holds them.
    pub line: usize,
    /// How many bits of each code.
    pub bits: u32,
    /// The lowest of them in the code.
    pub low: u32,
    /// The lowest of them in a byte of the line.
    pub shift: u32,
}

/// How a root is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    /// The stored half-precision bits.
    F16,
    /// The stored upper half of an f32.
    Bf16,
    /// Widened to f32.
    F32,
    /// The stored exponent: x is `2^(x - bias)`.
    E8m0 {
        /// The bias, the step of the number in it.
        bias: i32,
    },
    /// The stored unsigned float of four exponent and three mantissa bits.
    Ue4m3,
}

impl Root {
    /// Bytes of one.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::E8m0 { .. } | Self::Ue4m3 => 1,
            Self::F16 | Self::Bf16 => 2,
            Self::F32 => 4,
        }
    }
}

/// An integer of a byte under a root.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sub {
    /// It may be negative.
    pub signed: bool,
    /// It is 0 to 15.
    pub narrow: bool,
    /// Its unit, a power of two times -1 or 1: the root is multiplied by it.
    pub unit: f32,
    /// `integer = factor * stored + offset`, stored taken as signed if `signed_bits` says of how many bits.
    pub factor: i32,
    /// See `factor`.
    pub offset: i32,
    /// Width of a stored two's-complement integer.
    pub signed_bits: Option<u32>,
}

/// How mins are held.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Min {
    /// One root per step.
    Flat,
    /// An integer per step under a root.
    Sub(Sub),
}

/// How the sums of activations are held that a kernel needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sums {
    /// One integer per step.
    Whole,
    /// Two steps to an integer.
    Pairs,
}

impl Class {
    /// The sums of activations that mins and zero points are multiplied by.
    #[must_use]
    pub const fn sums(&self) -> Option<Sums> {
        match (self.min, self.zero_group) {
            (Some(Min::Sub(_)), _) => Some(Sums::Pairs),
            (Some(Min::Flat), _) | (None, Some(_)) => Some(Sums::Whole),
            (None, None) => None,
        }
    }

    /// Whether kernels of a numerics class exist: `int8` needs levels that are integers.
    #[must_use]
    pub const fn has(&self, numerics: Numerics) -> bool {
        match numerics {
            Numerics::Exact => true,
            Numerics::Int8 => matches!(self.codes, Codes::Linear | Codes::Bytes(_)),
        }
    }

    /// The name of the class, from its parameters: formats with the same kernels have the same name.
    #[must_use]
    pub fn name(&self) -> String {
        let bits = self.bits();
        let codes = match &self.codes {
            Codes::Linear => format!("linear{bits}{}{}", nonzero("x", self.shift), nonzero("z", self.zero)),
            Codes::Bytes(_) => format!("palette{bits}z{}", self.zero),
            Codes::Floats(_) => format!("floats{bits}"),
            Codes::E4m3 => "e4m3".to_owned(),
            Codes::None => "plain".to_owned(),
        };
        let zeros = self.zero_group.map_or(String::new(), |group| format!("_z{group}"));
        let root = match self.root {
            Root::F16 => "h".to_owned(),
            Root::Bf16 => "b".to_owned(),
            Root::F32 => "f".to_owned(),
            Root::E8m0 { bias } => format!("p{bias}_"),
            Root::Ue4m3 => "u".to_owned(),
        };
        let factor = unit_name(self.scale_factor());
        let scale = match self.sub_scale {
            None => format!("g{}{factor}", self.step),
            Some(sub) => format!("g{}{}{factor}", self.step, if sub.signed { "i" } else { "u" }),
        };
        let min = match self.min {
            None => String::new(),
            Some(Min::Flat) => "_min".to_owned(),
            // Not the name that roots have.
            Some(Min::Sub(sub)) if sub.unit == 1.0 => "_minu".to_owned(),
            Some(Min::Sub(sub)) => format!("_min{}", unit_name(sub.unit)),
        };
        format!("{codes}{zeros}_{scale}_{root}{}{min}_a{}_u{}", self.root_group, self.span, self.unit)
    }
}

/// A letter and a number, if that is not zero; an n stands for its minus.
fn nonzero(letter: &str, number: impl Into<i64>) -> String {
    match number.into() {
        0 => String::new(),
        number @ ..0 => format!("{letter}n{}", -number),
        number => format!("{letter}{number}"),
    }
}

/// Empty for 1, else the exponent and sign.
fn unit_name(unit: f32) -> String {
    let sign = if unit < 0.0 { "n" } else { "" };
    let exponent = -unit.abs().log2() as i32;
    match exponent {
        0 => sign.to_owned(),
        ..0 => format!("{sign}x{}", -exponent),
        _ => format!("{sign}e{exponent}"),
    }
}
