//! The dot primitives of the vector widths against that of one lane: every code by every quant.

#![cfg(target_arch = "x86_64")]

use quantloom_kernels::ISAS;
use quantloom_kernels::lanes::{v32, v256, v512};

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

/// Seven bits of the codes fit 16 bits in pairs, and so does the eighth, but not both.
macro_rules! pairs {
    ($lanes:ident, $start:ident, $codes:ident, $quants:ident) => {{
        let low = $lanes::products($lanes::mask::<63>($codes), $quants);
        let middle = $lanes::products($lanes::mask::<64>($codes), $quants);
        let high = $lanes::products($lanes::mask::<128>($codes), $quants);
        let dot = $lanes::widen($lanes::widen($start, $lanes::add_products(low, middle)), high);
        (dot, Some($lanes::widen($start, $lanes::products_128($codes, $quants))))
    }};
}

sums!(avx2, v256::pairs_i16, 8, "avx2,fma,f16c", pairs);
sums!(avxvnni, v256::quads_i32, 8, "avx2,fma,f16c,avxvnni", quads);
sums!(avx512, v512::pairs_i16, 16, "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c", pairs);
sums!(avx512vnni, v512::quads_i32, 16, "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c", quads);

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

type Sums = unsafe fn(&[u8], &[u8]) -> Vec<Vec<u32>>;

#[test]
fn every_primitive_gives_the_sums_of_one_lane() {
    let primitives: [(&str, usize, Sums); 4] =
        [("avx2", 32, avx2), ("avxvnni", 32, avxvnni), ("avx512", 64, avx512), ("avx512vnni", 64, avx512vnni)];
    let available = |name: &str| ISAS.iter().any(|isa| isa.name == name && (isa.available)());
    let codes: [u8; 256] = std::array::from_fn(|index| (index * 89 % 256) as u8);
    for (name, bytes, sums) in primitives.into_iter().filter(|(name, ..)| available(name)) {
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
