//! Four products of signed bytes added to 32 bits: the dot products of Armv8.2.

#[doc(no_inline)]
pub use super::*;

crate::lanes::vocabulary! { "neon,dotprod":
    /// Four quants of a column, which meet every row's codes.
    fn quants(four: i32) -> I { super::lane_0(four) }
    /// `sum + the products of four signed codes and four signed quants`, exact.
    fn dot(sum: I, codes: I, quants: I) -> I { super::dot!("sdot", sum, codes, quants, "4b[0]") }
}
