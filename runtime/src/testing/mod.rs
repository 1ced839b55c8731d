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

mod decoding;
mod definition;
mod packing;
mod products;
mod samples;

use std::fmt;

pub use decoding::decoding;
pub use definition::{Definition, Row, Units};
pub use packing::packing;
pub use products::products;
use quantloom_spec::model;

use crate::registry::{self, Format, kernels};

/// What [`check`] compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Name of the format.
    pub format: &'static str,
    /// Weights that were decoded.
    pub decoded: usize,
    /// Weights that were packed and taken out again.
    pub packed: usize,
    /// Kernels that run on this processor.
    pub kernels: usize,
    /// Multiplications by those kernels.
    pub products: usize,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { format, decoded, packed, kernels, products } = self;
        write!(
            f,
            "{format}: {decoded} weights decoded, {packed} packed and unpacked, {products} products by {kernels} kernels: all right"
        )
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

/// Checks a format on this processor: its decoder, its packer and all its kernels. It need not be registered.
///
/// [`decoding`], [`packing`] and [`products`] say what is compared. A format without kernels is only decoded.
///
/// # Errors
/// The first thing that is wrong.
pub fn check(format: &'static Format) -> Result<Report, Failure> {
    let decoded = decoding(format)?;
    let packed = packing(format)?;
    let products = products(format)?;
    let kernels = kernels(format).iter().filter(|kernel| kernel.isa().is_available()).count();
    Ok(Report { format: format.name, decoded, packed, kernels, products })
}

/// The checked card of a format.
fn card(format: &Format) -> Result<model::Format, Failure> {
    registry::model(format).map_err(|wrong| Failure::new(format, wrong))
}

#[cfg(test)]
mod tests;
