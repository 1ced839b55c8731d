//! The vocabulary of the instruction sets against that of one lane, over every byte.

#![cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]

#[cfg(target_arch = "x86_64")]
#[macro_use]
mod support;

#[cfg(target_arch = "aarch64")]
use quantloom_simd::lanes::neon;
use quantloom_simd::lanes::scalar;
#[cfg(target_arch = "x86_64")]
use quantloom_simd::lanes::{avx2, avx512};

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
                integers(lanes::look_up(sixteen, lanes::mask(codes, 15))),
                integers(lanes::look_up_32(all, lanes::mask(codes, 31))),
                numbers(lanes::pick::<0>(table, codes)),
                numbers(lanes::pick::<8>(table, codes)),
                numbers(lanes::pick::<24>(table, codes)),
                numbers(lanes::e4m3::<0>(codes)),
                numbers(lanes::e4m3::<16>(codes)),
                numbers(lanes::e4m3::<24>(codes)),
                numbers(lanes::e4m3_number::<0>(codes)),
                numbers(lanes::e4m3_number::<8>(codes)),
                numbers(lanes::e4m3_number::<24>(codes)),
                integers(lanes::magnitudes(lanes::mask(lanes::shl::<1>(codes), 0xfe), codes)),
                numbers(lanes::unless_nan(lanes::to_float(codes), lanes::mask(codes, 0x7f))),
                integers(lanes::lower::<3>(codes)),
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
                integers(lanes::mask(lanes::shl::<4>(codes), 0x70)),
                integers(lanes::mask(lanes::shr::<6>(codes), 3)),
                numbers(lanes::sub_product(lanes::floats(&[1.5; $lanes]), lanes::pick::<0>(table, codes), lanes::splat_f(0.1))),
            ]
        }
    };
}

results!(one, scalar, 1);
#[cfg(target_arch = "aarch64")]
results!(four, neon, 4, "neon");
#[cfg(target_arch = "x86_64")]
results!(eight, avx2, 8, "avx2,fma,f16c");
#[cfg(target_arch = "x86_64")]
results!(sixteen, avx512, 16, "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c");

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

#[cfg(target_arch = "x86_64")]
#[test]
fn every_width_gives_the_bits_of_one_lane() {
    if available!(is_x86_feature_detected: "avx2", "fma", "f16c") {
        compare!(eight, 8);
    }
    if available!(is_x86_feature_detected: "avx512f", "avx512bw", "avx512vl", "avx512dq", "avx2", "fma", "f16c") {
        compare!(sixteen, 16);
    }
}

#[cfg(target_arch = "aarch64")]
#[test]
fn every_width_gives_the_bits_of_one_lane() {
    compare!(four, 4);
}
