//! The tests that every format must pass, built in or not: for the tests of crates that have formats of their own.
//!
//! ```no_run
//! # let formats: &[&'static quantloom::registry::Format] = &[];
//! for format in formats {
//!     let report = quantloom::testing::check(format).unwrap_or_else(|failure| panic!("{failure}"));
//!     println!("{report}");
//! }
//! ```
//!
//! Nothing is compared with a tolerance. What is right is evaluated plainly from the checked card, whose text the registry holds, so
//! that the generated code is compared with something that shares none of it.

mod attention;
mod decoding;
mod definition;
mod encoding;
mod joined;
mod packing;
mod products;
mod samples;
mod steps;

use std::fmt;

pub use attention::{PlainAttention, prepared};
pub use decoding::{decodes_to, decoding};
pub use definition::{Definition, Row, Units};
pub use encoding::encoding;
pub use packing::packing;
pub use products::{products, products_of};
use quantloom_spec::model;
pub use steps::{Factor, steps};

use crate::registry::{self, Format, kernels};

/// What [`check`] compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Name of the format.
    pub format: &'static str,
    /// Weights that were decoded.
    pub decoded: usize,
    /// Weights that were encoded and decoded again; 0 if the format cannot be encoded.
    pub encoded: usize,
    /// Weights that were packed and taken out again.
    pub packed: usize,
    /// Kernels that run on this processor.
    pub kernels: usize,
    /// Multiplications by those kernels.
    pub products: usize,
    /// Why no product was tested, if none was.
    pub untested: Option<Untested>,
}

/// Why no product of a format was tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Untested {
    /// The format can be decoded only: no kernel covers this of its card, for the rule that it says.
    Uncovered(&'static str),
    /// Its kernels were left out of this build.
    LeftOut,
    /// This processor runs none of its kernels.
    NotHere,
}

impl Untested {
    fn of(format: &Format) -> Option<Self> {
        match (format.uncovered, kernels(format)) {
            (Some(what), _) => Some(Self::Uncovered(what)),
            (None, []) => Some(Self::LeftOut),
            (None, kernels) => (!kernels.iter().any(|kernel| kernel.isa().is_available())).then_some(Self::NotHere),
        }
    }
}

impl fmt::Display for Untested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uncovered(what) => write!(f, "no kernel covers {what}"),
            Self::LeftOut => f.write_str("this build leaves its kernels out"),
            Self::NotHere => f.write_str("this processor runs none of its kernels"),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { format, decoded, encoded, packed, kernels, products, untested } = self;
        write!(f, "{format}: {decoded} weights decoded, {encoded} encoded")?;
        match untested {
            Some(why) => write!(f, ": right, and not one product was tested: {why}"),
            None => write!(f, ", {packed} packed and unpacked, {products} products by {kernels} kernels: all right"),
        }
    }
}

/// What is wrong with a format.
#[derive(Debug, thiserror::Error)]
#[error("{format}: {what}")]
#[non_exhaustive]
pub struct Failure {
    /// Name of the format.
    pub format: &'static str,
    /// What was compared, where it differs, and how.
    pub what: String,
}

impl Failure {
    fn new(format: &Format, what: impl fmt::Display) -> Self {
        Self { format: format.name, what: what.to_string() }
    }
}

/// Checks a format on this processor: its decoder, its encoder, its packer and all its kernels. It need not be registered.
///
/// [`decoding`], [`encoding`], [`packing`] and [`products`] say what is compared. Of a format without kernels there are no products:
/// [`Report::untested`] then says why. Whoever means to multiply asserts that it is `None`.
///
/// # Errors
/// The first thing that is wrong.
pub fn check(format: &'static Format) -> Result<Report, Failure> {
    let decoded = decoding(format)?;
    let encoded = encoding(format)?;
    let packed = packing(format)?;
    let products = products(format)?;
    let kernels = kernels(format).iter().filter(|kernel| kernel.isa().is_available()).count();
    Ok(Report { format: format.name, decoded, encoded, packed, kernels, products, untested: Untested::of(format) })
}

/// Whether two results are the same: one NaN is as good as another.
fn same(found: f32, wanted: f32) -> bool {
    found.to_bits() == wanted.to_bits() || (found.is_nan() && wanted.is_nan())
}

/// The checked card of a format.
fn card(format: &'static Format) -> Result<&'static model::Format, Failure> {
    registry::model(format).map_err(|wrong| Failure::new(format, wrong))
}

#[cfg(test)]
mod tests;
