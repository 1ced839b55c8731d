//! The dot primitives of the vector widths against that of one lane: every code by every quant.

#![cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]

use quantloom_kernels::ISAS;
use quantloom_kernels::lanes::v32;
#[cfg(target_arch = "aarch64")]
use quantloom_kernels::lanes::v128;
#[cfg(target_arch = "x86_64")]
use quantloom_kernels::lanes::{v256, v512};

/// Where every sum starts.
const START: i32 = 7;

/// Sums of `4 LANES` codes and quants, lane by lane: products; products of the halves of lanes; products of `code - 128`, where there is a
/// way to have them.
macro_rules! sums {
    ($name:ident, $width:ident::$primitive:ident, $lanes:literal, $features:literal, $dots:ident) => {
        #[target_feature(enable = $features)]
        fn $name(codes: &[u8], quants: &[u8]) -> Vec<Vec<u32>> {
            use $width::$primitive as lanes;
            let integers = |a| {
                let mut line = [0; 4 * $lanes];
                lanes::store_line(&mut line, a);
                line.as_chunks().0.iter().map(|quad| u32::from_le_bytes(*quad)).collect::<Vec<_>>()
            };
            let (codes, quants) = (lanes::line(codes.first_chunk().unwrap()), lanes::line(quants.first_chunk().unwrap()));
            let start = lanes::splat_i(START);
            let (dot, others) = $dots!(lanes, start, codes, quants);
            [dot, lanes::dot_pairs(start, codes, quants)].into_iter().chain(others).map(integers).collect()
        }
    };
}

macro_rules! quads {
    ($lanes:ident, $start:ident, $codes:ident, $quants:ident) => {
        ($lanes::dot($start, $codes, $quants), None)
    };
}

/// Signed bytes have seven bits of the codes; the eighth is twice the seventh.
#[cfg(target_arch = "aarch64")]
macro_rules! products {
    ($lanes:ident, $start:ident, $codes:ident, $quants:ident) => {{
        let low = $lanes::products($lanes::mask::<127>($codes), $quants);
        let half = $lanes::products($lanes::mask::<64>($lanes::shr::<1>($codes)), $quants);
        let dot = $lanes::widen($lanes::widen($start, low), $lanes::add_products(half, half));
        (dot, Some($lanes::widen($start, $lanes::products_128($codes, $quants))))
    }};
}

/// The same.
#[cfg(target_arch = "aarch64")]
macro_rules! signed_quads {
    ($lanes:ident, $start:ident, $codes:ident, $quants:ident) => {{
        let half = $lanes::mask::<64>($lanes::shr::<1>($codes));
        let low = $lanes::dot($start, $lanes::mask::<127>($codes), $quants);
        let dot = $lanes::dot($lanes::dot(low, half, $quants), half, $quants);
        (dot, Some($lanes::dot_128($start, $codes, $quants)))
    }};
}

/// Seven bits of the codes fit 16 bits in pairs, and so does the eighth, but not both.
#[cfg(target_arch = "x86_64")]
macro_rules! pairs {
    ($lanes:ident, $start:ident, $codes:ident, $quants:ident) => {{
        let low = $lanes::products($lanes::mask::<63>($codes), $quants);
        let middle = $lanes::products($lanes::mask::<64>($codes), $quants);
        let high = $lanes::products($lanes::mask::<128>($codes), $quants);
        let dot = $lanes::widen($lanes::widen($start, $lanes::add_products(low, middle)), high);
        (dot, Some($lanes::widen($start, $lanes::products_128($codes, $quants))))
    }};
}

#[cfg(target_arch = "aarch64")]
mod isas {
    use super::*;

    sums!(neon, v128::products_i16, 4, "neon", products);
    sums!(neon_dotprod, v128::signed_quads_i32, 4, "neon,dotprod", signed_quads);
    sums!(neon_i8mm, v128::quads_i32, 4, "neon,dotprod,i8mm", quads);

    pub const ALL: &[(&str, usize, Sums)] =
        &[("neon", 16, neon), ("neon-dotprod", 16, neon_dotprod), ("neon-i8mm", 16, neon_i8mm)];
}

#[cfg(target_arch = "x86_64")]
mod isas {
    use super::*;

    sums!(avx2, v256::pairs_i16, 8, "avx2,fma,f16c", pairs);
    sums!(avxvnni, v256::quads_i32, 8, "avx2,fma,f16c,avxvnni", quads);
    sums!(avx512, v512::pairs_i16, 16, "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c", pairs);
    sums!(avx512vnni, v512::quads_i32, 16, "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c", quads);

    pub const ALL: &[(&str, usize, Sums)] =
        &[("avx2", 32, avx2), ("avxvnni", 32, avxvnni), ("avx512", 64, avx512), ("avx512vnni", 64, avx512vnni)];
}

/// The same sums, one lane after the other.
fn wanted(codes: &[u8], quants: &[u8]) -> [Vec<u32>; 3] {
    let start = v32::splat_i(START);
    let quads =
        || codes.as_chunks().0.iter().zip(quants.as_chunks().0).map(|(codes, quants)| (v32::line(codes), v32::line(quants)));
    let offset = |quants| v32::dot(0, v32::splat_i(i32::from_ne_bytes([128; 4])), quants);
    [
        quads().map(|(codes, quants)| v32::dot(start, codes, quants)).collect(),
        quads().map(|(codes, quants)| v32::dot_pairs(start, codes, quants)).collect(),
        quads().map(|(codes, quants)| v32::dot(start, codes, quants).wrapping_sub(offset(quants))).collect(),
    ]
}

/// What [`sums`] makes; needs the features that it was made with.
type Sums = unsafe fn(&[u8], &[u8]) -> Vec<Vec<u32>>;

#[test]
fn every_primitive_gives_the_sums_of_one_lane() {
    let available = |name: &str| ISAS.iter().any(|isa| isa.name == name && (isa.available)());
    let codes: [u8; 256] = std::array::from_fn(|index| (index * 89 % 256) as u8);
    for &(name, bytes, sums) in isas::ALL.iter().filter(|(name, ..)| available(name)) {
        for turn in 0..256 {
            // No quant is -128.
            let quants =
                codes.map(|code| (code.wrapping_mul(3).wrapping_add(turn as u8)).cast_signed().max(-127).cast_unsigned());
            for (codes, quants) in codes.chunks(bytes).zip(quants.chunks(bytes)) {
                // SAFETY: the instruction set is available, and its card asks for the features of the function.
                let found = unsafe { sums(codes, quants) };
                let wanted = wanted(codes, quants);
                assert!(found.len() >= 2 && found.iter().eq(wanted.iter().take(found.len())), "{name}, turn {turn}");
            }
        }
    }
}
