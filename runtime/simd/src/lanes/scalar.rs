//! One lane in plain Rust: what every other instruction set is tested against.

/// One integer.
pub type I = u32;
/// One f32.
pub type F = f32;
/// 16 bytes to look up.
pub type Palette = [u8; 16];
/// 32 bytes to look up.
pub type Palette32 = [u8; 32];
/// 16 f32 to look up.
pub type Table = [f32; 16];
/// Lanes of a vector.
pub const LANES: usize = 1;

/// The same place.
#[inline]
#[must_use]
pub fn after<T>(place: &T, _value: I) -> &T {
    place
}

/// The same place.
#[inline]
#[must_use]
pub fn after_f<T>(place: &T, _value: F) -> &T {
    place
}

/// Zero.
#[inline]
pub fn zero_i() -> I {
    0
}

/// Zero.
#[inline]
pub fn zero_f() -> F {
    0.0
}

/// One integer.
#[inline]
pub fn splat_i(value: i32) -> I {
    value.cast_unsigned()
}

/// Four quants of a column, which meet every row's codes.
#[inline]
pub fn quants(four: i32) -> I {
    splat_i(four)
}

/// One f32.
#[inline]
pub fn splat_f(value: f32) -> F {
    value
}

/// The given bits of every byte.
#[inline]
pub fn mask(a: I, bits: u8) -> I {
    a & u32::from_ne_bytes([bits; 4])
}

/// Every byte shifted right, where the bits that come in from its neighbour are masked away next.
#[inline]
pub fn shr<const BITS: u32>(a: I) -> I {
    a >> BITS
}

/// Every byte shifted left, where the bits that come in from its neighbour are masked away next.
#[inline]
pub fn shl<const BITS: u32>(a: I) -> I {
    a << BITS
}

/// Bitwise or.
#[inline]
pub fn or(a: I, b: I) -> I {
    a | b
}

/// `sum + the products of four unsigned codes and four signed quants`, exact.
#[inline]
pub fn dot(sum: I, codes: I, quants: I) -> I {
    let products = codes.to_le_bytes().into_iter().zip(quants.to_le_bytes());
    products.fold(sum, |sum, (code, quant)| sum.wrapping_add_signed(i32::from(code) * i32::from(quant.cast_signed())))
}

/// `sum + the products of two pairs of 16 bits`, exact.
#[inline]
pub fn dot_pairs(sum: I, a: I, b: I) -> I {
    let product = |a: u32, b: u32| i32::from(a as i16) * i32::from(b as i16);
    sum.wrapping_add_signed(product(a, b)).wrapping_add_signed(product(a >> 16, b >> 16))
}

/// `a + b`, 32 bits.
#[inline]
pub fn add_i(a: I, b: I) -> I {
    a.wrapping_add(b)
}

/// The lane moved down, as a signed number.
#[inline]
pub fn lower<const BITS: u32>(a: I) -> I {
    (a.cast_signed() >> BITS).cast_unsigned()
}

/// Rounds to nearest even.
#[inline]
pub fn to_float(a: I) -> F {
    a.cast_signed() as f32
}

/// A palette of 16.
#[inline]
pub fn palette(bytes: &[u8; 32]) -> Palette {
    bytes.as_chunks().0[0]
}

/// A palette of 32.
#[inline]
pub fn palette_32(bytes: &[u8; 32]) -> Palette32 {
    *bytes
}

/// The palette's byte for each byte under 16.
#[inline]
pub fn look_up(palette: Palette, codes: I) -> I {
    let [a, b, c, d] = codes.to_le_bytes();
    let byte = |code: u8| palette[usize::from(code & 15)];
    u32::from_le_bytes([byte(a), byte(b), byte(c), byte(d)])
}

/// The palette's byte for each byte under 32.
#[inline]
pub fn look_up_32(palette: Palette32, codes: I) -> I {
    let [a, b, c, d] = codes.to_le_bytes();
    let byte = |code: u8| palette[usize::from(code & 31)];
    u32::from_le_bytes([byte(a), byte(b), byte(c), byte(d)])
}

/// A table of f32.
#[inline]
pub fn table(values: &[f32; 16]) -> Table {
    *values
}

/// The table's number for the four bits that start at bit `SHIFT` of the lane.
#[inline]
pub fn pick<const SHIFT: u32>(table: Table, codes: I) -> F {
    table[((codes >> SHIFT) & 15) as usize]
}

/// The byte that starts at bit `SHIFT` of the lane as a signed float of four exponent and three mantissa bits; a magnitude of 0x7F is
/// not a number.
#[inline]
pub fn e4m3<const SHIFT: u32>(a: I) -> F {
    crate::scalar::e4m3((a >> SHIFT) & 0xff)
}

