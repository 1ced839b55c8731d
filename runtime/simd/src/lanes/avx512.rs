//! 16 lanes: AVX-512 with its instructions for bytes, words and doublewords.

use core::arch::x86_64::*;

pub mod pairs_i16;
pub mod quads_i32;

/// 16 lanes of integers.
pub type I = __m512i;
/// 16 lanes of f32.
pub type F = __m512;
/// 16 bytes to look up, in each quarter of a vector.
pub type Palette = __m512i;
/// 32 bytes to look up, in two palettes.
pub type Palette32 = [Palette; 2];
/// 16 f32 to look up.
pub type Table = __m512;
/// Lanes of a vector.
pub const LANES: usize = 16;

super::after!("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c", zmm_reg, "/* {pointer} {value} */");

super::vocabulary! { "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c":
    /// Zeros.
    fn zero_i() -> I { _mm512_setzero_si512() }
    /// Zeros.
    fn zero_f() -> F { _mm512_setzero_ps() }
    /// One integer in all lanes.
    fn splat_i(value: i32) -> I { _mm512_set1_epi32(value) }
    /// Four quants of a column, which meet every row's codes.
    fn quants(four: i32) -> I { splat_i(four) }
    /// One f32 in all lanes.
    fn splat_f(value: f32) -> F { _mm512_set1_ps(value) }
    /// The given bits of every byte.
    fn mask(a: I, bits: u8) -> I { _mm512_and_si512(a, _mm512_set1_epi8(bits as i8)) }
    /// Every byte shifted right, where the bits that come in from its neighbour are masked away next.
    fn shr<const BITS: u32>(a: I) -> I { _mm512_srli_epi16::<BITS>(a) }
    /// Every byte shifted left, where the bits that come in from its neighbour are masked away next.
    fn shl<const BITS: u32>(a: I) -> I { _mm512_slli_epi16::<BITS>(a) }
    /// Bitwise or.
    fn or(a: I, b: I) -> I { _mm512_or_si512(a, b) }
    /// Every byte with its upper bit turned: as a signed byte, 128 less.
    fn less_128(codes: I) -> I { _mm512_xor_si512(codes, _mm512_set1_epi8(-128)) }
    /// `a + b`, 32 bits.
    fn add_i(a: I, b: I) -> I { _mm512_add_epi32(a, b) }
    /// Every lane moved down, as a signed number.
    fn lower<const BITS: u32>(a: I) -> I { _mm512_srai_epi32::<BITS>(a) }
    /// Rounds to nearest even.
    fn to_float(a: I) -> F { _mm512_cvtepi32_ps(a) }
    /// A palette of 16.
    fn palette(bytes: &[u8; 32]) -> Palette { palette_32(bytes)[0] }
    /// A palette of 32.
    fn palette_32(bytes: &[u8; 32]) -> Palette32 {
        // SAFETY: the reference covers the 32 bytes that are read.
        let halves = unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) };
        let [low, high] = [_mm256_castsi256_si128(halves), _mm256_extracti128_si256::<1>(halves)];
        [_mm512_broadcast_i32x4(low), _mm512_broadcast_i32x4(high)]
    }
    /// A palette of 16 bytes less `ZERO`.
    fn signed_palette<const ZERO: u8>(bytes: &[u8; 32]) -> Palette { signed_palette_32::<ZERO>(bytes)[0] }
    /// A palette of 32 bytes less `ZERO`.
    fn signed_palette_32<const ZERO: u8>(bytes: &[u8; 32]) -> Palette32 {
        let ([low, high], zero) = (palette_32(bytes), _mm512_set1_epi8(ZERO.cast_signed()));
        [_mm512_sub_epi8(low, zero), _mm512_sub_epi8(high, zero)]
    }
    /// The palette's byte for each byte under 16.
    fn look_up(palette: Palette, codes: I) -> I { _mm512_shuffle_epi8(palette, codes) }
    /// The palette's byte for each byte under 32.
    fn look_up_32(palette: Palette32, codes: I) -> I {
        let upper = _mm512_test_epi8_mask(codes, _mm512_set1_epi8(16));
        let low = _mm512_shuffle_epi8(palette[0], codes);
        _mm512_mask_shuffle_epi8(low, upper, palette[1], codes)
    }
    /// A table of f32.
    fn table(values: &[f32; 16]) -> Table { floats(values) }
    /// The table's number for the four bits that start at bit `SHIFT` of each lane.
    fn pick<const SHIFT: u32>(table: Table, codes: I) -> F { _mm512_permutexvar_ps(_mm512_srli_epi32::<SHIFT>(codes), table) }
    /// The byte that starts at bit `SHIFT` of each lane as a signed float of four exponent and three mantissa bits; a magnitude of 0x7F
    /// is not a number.
    fn e4m3<const SHIFT: u32>(a: I) -> F {
        let largest = _mm512_set1_epi32(0x7f);
        let nan = _mm512_cmpeq_epi32_mask(_mm512_and_si512(_mm512_srli_epi32::<SHIFT>(a), largest), largest);
        _mm512_mask_blend_ps(nan, e4m3_number::<SHIFT>(a), splat_f(f32::NAN))
    }
    /// The same of a byte that is a number. Its bits are those of an f32 whose exponent is 120 too small.
    fn e4m3_number<const SHIFT: u32>(a: I) -> F {
        let top = _mm512_sllv_epi32(a, _mm512_set1_epi32(24 - SHIFT.cast_signed()));
        let bits = _mm512_and_si512(_mm512_srai_epi32::<4>(top), _mm512_set1_epi32(0x87f0_0000_u32.cast_signed()));
        mul(_mm512_castsi512_ps(bits), splat_f(f32::from_bits(247 << 23)))
    }
    /// The largest magnitude of each byte so far.
    fn magnitudes(so_far: I, a: I) -> I { _mm512_max_epu8(so_far, mask(a, 0x7f)) }
    /// `sum`, or not a number in lanes that have a magnitude of 0x7F.
    fn unless_nan(sum: F, magnitudes: I) -> F {
        let largest = _mm512_movm_epi8(_mm512_cmpeq_epi8_mask(magnitudes, _mm512_set1_epi8(0x7f)));
        _mm512_mask_blend_ps(_mm512_test_epi32_mask(largest, largest), sum, splat_f(f32::NAN))
    }
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
    /// `a * b`, the first of a sum that starts at +0. (A multiplication, although it needs no zero, is never faster: 0 to 4% slower at batch 1.)
    fn first_product(a: F, b: F) -> F { fma(a, b, zero_f()) }
    /// `a - b * c`, rounded once.
    fn sub_product(a: F, b: F, c: F) -> F { _mm512_fnmadd_ps(b, c, a) }
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
    /// Loads upper halves of f32.
    fn bfloats(values: &[u16; 16]) -> F {
        // SAFETY: the reference covers the 32 bytes that are read.
        let halves = unsafe { _mm256_loadu_si256(values.as_ptr().cast()) };
        _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(halves)))
    }
    /// `2^(x - BIAS)` of each byte x, in two factors because an f32's exponent does not reach its subnormals.
    fn powers_of_two<const BIAS: i32>(values: &[u8; 16]) -> F {
        let x = unsigned(values);
        let half = _mm512_srli_epi32::<1>(x);
        let power = |exponent, bias| {
            _mm512_castsi512_ps(_mm512_slli_epi32::<23>(_mm512_add_epi32(exponent, _mm512_set1_epi32(bias))))
        };
        mul(power(half, (254 - BIAS) / 2), power(_mm512_sub_epi32(x, half), (255 - BIAS) / 2))
    }
    /// Loads unsigned floats of four exponent and three mantissa bits: as halves they are 256 times too small; 0x7F is 0.
    fn ue4m3(values: &[u8; 16]) -> F {
        // SAFETY: the reference covers the 16 bytes that are read.
        let bytes = _mm256_cvtepu8_epi16(unsafe { _mm_loadu_si128(values.as_ptr().cast()) });
        let half = _mm256_slli_epi16::<7>(_mm256_and_si256(bytes, _mm256_set1_epi16(0x7f)));
        let none = _mm256_cmpeq_epi16(bytes, _mm256_set1_epi16(0x7f));
        mul(_mm512_cvtph_ps(_mm256_andnot_si256(none, half)), splat_f(256.0))
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
