//! The vocabulary of the vector widths against that of one lane, over every byte.

#![cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]

use quantloom_kernels::lanes::v32;
#[cfg(target_arch = "aarch64")]
use quantloom_kernels::lanes::v128;
#[cfg(target_arch = "x86_64")]
use quantloom_kernels::lanes::{v256, v512};

/// Every byte, in an order that puts unlike bytes side by side.
fn bytes() -> [u8; 256] {
    std::array::from_fn(|index| (index * 89 % 256) as u8)
}

/// 32 bytes to look up, and 16 numbers.
fn palettes() -> ([u8; 32], [f32; 16]) {
    (std::array::from_fn(|index| (index * 37 + 5) as u8), std::array::from_fn(|index| 1.0 - 0.3 * index as f32))
}

/// What a width makes of `4 LANES` bytes, as bits: codes looked up in 16 and in 32 bytes, then floats four ways by place in a lane.
/// `LANES` bytes are powers of two and small floats, and the halves of `LANES` floats.
macro_rules! results {
    ($name:ident, $width:ident, $lanes:literal $(, $features:literal)?) => {
        $(#[target_feature(enable = $features)])?
        fn $name(quads: &[u8; 4 * $lanes], few: &[u8; $lanes], halves: &[u16; $lanes]) -> Vec<Vec<u32>> {
            use $width as lanes;
            let (bytes, floats) = palettes();
            let numbers = |a| {
                let mut values = [0.0; $lanes];
                lanes::store_floats(&mut values, a);
                values.map(f32::to_bits).to_vec()
            };
            let integers = |a| {
                let mut line = [0; 4 * $lanes];
                lanes::store_line(&mut line, a);
                line.as_chunks().0.iter().map(|quad| u32::from_le_bytes(*quad)).collect()
            };
            let codes = lanes::line(quads);
            let (table, sixteen, all) = (lanes::table(&floats), lanes::palette(&bytes), lanes::palette_32(&bytes));
            vec![
                integers(lanes::look_up(sixteen, lanes::mask::<15>(codes))),
                integers(lanes::look_up_32(all, lanes::mask::<31>(codes))),
                numbers(lanes::pick::<0>(table, codes)),
                numbers(lanes::pick::<8>(table, codes)),
                numbers(lanes::pick::<24>(table, codes)),
                numbers(lanes::e4m3::<0>(codes)),
                numbers(lanes::e4m3::<16>(codes)),
                numbers(lanes::e4m3::<24>(codes)),
                numbers(lanes::powers_of_two::<128>(few)),
                numbers(lanes::powers_of_two::<130>(few)),
                numbers(lanes::ue4m3(few)),
                numbers(lanes::bfloats(halves)),
                numbers(lanes::halves(&halves.map(|half| half & 0xfbff))),
                numbers(lanes::byte::<16>(codes)),
                numbers(lanes::low_half(codes)),
                numbers(lanes::high_half(codes)),
                numbers(lanes::to_float(codes)),
                integers(lanes::unsigned(few)),
                integers(lanes::signed(few)),
                integers(lanes::pairs(&few.map(|byte| [byte, !byte]))),
                integers(lanes::mask::<0x70>(lanes::shl::<4>(codes))),
                integers(lanes::mask::<3>(lanes::shr::<6>(codes))),
                numbers(lanes::sub_product(lanes::floats(&[1.5; $lanes]), lanes::pick::<0>(table, codes), lanes::splat_f(0.1))),
            ]
        }
    };
}

results!(one, v32, 1);
#[cfg(target_arch = "aarch64")]
results!(four, v128, 4, "neon");
#[cfg(target_arch = "x86_64")]
results!(eight, v256, 8, "avx2,fma,f16c");
#[cfg(target_arch = "x86_64")]
results!(sixteen, v512, 16, "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c");

/// The results of one lane after the other.
fn singly(quads: &[u8], few: &[u8], halves: &[u16]) -> Vec<Vec<u32>> {
    let mut all = Vec::<Vec<u32>>::new();
    for ((quad, byte), half) in quads.as_chunks().0.iter().zip(few).zip(halves) {
        let results = one(quad, &[*byte], &[*half]);
        all.resize(results.len(), Vec::new());
        all.iter_mut().zip(results).for_each(|(all, result)| all.extend(result));
    }
    all
}

/// Quads of every byte, bytes for every lane, and halves, in 16 parts.
fn samples() -> impl Iterator<Item = ([u8; 64], [u8; 16], [u16; 16])> {
    let bytes = bytes();
    (0..16).map(move |index| {
        let few: [u8; 16] = bytes.as_chunks().0[index];
        (std::array::from_fn(|at| bytes[(16 * index + 5 * at) % 256]), few, few.map(|byte| u16::from(byte) * 251))
    })
}

/// Compares a width with one lane, on all samples.
macro_rules! compare {
    ($width:ident, $lanes:literal) => {
        for (quads, few, halves) in samples() {
            let parts = quads.as_chunks().0.iter().zip(few.as_chunks().0).zip(halves.as_chunks().0);
            for ((quads, few), halves) in parts {
                // SAFETY: the caller found the features.
                let found = unsafe { $width(quads as &[u8; 4 * $lanes], few as &[u8; $lanes], halves as &[u16; $lanes]) };
                assert_eq!(found, singly(quads, few, halves));
            }
        }
    };
}

/// What a primitive makes of 16 lanes of codes and quants, from a sum of -5: first `$dot`, then pairs of 16 bits.
macro_rules! dots {
    ($name:ident, $width:ident::$primitive:ident, $lanes:literal, $features:literal, |$sum:ident, $a:ident, $b:ident| $dot:expr) => {
        #[target_feature(enable = $features)]
        pub(super) fn $name(codes: &[u8; 64], quants: &[u8; 64]) -> [Vec<u32>; 2] {
            use quantloom_kernels::lanes::$width::$primitive as lanes;
            let lines = |$sum, $a, $b| [$dot, lanes::dot_pairs($sum, $a, $b)];
            let mut all = [vec![], vec![]];
            for (codes, quants) in codes.as_chunks().0.iter().zip(quants.as_chunks().0) {
                let found = lines(lanes::splat_i(-5), lanes::line(codes), lanes::line(quants));
                for (all, sums) in all.iter_mut().zip(found) {
                    let mut line = [0; 4 * $lanes];
                    lanes::store_line(&mut line, sums);
                    all.extend(line.as_chunks().0.iter().map(|quad| u32::from_le_bytes(*quad)));
                }
            }
            all
        }
    };
}

#[cfg(target_arch = "x86_64")]
mod sums {
    dots!(pairs, v256::pairs_i16, 8, "avx2,fma,f16c", |sum, a, b| lanes::widen(sum, lanes::products(a, b)));
    dots!(pairs_128, v256::pairs_i16, 8, "avx2,fma,f16c", |sum, a, b| lanes::widen(sum, lanes::products_128(a, b)));
    dots!(quads, v256::quads_i32, 8, "avx2,fma,f16c,avxvnni", |sum, a, b| lanes::dot(sum, a, b));
    dots!(wide_pairs, v512::pairs_i16, 16, "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c", |sum, a, b| lanes::widen(
        sum,
        lanes::products(a, b)
    ));
    dots!(wide_pairs_128, v512::pairs_i16, 16, "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c", |sum, a, b| lanes::widen(
        sum,
        lanes::products_128(a, b)
    ));
    dots!(wide_quads, v512::quads_i32, 16, "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c", |sum, a, b| {
        lanes::dot(sum, a, b)
    });
}

#[cfg(target_arch = "aarch64")]
mod sums {
    dots!(products, v128::products_i16, 4, "neon", |sum, a, b| lanes::widen(sum, lanes::products(a, b)));
    dots!(two_products, v128::products_i16, 4, "neon", |sum, a, b| {
        lanes::widen(sum, lanes::add_products(lanes::products(a, b), lanes::products(a, b)))
    });
    dots!(products_128, v128::products_i16, 4, "neon", |sum, a, b| lanes::widen(sum, lanes::products_128(a, b)));
    dots!(signed_quads, v128::signed_quads_i32, 4, "neon,dotprod", |sum, a, b| lanes::dot(sum, a, b));
    dots!(signed_quads_128, v128::signed_quads_i32, 4, "neon,dotprod", |sum, a, b| lanes::dot_128(sum, a, b));
    dots!(quads, v128::quads_i32, 4, "neon,dotprod,i8mm", |sum, a, b| lanes::dot(sum, a, b));
}

/// A way of summing products of 16 lanes; needs the features that it was made with.
type Sums = unsafe fn(&[u8; 64], &[u8; 64]) -> [Vec<u32>; 2];

/// Holds a way of summing `times` products to the definition, for codes up to `most`, of which `less` is taken off, and every quant.
fn check_sums(sums: Sums, times: i32, most: u8, less: i32) {
    for (codes, _, _) in samples() {
        for shift in 0..64 {
            let codes = codes.map(|code| code.min(most));
            // -128 is no quant.
            let quants: [u8; 64] = std::array::from_fn(|at| match bytes()[(at + 67 * shift) % 256] {
                128 => 129,
                quant => quant,
            });
            let lanes = codes.as_chunks::<4>().0.iter().zip(quants.as_chunks::<4>().0);
            let product = |(code, quant): (&u8, &u8)| (i32::from(*code) - less) * i32::from(quant.cast_signed());
            let wanted = lanes.map(|(a, b)| (times * a.iter().zip(b).map(product).sum::<i32>() - 5).cast_unsigned());
            let words = codes.as_chunks().0.iter().zip(quants.as_chunks().0);
            let of_pairs = words.map(|(a, b)| v32::dot_pairs(v32::splat_i(-5), v32::line(a), v32::line(b)));
            // SAFETY: the caller found the features.
            assert_eq!(unsafe { sums(&codes, &quants) }, [wanted.collect::<Vec<_>>(), of_pairs.collect()]);
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn every_width_gives_the_bits_of_one_lane() {
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c") {
        compare!(eight, 8);
        check_sums(sums::pairs, 1, 127, 0);
        check_sums(sums::pairs_128, 1, 255, 128);
        if is_x86_feature_detected!("avxvnni") {
            check_sums(sums::quads, 1, 255, 0);
        }
    }
    if is_x86_feature_detected!("avx512vnni") && is_x86_feature_detected!("avx512bw") {
        compare!(sixteen, 16);
        check_sums(sums::wide_pairs, 1, 127, 0);
        check_sums(sums::wide_pairs_128, 1, 255, 128);
        check_sums(sums::wide_quads, 1, 255, 0);
    }
}

#[cfg(target_arch = "aarch64")]
#[test]
fn every_width_gives_the_bits_of_one_lane() {
    compare!(four, 4);
    check_sums(sums::products, 1, 127, 0);
    check_sums(sums::two_products, 2, 127, 0);
    check_sums(sums::products_128, 1, 255, 128);
    if std::arch::is_aarch64_feature_detected!("dotprod") {
        check_sums(sums::signed_quads, 1, 127, 0);
        check_sums(sums::signed_quads_128, 1, 255, 128);
    }
    if std::arch::is_aarch64_feature_detected!("i8mm") {
        check_sums(sums::quads, 1, 255, 0);
    }
}
