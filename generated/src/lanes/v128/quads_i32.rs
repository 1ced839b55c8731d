//! Four products of unsigned and signed bytes added to 32 bits: the 8-bit matrix extension of Armv8.6.

pub use super::*;

crate::lanes::vocabulary! { "neon,dotprod,i8mm":
    /// `sum + the products of four unsigned codes and four signed quants`, exact.
    fn dot(sum: I, codes: I, quants: I) -> I { super::dot!("usdot", sum, codes, quants) }
}
