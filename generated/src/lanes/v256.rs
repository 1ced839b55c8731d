//! 8 lanes: AVX2 with FMA and F16C.

use core::arch::x86_64::*;

/// 8 lanes of integers.
pub type I = __m256i;
/// 8 lanes of f32.
pub type F = __m256;
/// Lanes of a vector.
pub const LANES: usize = 8;

super::vocabulary! { "avx2,fma,f16c":
    /// Zeros.
    fn zero_i() -> I { _mm256_setzero_si256() }
    /// Zeros.
    fn zero_f() -> F { _mm256_setzero_ps() }
    /// One integer in all lanes.
    fn splat_i(value: i32) -> I { _mm256_set1_epi32(value) }
    /// One f32 in all lanes.
    fn splat_f(value: f32) -> F { _mm256_set1_ps(value) }
    /// The bits of `MASK` of every byte.
    fn mask<const MASK: u8>(a: I) -> I { _mm256_and_si256(a, _mm256_set1_epi8(MASK as i8)) }
    /// Every byte shifted right, where the bits that come in from its neighbour are masked away next.
    fn shr<const BITS: i32>(a: I) -> I { _mm256_srli_epi16::<BITS>(a) }
    /// Every byte shifted left, where the bits that come in from its neighbour are masked away next.
    fn shl<const BITS: i32>(a: I) -> I { _mm256_slli_epi16::<BITS>(a) }
    /// Bitwise or.
    fn or(a: I, b: I) -> I { _mm256_or_si256(a, b) }
    /// The products of four unsigned codes and four signed quants, added in pairs to 16 bits; the generator proves that they fit.
    fn products(codes: I, quants: I) -> I { _mm256_maddubs_epi16(codes, quants) }
    /// The same for codes whose level is `code - 128`: the sign of the level moves to the quants, so that pairs fit 16 bits.
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
    /// `a + b`, 32 bits.
    fn add_i(a: I, b: I) -> I { _mm256_add_epi32(a, b) }
    /// Rounds to nearest even.
    fn to_float(a: I) -> F { _mm256_cvtepi32_ps(a) }
    /// The unsigned byte that starts at bit `SHIFT` of each lane.
    fn byte<const SHIFT: i32>(a: I) -> F {
        to_float(_mm256_and_si256(_mm256_srli_epi32::<SHIFT>(a), _mm256_set1_epi32(0xff)))
    }
    /// The unsigned lower half of each lane.
    fn low_half(a: I) -> F { to_float(_mm256_and_si256(a, _mm256_set1_epi32(0xffff))) }
    /// The unsigned upper half of each lane.
    fn high_half(a: I) -> F { to_float(_mm256_srli_epi32::<16>(a)) }
    /// `a * b + c`, rounded once.
    fn fma(a: F, b: F, c: F) -> F { _mm256_fmadd_ps(a, b, c) }
    /// `a * b`.
    fn mul(a: F, b: F) -> F { _mm256_mul_ps(a, b) }
    /// `a + b`.
    fn add(a: F, b: F) -> F { _mm256_add_ps(a, b) }
    /// `a - b`.
    fn sub(a: F, b: F) -> F { _mm256_sub_ps(a, b) }
    /// Loads quads.
    fn line(bytes: &[u8; 32]) -> I {
        // SAFETY: the reference covers the 32 bytes that are read.
        unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
    }
    /// Stores quads.
    fn store_line(bytes: &mut [u8; 32], a: I) {
        // SAFETY: the reference covers the 32 bytes that are written.
        unsafe { _mm256_storeu_si256(bytes.as_mut_ptr().cast(), a) }
    }
    /// Loads f32.
    fn floats(values: &[f32; 8]) -> F {
        // SAFETY: the reference covers the 32 bytes that are read.
        unsafe { _mm256_loadu_ps(values.as_ptr()) }
    }
    /// Stores f32.
    fn store_floats(values: &mut [f32; 8], a: F) {
        // SAFETY: the reference covers the 32 bytes that are written.
        unsafe { _mm256_storeu_ps(values.as_mut_ptr(), a) }
    }
    /// Loads half-precision numbers.
    fn halves(values: &[u16; 8]) -> F {
        // SAFETY: the reference covers the 16 bytes that are read.
        _mm256_cvtph_ps(unsafe { _mm_loadu_si128(values.as_ptr().cast()) })
    }
    /// Loads unsigned bytes into lanes.
    fn unsigned(values: &[u8; 8]) -> I {
        // SAFETY: the reference covers the 8 bytes that are read.
        _mm256_cvtepu8_epi32(unsafe { _mm_loadl_epi64(values.as_ptr().cast()) })
    }
    /// Loads signed bytes into lanes.
    fn signed(values: &[u8; 8]) -> I {
        // SAFETY: the reference covers the 8 bytes that are read.
        _mm256_cvtepi8_epi32(unsafe { _mm_loadl_epi64(values.as_ptr().cast()) })
    }
    /// Loads pairs of unsigned bytes into the halves of lanes.
    fn pairs(values: &[[u8; 2]; 8]) -> I {
        // SAFETY: the reference covers the 16 bytes that are read.
        _mm256_cvtepu8_epi16(unsafe { _mm_loadu_si128(values.as_ptr().cast()) })
    }
}
