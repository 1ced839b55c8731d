//! 16 lanes: AVX-512 with VNNI.

use core::arch::x86_64::*;

/// 16 lanes of integers.
pub type I = __m512i;
/// 16 lanes of f32.
pub type F = __m512;
/// Lanes of a vector.
pub const LANES: usize = 16;

super::vocabulary! { "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c":
    /// Zeros.
    fn zero_i() -> I { _mm512_setzero_si512() }
    /// Zeros.
    fn zero_f() -> F { _mm512_setzero_ps() }
    /// One integer in all lanes.
    fn splat_i(value: i32) -> I { _mm512_set1_epi32(value) }
    /// One f32 in all lanes.
    fn splat_f(value: f32) -> F { _mm512_set1_ps(value) }
    /// The bits of `MASK` of every byte.
    fn mask<const MASK: u8>(a: I) -> I { _mm512_and_si512(a, _mm512_set1_epi8(MASK as i8)) }
    /// Every byte shifted right, where the bits that come in from its neighbour are masked away next.
    fn shr<const BITS: u32>(a: I) -> I { _mm512_srli_epi16::<BITS>(a) }
    /// Every byte shifted left, where the bits that come in from its neighbour are masked away next.
    fn shl<const BITS: u32>(a: I) -> I { _mm512_slli_epi16::<BITS>(a) }
    /// Bitwise or.
    fn or(a: I, b: I) -> I { _mm512_or_si512(a, b) }
    /// `sum + the products of four unsigned codes and four signed quants`, exact.
    fn dot(sum: I, codes: I, quants: I) -> I { _mm512_dpbusd_epi32(sum, codes, quants) }
    /// `sum + the products of two pairs of 16 bits`, exact. The intrinsic would do, but LLVM, tuning for no processor in
    /// particular, turns it into two instructions: by count 4% of the vector operations of a 32x6 tile with mins.
    fn dot_pairs(sum: I, a: I, b: I) -> I {
        let mut sum = sum;
        // SAFETY: the instruction belongs to the features of this function, and reads and writes nothing but its operands.
        unsafe {
            core::arch::asm!(
                "vpdpwssd {sum}, {a}, {b}",
                sum = inout(zmm_reg) sum, a = in(zmm_reg) a, b = in(zmm_reg) b,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        sum
    }
    /// `a + b`, 32 bits.
    fn add_i(a: I, b: I) -> I { _mm512_add_epi32(a, b) }
    /// Rounds to nearest even.
    fn to_float(a: I) -> F { _mm512_cvtepi32_ps(a) }
    /// The unsigned byte that starts at bit `SHIFT` of each lane.
    fn byte<const SHIFT: u32>(a: I) -> F {
        to_float(_mm512_and_si512(_mm512_srli_epi32::<SHIFT>(a), _mm512_set1_epi32(0xff)))
    }
    /// The unsigned lower half of each lane.
    fn low_half(a: I) -> F { to_float(_mm512_and_si512(a, _mm512_set1_epi32(0xffff))) }
    /// The unsigned upper half of each lane.
    fn high_half(a: I) -> F { to_float(_mm512_srli_epi32::<16>(a)) }
    /// `a * b + c`, rounded once.
    fn fma(a: F, b: F, c: F) -> F { _mm512_fmadd_ps(a, b, c) }
    /// `a * b`.
    fn mul(a: F, b: F) -> F { _mm512_mul_ps(a, b) }
    /// `a + b`.
    fn add(a: F, b: F) -> F { _mm512_add_ps(a, b) }
    /// `a - b`.
    fn sub(a: F, b: F) -> F { _mm512_sub_ps(a, b) }
    /// Loads quads.
    fn line(bytes: &[u8; 64]) -> I {
        // SAFETY: the reference covers the 64 bytes that are read.
        unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
    }
    /// Stores quads.
    fn store_line(bytes: &mut [u8; 64], a: I) {
        // SAFETY: the reference covers the 64 bytes that are written.
        unsafe { _mm512_storeu_si512(bytes.as_mut_ptr().cast(), a) }
    }
    /// Loads f32.
    fn floats(values: &[f32; 16]) -> F {
        // SAFETY: the reference covers the 64 bytes that are read.
        unsafe { _mm512_loadu_ps(values.as_ptr()) }
    }
    /// Stores f32.
    fn store_floats(values: &mut [f32; 16], a: F) {
        // SAFETY: the reference covers the 64 bytes that are written.
        unsafe { _mm512_storeu_ps(values.as_mut_ptr(), a) }
    }
    /// Loads half-precision numbers.
    fn halves(values: &[u16; 16]) -> F {
        // SAFETY: the reference covers the 32 bytes that are read.
        _mm512_cvtph_ps(unsafe { _mm256_loadu_si256(values.as_ptr().cast()) })
    }
    /// Loads unsigned bytes into lanes.
    fn unsigned(values: &[u8; 16]) -> I {
        // SAFETY: the reference covers the 16 bytes that are read.
        _mm512_cvtepu8_epi32(unsafe { _mm_loadu_si128(values.as_ptr().cast()) })
    }
    /// Loads signed bytes into lanes.
    fn signed(values: &[u8; 16]) -> I {
        // SAFETY: the reference covers the 16 bytes that are read.
        _mm512_cvtepi8_epi32(unsafe { _mm_loadu_si128(values.as_ptr().cast()) })
    }
    /// Loads pairs of unsigned bytes into the halves of lanes.
    fn pairs(values: &[[u8; 2]; 16]) -> I {
        // SAFETY: the reference covers the 32 bytes that are read.
        _mm512_cvtepu8_epi16(unsafe { _mm256_loadu_si256(values.as_ptr().cast()) })
    }
}
