//! The dot primitives of the instruction sets against that of one lane: every code by every quant.

#![cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]

#[macro_use]
mod support;

#[cfg(target_arch = "aarch64")]
use quantloom_simd::lanes::neon;
use quantloom_simd::lanes::scalar;
#[cfg(target_arch = "x86_64")]
use quantloom_simd::lanes::{avx2, avx512};

/// Where every sum starts.
const START: i32 = 7;

/// Sums of `4 LANES` codes and as many quants, lane by lane: products with the first four quants; products of the halves of lanes; products of
/// `code - 128` with the first four quants, where there is a way to have them.
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
            let four = lanes::quants(i32::from_le_bytes(*quants.first_chunk().unwrap()));
            let (codes, quants) = (lanes::line(codes.first_chunk().unwrap()), lanes::line(quants.first_chunk().unwrap()));
            let start = lanes::splat_i(START);
            let (dot, others) = $dots!(lanes, start, codes, four);
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
        let low = $lanes::products($lanes::mask($codes, 127), $quants);
        let half = $lanes::products($lanes::mask($lanes::shr::<1>($codes), 64), $quants);
        let dot = $lanes::widen($lanes::widen($start, low), $lanes::add_products(half, half));
        (dot, Some($lanes::widen($start, $lanes::products($lanes::less_128($codes), $quants))))
    }};
}

/// The same.
#[cfg(target_arch = "aarch64")]
macro_rules! signed_quads {
    ($lanes:ident, $start:ident, $codes:ident, $quants:ident) => {{
        let half = $lanes::mask($lanes::shr::<1>($codes), 64);
        let low = $lanes::dot($start, $lanes::mask($codes, 127), $quants);
        let dot = $lanes::dot($lanes::dot(low, half, $quants), half, $quants);
        (dot, Some($lanes::dot($start, $lanes::less_128($codes), $quants)))
    }};
}

/// Seven bits of the codes fit 16 bits in pairs, and so does the eighth, but not both.
#[cfg(target_arch = "x86_64")]
macro_rules! pairs {
    ($lanes:ident, $start:ident, $codes:ident, $quants:ident) => {{
        let low = $lanes::products($lanes::mask($codes, 63), $quants);
        let middle = $lanes::products($lanes::mask($codes, 64), $quants);
        let high = $lanes::products($lanes::mask($codes, 128), $quants);
        let dot = $lanes::widen($lanes::widen($start, $lanes::add_products(low, middle)), high);
        (dot, Some($lanes::widen($start, $lanes::signed_products($lanes::less_128($codes), $quants))))
    }};
}

#[cfg(target_arch = "aarch64")]
mod isas {
    use super::*;

    sums!(neon, neon::products_i16, 4, "neon", products);
    sums!(neon_dotprod, neon::signed_quads_i32, 4, "neon,dotprod", signed_quads);
    sums!(neon_i8mm, neon::matrix_i32, 4, "neon,dotprod,i8mm", quads);

    pub const ALL: &[Primitive] = &[
        ("neon", || available!(is_aarch64_feature_detected: "neon"), 16, neon),
        ("neon-dotprod", || available!(is_aarch64_feature_detected: "neon", "dotprod"), 16, neon_dotprod),
        ("neon-i8mm", has_matrices, 16, neon_i8mm),
    ];

    pub fn has_matrices() -> bool {
        available!(is_aarch64_feature_detected: "neon", "dotprod", "i8mm")
    }
}

#[cfg(target_arch = "x86_64")]
mod isas {
    use super::*;

    sums!(avx2, avx2::pairs_i16, 8, "avx2,fma,f16c", pairs);
    sums!(avxvnni, avx2::quads_i32, 8, "avx2,fma,f16c,avxvnni", quads);
    sums!(avx512, avx512::pairs_i16, 16, "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c", pairs);
    sums!(avx512vnni, avx512::quads_i32, 16, "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c", quads);

    pub const ALL: &[Primitive] = &[
        ("avx2", has_avx2, 32, avx2),
        ("avxvnni", || has_avx2() && available!(is_x86_feature_detected: "avxvnni"), 32, avxvnni),
        ("avx512", has_avx512, 64, avx512),
        ("avx512vnni", || has_avx512() && available!(is_x86_feature_detected: "avx512vnni"), 64, avx512vnni),
    ];

    fn has_avx2() -> bool {
        available!(is_x86_feature_detected: "avx2", "fma", "f16c")
    }

    fn has_avx512() -> bool {
        has_avx2() && available!(is_x86_feature_detected: "avx512f", "avx512bw", "avx512vl", "avx512dq")
    }
}

