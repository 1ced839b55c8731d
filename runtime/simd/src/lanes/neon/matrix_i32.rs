//! Products of matrices of unsigned and signed bytes added to 32 bits: the 8-bit matrix extension of Armv8.6.
//!
//! A matrix of codes is two rows of eight, two quads each: lanes 0 and 1 of two row vectors, or lanes 2 and 3, in turn. A matrix of
//! quants is two columns of eight, likewise. Their product is the first row's dots with both columns, then the second row's.

#[doc(no_inline)]
pub use super::*;

crate::lanes::vocabulary! { "neon,dotprod,i8mm":
    /// Four quants of a column, which meet every row's codes.
    fn quants(four: i32) -> I { super::lane_0(four) }
    /// `sum + the products of four unsigned codes and four signed quants`, exact.
    fn dot(sum: I, codes: I, quants: I) -> I { super::dot!("usdot", sum, codes, quants, "4b[0]") }
    /// `sum + the products of two rows of eight unsigned codes with two columns of eight signed quants`, exact.
    fn dot_matrix(sum: I, codes: I, quants: I) -> I { super::dot!("usmmla", sum, codes, quants, "16b") }
    /// Two numbers in lanes 0 and 1, and in 2 and 3.
    fn splat_two(first: i32, second: i32) -> I { vreinterpretq_u32_u64(vdupq_n_u64(two(first, second))) }
    /// Two numbers in lanes 0 and 1.
    fn first_two(first: i32, second: i32) -> I {
        vreinterpretq_u32_u64(vcombine_u64(vcreate_u64(two(first, second)), vcreate_u64(0)))
    }
    /// Two numbers as they lie in memory.
    fn two(first: i32, second: i32) -> u64 {
        u64::from(first.cast_unsigned()) | u64::from(second.cast_unsigned()) << 32
    }
    /// Lanes 0 and 1 of `a` and `b` in turn.
    fn low_turns(a: I, b: I) -> I { vzip1q_u32(a, b) }
    /// Lanes 2 and 3 of `a` and `b` in turn.
    fn high_turns(a: I, b: I) -> I { vzip2q_u32(a, b) }
    /// Lanes 0 and 2 of `a`, then of `b`: from the products of four rows, their dots with the first column.
    fn even(a: I, b: I) -> I { vuzp1q_u32(a, b) }
    /// Lanes 1 and 3 of `a`, then of `b`: those with the second column.
    fn odd(a: I, b: I) -> I { vuzp2q_u32(a, b) }
}
