//! Four products of signed bytes added to 32 bits: the dot products of Armv8.2.

pub use super::*;

crate::lanes::vocabulary! { "neon,dotprod":
    /// Four quants of a column, which meet every row's codes.
    fn quants(four: i32) -> I { super::lane_0(four) }
    /// `sum + the products of four codes under 128 and four signed quants`, exact.
    fn dot(sum: I, codes: I, quants: I) -> I { super::dot!("sdot", sum, codes, quants, "4b[0]") }
    /// The same for `code - 128`.
    fn dot_128(sum: I, codes: I, quants: I) -> I { super::dot!("sdot", sum, less_128(codes), quants, "4b[0]") }
}
