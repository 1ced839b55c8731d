//! Products of bytes added in pairs to 16 bits: AVX2.

#[doc(no_inline)]
pub use super::*;

crate::lanes::vocabulary! { "avx2,fma,f16c":
    /// The products of four unsigned codes and four signed quants, added in pairs to 16 bits; the generator proves that they fit.
    fn products(codes: I, quants: I) -> I { _mm256_maddubs_epi16(codes, quants) }
    /// The same for signed codes, whose sign moves to the quants.
    fn signed_products(codes: I, quants: I) -> I {
        _mm256_maddubs_epi16(_mm256_abs_epi8(codes), _mm256_sign_epi8(quants, codes))
    }
    /// Adds pair by pair, 16 bits.
    fn add_products(a: I, b: I) -> I { _mm256_add_epi16(a, b) }
    /// `sum + both pair sums` of each lane.
    fn widen(sum: I, products: I) -> I { dot_pairs(sum, products, _mm256_set1_epi16(1)) }
    /// `sum + the products of two pairs of 16 bits`, exact.
    fn dot_pairs(sum: I, a: I, b: I) -> I { _mm256_add_epi32(sum, _mm256_madd_epi16(a, b)) }
}
