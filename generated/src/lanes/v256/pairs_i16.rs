//! Products of bytes added in pairs to 16 bits: AVX2.

pub use super::*;

crate::lanes::vocabulary! { "avx2,fma,f16c":
    /// The products of four unsigned codes and four signed quants, added in pairs to 16 bits; the generator proves that they fit.
    fn products(codes: I, quants: I) -> I { _mm256_maddubs_epi16(codes, quants) }
    /// The same for `code - 128`, whose sign moves to the quants, so that pairs fit 16 bits.
    fn products_128(codes: I, quants: I) -> I {
        let levels = _mm256_xor_si256(codes, _mm256_set1_epi8(-128));
        _mm256_maddubs_epi16(_mm256_abs_epi8(levels), _mm256_sign_epi8(quants, levels))
    }
    /// Adds pair by pair, 16 bits.
    fn add_products(a: I, b: I) -> I { _mm256_add_epi16(a, b) }
    /// `sum + both pair sums` of each lane.
    fn widen(sum: I, products: I) -> I { dot_pairs(sum, products, _mm256_set1_epi16(1)) }
    /// `sum + the products of two pairs of 16 bits`, exact.
    fn dot_pairs(sum: I, a: I, b: I) -> I { _mm256_add_epi32(sum, _mm256_madd_epi16(a, b)) }
}
