//! Products of bytes added in pairs to 16 bits: AVX-512 without more.

#[doc(no_inline)]
pub use super::*;

crate::lanes::vocabulary! { "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c":
    /// The products of four unsigned codes and four signed quants, added in pairs to 16 bits; the generator proves that they fit.
    fn products(codes: I, quants: I) -> I { _mm512_maddubs_epi16(codes, quants) }
    /// The same for signed codes, whose sign moves to the quants. No instruction moves a sign here: the quants of codes below 0 are
    /// subtracted from 0, and those of codes that are 0 may stay.
    fn signed_products(codes: I, quants: I) -> I {
        let signed = _mm512_mask_sub_epi8(quants, _mm512_movepi8_mask(codes), _mm512_setzero_si512(), quants);
        _mm512_maddubs_epi16(_mm512_abs_epi8(codes), signed)
    }
    /// Adds pair by pair, 16 bits.
    fn add_products(a: I, b: I) -> I { _mm512_add_epi16(a, b) }
    /// `sum + both pair sums` of each lane.
    fn widen(sum: I, products: I) -> I { dot_pairs(sum, products, _mm512_set1_epi16(1)) }
    /// `sum + the products of two pairs of 16 bits`, exact.
    fn dot_pairs(sum: I, a: I, b: I) -> I { _mm512_add_epi32(sum, _mm512_madd_epi16(a, b)) }
}
