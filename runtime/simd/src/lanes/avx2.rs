//! 8 lanes: AVX2 with FMA and F16C.

use core::arch::x86_64::*;

pub mod pairs_i16;
pub mod quads_i32;

/// 8 lanes of integers.
pub type I = __m256i;
/// 8 lanes of f32.
pub type F = __m256;
/// 16 bytes to look up, in each half of a vector.
pub type Palette = __m256i;
/// 32 bytes to look up, in two palettes.
pub type Palette32 = [Palette; 2];
/// 16 f32 to look up.
pub type Table = [__m256; 2];
/// Lanes of a vector.
pub const LANES: usize = 8;

super::after!("avx2,fma,f16c", ymm_reg, "/* {pointer} {value} */");

super::vocabulary! { "avx2,fma,f16c":
    /// Zeros.
    fn zero_i() -> I { _mm256_setzero_si256() }
    /// Zeros.
    fn zero_f() -> F { _mm256_setzero_ps() }
    /// One integer in all lanes.
    fn splat_i(value: i32) -> I { _mm256_set1_epi32(value) }
    /// Four quants of a column, which meet every row's codes.
    fn quants(four: i32) -> I { splat_i(four) }
    /// One f32 in all lanes.
    fn splat_f(value: f32) -> F { _mm256_set1_ps(value) }
    /// The given bits of every byte.
    fn mask(a: I, bits: u8) -> I { _mm256_and_si256(a, _mm256_set1_epi8(bits as i8)) }
    /// Every byte shifted right, where the bits that come in from its neighbour are masked away next.
    fn shr<const BITS: i32>(a: I) -> I { _mm256_srli_epi16::<BITS>(a) }
    /// Every byte shifted left, where the bits that come in from its neighbour are masked away next.
    fn shl<const BITS: i32>(a: I) -> I { _mm256_slli_epi16::<BITS>(a) }
    /// Bitwise or.
    fn or(a: I, b: I) -> I { _mm256_or_si256(a, b) }
    /// Every byte with its upper bit turned: as a signed byte, 128 less.
    fn less_128(codes: I) -> I { _mm256_xor_si256(codes, _mm256_set1_epi8(-128)) }
    /// `a + b`, 32 bits.
    fn add_i(a: I, b: I) -> I { _mm256_add_epi32(a, b) }
    /// Every lane moved down, as a signed number.
    fn lower<const BITS: i32>(a: I) -> I { _mm256_srai_epi32::<BITS>(a) }
    /// Rounds to nearest even.
    fn to_float(a: I) -> F { _mm256_cvtepi32_ps(a) }
    /// A palette of 16.
    fn palette(bytes: &[u8; 32]) -> Palette { palette_32(bytes)[0] }
    /// A palette of 32.
    fn palette_32(bytes: &[u8; 32]) -> Palette32 {
        // SAFETY: the reference covers the 32 bytes that are read.
        let halves = unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) };
        [_mm256_permute2x128_si256::<0x00>(halves, halves), _mm256_permute2x128_si256::<0x11>(halves, halves)]
    }
    /// A palette of 16 bytes less `ZERO`.
    fn signed_palette<const ZERO: u8>(bytes: &[u8; 32]) -> Palette { signed_palette_32::<ZERO>(bytes)[0] }
    /// A palette of 32 bytes less `ZERO`.
    fn signed_palette_32<const ZERO: u8>(bytes: &[u8; 32]) -> Palette32 {
        let ([low, high], zero) = (palette_32(bytes), _mm256_set1_epi8(ZERO.cast_signed()));
        [_mm256_sub_epi8(low, zero), _mm256_sub_epi8(high, zero)]
    }
    /// The palette's byte for each byte under 16.
    fn look_up(palette: Palette, codes: I) -> I { _mm256_shuffle_epi8(palette, codes) }
    /// The palette's byte for each byte under 32.
    fn look_up_32(palette: Palette32, codes: I) -> I {
        let [low, high] = [_mm256_shuffle_epi8(palette[0], codes), _mm256_shuffle_epi8(palette[1], codes)];
        _mm256_blendv_epi8(low, high, _mm256_slli_epi16::<3>(codes))
    }
    /// A table of f32.
    fn table(values: &[f32; 16]) -> Table {
        let (halves, _) = values.as_chunks();
        [floats(&halves[0]), floats(&halves[1])]
    }
    /// The table's number for the four bits that start at bit `SHIFT` of each lane.
    fn pick<const SHIFT: i32>(table: Table, codes: I) -> F {
        let codes = _mm256_srli_epi32::<SHIFT>(codes);
        let [low, high] = [_mm256_permutevar8x32_ps(table[0], codes), _mm256_permutevar8x32_ps(table[1], codes)];
        _mm256_blendv_ps(low, high, _mm256_castsi256_ps(_mm256_slli_epi32::<28>(codes)))
    }
    /// The byte that starts at bit `SHIFT` of each lane as a signed float of four exponent and three mantissa bits; a magnitude of 0x7F
    /// is not a number.
    fn e4m3<const SHIFT: i32>(a: I) -> F {
        let largest = _mm256_set1_epi32(0x7f);
        let nan = _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_srli_epi32::<SHIFT>(a), largest), largest);
        _mm256_blendv_ps(e4m3_number::<SHIFT>(a), splat_f(f32::NAN), _mm256_castsi256_ps(nan))
    }
    /// The same of a byte that is a number. Its bits are those of an f32 whose exponent is 120 too small.
    fn e4m3_number<const SHIFT: i32>(a: I) -> F {
        let top = _mm256_sllv_epi32(a, _mm256_set1_epi32(24 - SHIFT));
        let bits = _mm256_and_si256(_mm256_srai_epi32::<4>(top), _mm256_set1_epi32(0x87f0_0000_u32.cast_signed()));
        mul(_mm256_castsi256_ps(bits), splat_f(f32::from_bits(247 << 23)))
    }
    /// The largest magnitude of each byte so far.
    fn magnitudes(so_far: I, a: I) -> I { _mm256_max_epu8(so_far, mask(a, 0x7f)) }
    /// `sum`, or not a number in lanes that have a magnitude of 0x7F.
    fn unless_nan(sum: F, magnitudes: I) -> F {
        let largest = _mm256_cmpeq_epi8(magnitudes, _mm256_set1_epi8(0x7f));
        let none = _mm256_cmpeq_epi32(largest, zero_i());
        _mm256_blendv_ps(splat_f(f32::NAN), sum, _mm256_castsi256_ps(none))
    }
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
    /// `a * b`, the first of a sum that starts at +0. (A multiplication, although it needs no zero, is never faster: 0 to 4% slower at batch 1.)
    fn first_product(a: F, b: F) -> F { fma(a, b, zero_f()) }
    /// `a - b * c`, rounded once.
    fn sub_product(a: F, b: F, c: F) -> F { _mm256_fnmadd_ps(b, c, a) }
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
    /// Loads upper halves of f32.
    fn bfloats(values: &[u16; 8]) -> F {
        // SAFETY: the reference covers the 16 bytes that are read.
        let halves = unsafe { _mm_loadu_si128(values.as_ptr().cast()) };
        _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(halves)))
    }
    /// `2^(x - BIAS)` of each byte x, in two factors because an f32's exponent does not reach its subnormals.
    fn powers_of_two<const BIAS: i32>(values: &[u8; 8]) -> F {
        let x = unsigned(values);
        let half = _mm256_srli_epi32::<1>(x);
        let power = |exponent, bias| {
            _mm256_castsi256_ps(_mm256_slli_epi32::<23>(_mm256_add_epi32(exponent, _mm256_set1_epi32(bias))))
        };
        mul(power(half, (254 - BIAS) / 2), power(_mm256_sub_epi32(x, half), (255 - BIAS) / 2))
    }
    /// Loads unsigned floats of four exponent and three mantissa bits: as halves they are 256 times too small; 0x7F is 0.
    fn ue4m3(values: &[u8; 8]) -> F {
        // SAFETY: the reference covers the 8 bytes that are read.
        let bytes = _mm_cvtepu8_epi16(unsafe { _mm_loadl_epi64(values.as_ptr().cast()) });
        let half = _mm_slli_epi16::<7>(_mm_and_si128(bytes, _mm_set1_epi16(0x7f)));
        let none = _mm_cmpeq_epi16(bytes, _mm_set1_epi16(0x7f));
        mul(_mm256_cvtph_ps(_mm_andnot_si128(none, half)), splat_f(256.0))
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