/// The same of a byte that is a number. Its bits are those of an f32 whose exponent is 120 too small.
#[inline]
pub fn e4m3_number<const SHIFT: u32>(a: I) -> F {
    let bits = (((a << (24 - SHIFT)).cast_signed() >> 4).cast_unsigned()) & 0x87f0_0000;
    f32::from_bits(bits) * f32::from_bits(247 << 23)
}

/// The largest magnitude of each byte so far.
#[inline]
pub fn magnitudes(so_far: I, a: I) -> I {
    let (so_far, a) = (so_far.to_le_bytes(), mask(a, 0x7f).to_le_bytes());
    let largest = |byte: usize| if so_far[byte] > a[byte] { so_far[byte] } else { a[byte] };
    u32::from_le_bytes([largest(0), largest(1), largest(2), largest(3)])
}

/// `sum`, or not a number if there is a magnitude of 0x7F.
#[inline]
pub fn unless_nan(sum: F, magnitudes: I) -> F {
    let [a, b, c, d] = magnitudes.to_le_bytes();
    if a == 0x7f || b == 0x7f || c == 0x7f || d == 0x7f { f32::NAN } else { sum }
}

/// The unsigned byte that starts at bit `SHIFT` of the lane.
#[inline]
pub fn byte<const SHIFT: u32>(a: I) -> F {
    ((a >> SHIFT) & 0xff) as f32
}

/// The unsigned lower half of the lane.
#[inline]
pub fn low_half(a: I) -> F {
    (a & 0xffff) as f32
}

/// The unsigned upper half of the lane.
#[inline]
pub fn high_half(a: I) -> F {
    (a >> 16) as f32
}

/// `a * b + c`, rounded once.
#[inline]
pub fn fma(a: F, b: F, c: F) -> F {
    a.mul_add(b, c)
}

/// `a * b`, the first of a sum that starts at +0: whether a zero has a sign does not count.
#[inline]
pub fn first_product(a: F, b: F) -> F {
    a * b
}

/// `a - b * c`, rounded once.
#[inline]
pub fn sub_product(a: F, b: F, c: F) -> F {
    (-b).mul_add(c, a)
}

/// `a * b`.
#[inline]
pub fn mul(a: F, b: F) -> F {
    a * b
}

/// `a + b`.
#[inline]
pub fn add(a: F, b: F) -> F {
    a + b
}

/// `a - b`.
#[inline]
pub fn sub(a: F, b: F) -> F {
    a - b
}

/// Loads a quad.
#[inline]
pub fn line(bytes: &[u8; 4]) -> I {
    u32::from_le_bytes(*bytes)
}

/// Stores a quad.
#[inline]
pub fn store_line(bytes: &mut [u8; 4], a: I) {
    *bytes = a.to_le_bytes();
}

/// Loads an f32.
#[inline]
pub fn floats(values: &[f32; 1]) -> F {
    values[0]
}

/// Stores an f32.
#[inline]
pub fn store_floats(values: &mut [f32; 1], a: F) {
    values[0] = a;
}

/// Loads a half-precision number.
#[inline]
pub fn halves(values: &[u16; 1]) -> F {
    crate::scalar::f16(u32::from(values[0]))
}

/// Loads the upper half of an f32.
#[inline]
pub fn bfloats(values: &[u16; 1]) -> F {
    f32::from_bits(u32::from(values[0]) << 16)
}

/// `2^(x - BIAS)` of the byte x.
#[inline]
pub fn powers_of_two<const BIAS: i32>(values: &[u8; 1]) -> F {
    crate::scalar::power_of_two(u32::from(values[0]), BIAS)
}

/// Loads an unsigned float of four exponent and three mantissa bits; 0x7F is 0.
#[inline]
pub fn ue4m3(values: &[u8; 1]) -> F {
    crate::scalar::ue4m3(u32::from(values[0]))
}

/// Loads an unsigned byte.
#[inline]
pub fn unsigned(values: &[u8; 1]) -> I {
    u32::from(values[0])
}

/// Loads a signed byte.
#[inline]
pub fn signed(values: &[u8; 1]) -> I {
    i32::from(values[0].cast_signed()).cast_unsigned()
}

/// Loads a pair of unsigned bytes into the halves of the lane.
#[inline]
pub fn pairs(values: &[[u8; 2]; 1]) -> I {
    u32::from(values[0][0]) | (u32::from(values[0][1]) << 16)
}