/// The same sums, one lane after the other.
fn wanted(codes: &[u8], quants: &[u8]) -> [Vec<u32>; 3] {
    let start = scalar::splat_i(START);
    let quads = || codes.as_chunks().0.iter().map(scalar::line);
    let four = scalar::line(quants.first_chunk().unwrap());
    let offset = scalar::dot(0, scalar::splat_i(i32::from_ne_bytes([128; 4])), four);
    [
        quads().map(|codes| scalar::dot(start, codes, four)).collect(),
        quads()
            .zip(quants.as_chunks().0)
            .map(|(codes, quants)| scalar::dot_pairs(start, codes, scalar::line(quants)))
            .collect(),
        quads().map(|codes| scalar::dot(start, codes, four).wrapping_sub(offset)).collect(),
    ]
}

/// What [`sums`] makes; needs the features that it was made with.
type Sums = unsafe fn(&[u8], &[u8]) -> Vec<Vec<u32>>;

/// What it is called, whether this processor has its features, how many bytes its vectors have, and its sums.
type Primitive = (&'static str, fn() -> bool, usize, Sums);

#[test]
fn every_primitive_gives_the_sums_of_one_lane() {
    let codes: [u8; 256] = std::array::from_fn(|index| (index * 89 % 256) as u8);
    for &(name, _, bytes, sums) in isas::ALL.iter().filter(|(_, is_available, ..)| is_available()) {
        for turn in 0..256 {
            // No quant is -128.
            let quants =
                codes.map(|code| (code.wrapping_mul(3).wrapping_add(turn as u8)).cast_signed().max(-127).cast_unsigned());
            for (codes, quants) in codes.chunks(bytes).zip(quants.chunks(bytes)) {
                // SAFETY: the features of the function are available.
                let found = unsafe { sums(codes, quants) };
                let wanted = wanted(codes, quants);
                assert!(found.len() >= 2 && found.iter().eq(wanted.iter().take(found.len())), "{name}, turn {turn}");
            }
        }
    }
}

/// Products of two rows of eight codes with two columns of eight quants, made as kernels make them: two quads of four rows, of which the
/// first column's dots come first.
#[cfg(target_arch = "aarch64")]
#[target_feature(enable = "neon,dotprod,i8mm")]
fn matrices(codes: [&[u8; 16]; 2], quants: [[i32; 2]; 2]) -> [[u8; 16]; 2] {
    use neon::matrix_i32 as lanes;
    let (first, second) = (lanes::line(codes[0]), lanes::line(codes[1]));
    let columns = lanes::low_turns(lanes::first_two(quants[0][0], quants[0][1]), lanes::first_two(quants[1][0], quants[1][1]));
    let start = lanes::splat_two(START, 2 * START);
    let upper = lanes::dot_matrix(start, lanes::low_turns(first, second), columns);
    let lower = lanes::dot_matrix(start, lanes::high_turns(first, second), columns);
    [lanes::even(upper, lower), lanes::odd(upper, lower)].map(|dots| {
        let mut line = [0; 16];
        lanes::store_line(&mut line, dots);
        line
    })
}

#[cfg(target_arch = "aarch64")]
#[test]
fn products_of_matrices_are_the_dots_of_one_lane() {
    if !isas::has_matrices() {
        return;
    }
    let codes: [u8; 256] = std::array::from_fn(|index| (index * 89 % 256) as u8);
    let quants: [i32; 256] = std::array::from_fn(|index| (index as i32 + 1).wrapping_mul(0x2545_f491) | 0x0101_0101);
    for turn in 0..252 {
        let codes = [codes[turn % 224..].first_chunk().unwrap(), codes[turn % 224 + 16..].first_chunk().unwrap()];
        let quants = [[quants[turn], quants[turn + 1]], [quants[turn + 2], quants[turn + 3]]];
        // SAFETY: the features of the function are available.
        let found = unsafe { matrices(codes, quants) };
        for (column, found) in found.iter().enumerate() {
            let start = scalar::splat_i(START * (1 + column as i32));
            for (row, found) in found.as_chunks::<4>().0.iter().enumerate() {
                let quad = |half: usize| scalar::line(codes[half].as_chunks::<4>().0[row..].first().unwrap());
                let wanted =
                    (0..2).fold(start, |sum, half| scalar::dot(sum, quad(half), scalar::splat_i(quants[half][column])));
                assert_eq!(u32::from_le_bytes(*found), wanted, "turn {turn}, row {row}, column {column}");
            }
        }
    }
}
