//! 4 lanes: NEON, with or without its products of bytes in 32 bits.

use core::arch::aarch64::*;

pub mod matrix_i32;
pub mod products_i16;
pub mod signed_quads_i32;

/// 4 lanes of integers.
pub type I = uint32x4_t;
/// 4 lanes of f32.
pub type F = float32x4_t;
/// 16 bytes to look up.
pub type Palette = uint8x16_t;
/// 32 bytes to look up.
pub type Palette32 = uint8x16x2_t;
/// 16 f32 to look up, as bytes.
pub type Table = uint8x16x4_t;
/// Lanes of a vector.
pub const LANES: usize = 4;

/// `sum + the products of bytes`, by one of the dot instructions or one that multiplies matrices, for which the library has no stable functions.
macro_rules! dot {
    ($instruction:literal, $sum:ident, $codes:expr, $quants:ident, $operand:literal) => {{
        let (mut sum, codes) = ($sum, $codes);
        // SAFETY: the instruction belongs to the features of this function, and reads and writes nothing but its operands.
        unsafe {
            core::arch::asm!(
                concat!($instruction, " {sum:v}.4s, {codes:v}.16b, {quants:v}.", $operand),
                sum = inout(vreg) sum, codes = in(vreg) codes, quants = in(vreg) $quants,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        sum
    }};
}
use dot;

super::after!("neon", vreg, "/* {pointer} {value:v} */");

super::vocabulary! { "neon":
    /// Zeros.
    fn zero_i() -> I { vdupq_n_u32(0) }
    /// Zeros.
    fn zero_f() -> F { vdupq_n_f32(0.0) }
    /// One integer in all lanes.
    fn splat_i(value: i32) -> I { vdupq_n_u32(value.cast_unsigned()) }
    /// One integer in lane 0, which loads do by themselves; to fill all lanes takes an instruction more.
    fn lane_0(value: i32) -> I { vsetq_lane_u32::<0>(value.cast_unsigned(), zero_i()) }
    /// One f32 in all lanes.
    fn splat_f(value: f32) -> F { vdupq_n_f32(value) }
    /// The given bits of every byte.
    fn mask(a: I, bits: u8) -> I { vreinterpretq_u32_u8(vandq_u8(vreinterpretq_u8_u32(a), vdupq_n_u8(bits))) }
    /// Every byte shifted right.
    fn shr<const BITS: i32>(a: I) -> I { vreinterpretq_u32_u8(vshrq_n_u8::<BITS>(vreinterpretq_u8_u32(a))) }
    /// Every byte shifted left.
    fn shl<const BITS: i32>(a: I) -> I { vreinterpretq_u32_u8(vshlq_n_u8::<BITS>(vreinterpretq_u8_u32(a))) }
    /// Bitwise or.
    fn or(a: I, b: I) -> I { vorrq_u32(a, b) }
    /// Every byte with its upper bit turned: as a signed byte, 128 less.
    fn less_128(codes: I) -> I { veorq_u32(codes, splat_i(i32::from_ne_bytes([128; 4]))) }
    /// `sum + the products of two pairs of 16 bits`, exact.
    fn dot_pairs(sum: I, a: I, b: I) -> I {
        let (a, b) = (vreinterpretq_s16_u32(a), vreinterpretq_s16_u32(b));
        let (first, last) = (vmull_s16(vget_low_s16(a), vget_low_s16(b)), vmull_high_s16(a, b));
        add_i(sum, vreinterpretq_u32_s32(vpaddq_s32(first, last)))
    }
    /// `a + b`, 32 bits.
    fn add_i(a: I, b: I) -> I { vaddq_u32(a, b) }
    /// Every lane moved down, as a signed number.
    fn lower<const BITS: i32>(a: I) -> I { vreinterpretq_u32_s32(vshrq_n_s32::<BITS>(vreinterpretq_s32_u32(a))) }
    /// Rounds to nearest even.
    fn to_float(a: I) -> F { vcvtq_f32_s32(vreinterpretq_s32_u32(a)) }
    /// A palette of 16.
    fn palette(bytes: &[u8; 32]) -> Palette { palette_32(bytes).0 }
    /// A palette of 32.
    fn palette_32(bytes: &[u8; 32]) -> Palette32 {
        // SAFETY: the reference covers the 32 bytes that are read.
        unsafe { vld1q_u8_x2(bytes.as_ptr()) }
    }
    /// A palette of 16 bytes less `ZERO`.
    fn signed_palette<const ZERO: u8>(bytes: &[u8; 32]) -> Palette { vsubq_u8(palette(bytes), vdupq_n_u8(ZERO)) }
    /// A palette of 32 bytes less `ZERO`.
    fn signed_palette_32<const ZERO: u8>(bytes: &[u8; 32]) -> Palette32 {
        let (uint8x16x2_t(low, high), zero) = (palette_32(bytes), vdupq_n_u8(ZERO));
        uint8x16x2_t(vsubq_u8(low, zero), vsubq_u8(high, zero))
    }
    /// The palette's byte for each byte under 16.
    fn look_up(palette: Palette, codes: I) -> I { vreinterpretq_u32_u8(vqtbl1q_u8(palette, vreinterpretq_u8_u32(codes))) }
    /// The palette's byte for each byte under 32.
    fn look_up_32(palette: Palette32, codes: I) -> I { vreinterpretq_u32_u8(vqtbl2q_u8(palette, vreinterpretq_u8_u32(codes))) }
    /// A table of f32.
    fn table(values: &[f32; 16]) -> Table {
        // SAFETY: the reference covers the 64 bytes that are read.
        unsafe { vld1q_u8_x4(values.as_ptr().cast()) }
    }
    /// The table's number for the four bits that start at bit `SHIFT` of each lane.
    fn pick<const SHIFT: i32>(table: Table, codes: I) -> F {
        let code = vandq_u32(shift_right::<SHIFT>(codes), vdupq_n_u32(15));
        // A code's four bytes begin at four times the code.
        let places = vmlaq_u32(vdupq_n_u32(0x0302_0100), code, vdupq_n_u32(0x0404_0404));
        vreinterpretq_f32_u8(vqtbl4q_u8(table, vreinterpretq_u8_u32(places)))
    }
    /// Every lane shifted right, by 0 too.
    fn shift_right<const BITS: i32>(a: I) -> I { vshlq_u32(a, vdupq_n_s32(-BITS)) }
    /// The byte that starts at bit `SHIFT` of each lane as a signed float of four exponent and three mantissa bits; a magnitude of 0x7F
    /// is not a number.
    fn e4m3<const SHIFT: i32>(a: I) -> F {
        let largest = vdupq_n_u32(0x7f);
        let nan = vceqq_u32(vandq_u32(shift_right::<SHIFT>(a), largest), largest);
        vbslq_f32(nan, splat_f(f32::NAN), e4m3_number::<SHIFT>(a))
    }
    /// The same of a byte that is a number. Its bits are those of an f32 whose exponent is 120 too small.
    fn e4m3_number<const SHIFT: i32>(a: I) -> F {
        let top = vreinterpretq_s32_u32(vshlq_u32(a, vdupq_n_s32(24 - SHIFT)));
        let bits = vandq_u32(vreinterpretq_u32_s32(vshrq_n_s32::<4>(top)), vdupq_n_u32(0x87f0_0000));
        mul(vreinterpretq_f32_u32(bits), splat_f(f32::from_bits(247 << 23)))
    }
    /// The largest magnitude of each byte so far.
    fn magnitudes(so_far: I, a: I) -> I {
        vreinterpretq_u32_u8(vmaxq_u8(vreinterpretq_u8_u32(so_far), vreinterpretq_u8_u32(mask(a, 0x7f))))
    }
    /// `sum`, or not a number in lanes that have a magnitude of 0x7F.
    fn unless_nan(sum: F, magnitudes: I) -> F {
        let largest = vceqq_u8(vreinterpretq_u8_u32(magnitudes), vdupq_n_u8(0x7f));
        let some = vreinterpretq_u32_u8(largest);
        vbslq_f32(vtstq_u32(some, some), splat_f(f32::NAN), sum)
    }
    /// The unsigned byte that starts at bit `SHIFT` of each lane.
    fn byte<const SHIFT: i32>(a: I) -> F { to_float(vandq_u32(shift_right::<SHIFT>(a), vdupq_n_u32(0xff))) }
    /// The unsigned lower half of each lane.
    fn low_half(a: I) -> F { to_float(vandq_u32(a, vdupq_n_u32(0xffff))) }
    /// The unsigned upper half of each lane.
    fn high_half(a: I) -> F { to_float(vshrq_n_u32::<16>(a)) }
    /// `a * b + c`, rounded once.
    fn fma(a: F, b: F, c: F) -> F { vfmaq_f32(c, a, b) }
    /// `a * b`, the first of a sum that starts at +0. (A multiply-add overwrites its sum, which would have to be zeroed each time.)
    fn first_product(a: F, b: F) -> F { mul(a, b) }
    /// `a - b * c`, rounded once.
    fn sub_product(a: F, b: F, c: F) -> F { vfmsq_f32(a, b, c) }
    /// `a * b`.
    fn mul(a: F, b: F) -> F { vmulq_f32(a, b) }
    /// `a + b`.
    fn add(a: F, b: F) -> F { vaddq_f32(a, b) }
    /// `a - b`.
    fn sub(a: F, b: F) -> F { vsubq_f32(a, b) }
    /// Loads quads.
    fn line(bytes: &[u8; 16]) -> I {
        // SAFETY: the reference covers the 16 bytes that are read.
        vreinterpretq_u32_u8(unsafe { vld1q_u8(bytes.as_ptr()) })
    }
    /// Stores quads.
    fn store_line(bytes: &mut [u8; 16], a: I) {
        // SAFETY: the reference covers the 16 bytes that are written.
        unsafe { vst1q_u8(bytes.as_mut_ptr(), vreinterpretq_u8_u32(a)) }
    }
    /// Loads f32.
    fn floats(values: &[f32; 4]) -> F {
        // SAFETY: the reference covers the 16 bytes that are read.
        unsafe { vld1q_f32(values.as_ptr()) }
    }
    /// Stores f32.
    fn store_floats(values: &mut [f32; 4], a: F) {
        // SAFETY: the reference covers the 16 bytes that are written.
        unsafe { vst1q_f32(values.as_mut_ptr(), a) }
    }
    /// Loads half-precision numbers.
    fn halves(values: &[u16; 4]) -> F { from_halves(shorts(values)) }
    /// Half-precision numbers.
    fn from_halves(bits: uint16x4_t) -> F { vcvt_f32_f16(vreinterpret_f16_u16(bits)) }
    /// Loads halves of lanes.
    fn shorts(values: &[u16; 4]) -> uint16x4_t {
        // SAFETY: the reference covers the 8 bytes that are read.
        unsafe { vld1_u16(values.as_ptr()) }
    }
    /// Loads upper halves of f32.
    fn bfloats(values: &[u16; 4]) -> F { vreinterpretq_f32_u32(vshll_n_u16::<16>(shorts(values))) }
    /// `2^(x - BIAS)` of each byte x, in two factors because an f32's exponent does not reach its subnormals.
    fn powers_of_two<const BIAS: i32>(values: &[u8; 4]) -> F {
        let x = unsigned(values);
        let half = vshrq_n_u32::<1>(x);
        let power = |exponent, bias: i32| vreinterpretq_f32_u32(vshlq_n_u32::<23>(vaddq_u32(exponent, splat_i(bias))));
        mul(power(half, (254 - BIAS) / 2), power(vsubq_u32(x, half), (255 - BIAS) / 2))
    }
    /// Loads unsigned floats of four exponent and three mantissa bits: as halves they are 256 times too small; 0x7F is 0.
    fn ue4m3(values: &[u8; 4]) -> F {
        let bytes = vmovn_u32(unsigned(values));
        let half = vshl_n_u16::<7>(vand_u16(bytes, vdup_n_u16(0x7f)));
        let none = vceq_u16(bytes, vdup_n_u16(0x7f));
        mul(from_halves(vbic_u16(half, none)), splat_f(256.0))
    }
    /// Four bytes, and four more that count for nothing.
    fn bytes(values: &[u8; 4]) -> uint8x8_t { vreinterpret_u8_u32(vdup_n_u32(u32::from_le_bytes(*values))) }
    /// Loads unsigned bytes into lanes.
    fn unsigned(values: &[u8; 4]) -> I { vmovl_u16(vget_low_u16(vmovl_u8(bytes(values)))) }
    /// Loads signed bytes into lanes.
    fn signed(values: &[u8; 4]) -> I {
        vreinterpretq_u32_s32(vmovl_s16(vget_low_s16(vmovl_s8(vreinterpret_s8_u8(bytes(values))))))
    }
    /// Loads pairs of unsigned bytes into the halves of lanes.
    fn pairs(values: &[[u8; 2]; 4]) -> I {
        // SAFETY: the reference covers the 8 bytes that are read.
        vreinterpretq_u32_u16(vmovl_u8(unsafe { vld1_u8(values.as_ptr().cast()) }))
    }
}
