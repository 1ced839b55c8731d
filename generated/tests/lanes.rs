//! The vocabulary of the vector widths against that of one lane, over every byte.

#![cfg(target_arch = "x86_64")]

use quantloom_kernels::ISAS;
use quantloom_kernels::lanes::{v32, v256, v512};

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
                numbers(lanes::sub_product(lanes::floats(&[1.5; $lanes]), lanes::pick::<0>(table, codes), lanes::splat_f(0.1))),
            ]
        }
    };
}

results!(one, v32, 1);
results!(eight, v256, 8, "avx2,fma,f16c");
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

/// Whether this processor has the instruction set, which is the one whose card asks for the same features.
fn available(name: &str) -> bool {
    ISAS.iter().any(|isa| isa.name == name && (isa.available)())
}

#[test]
fn every_width_gives_the_bits_of_one_lane() {
    let bytes = bytes();
    let halves = bytes.map(|byte| u16::from(byte) * 251);
    for (index, few) in bytes.as_chunks::<16>().0.iter().enumerate() {
        let halves: &[u16; 16] = halves.as_chunks().0[index..][..1].first().unwrap();
        let quads: [u8; 64] = std::array::from_fn(|at| bytes[(16 * index + 5 * at) % 256]);
        let wanted = singly(&quads, few, halves);
        if available("avx2") {
            for half in 0..2 {
                let (quads, few, halves) = (quads.as_chunks().0[half], few.as_chunks().0[half], halves.as_chunks().0[half]);
                // SAFETY: the features were just found.
                assert_eq!(unsafe { eight(&quads, &few, &halves) }, singly(&quads, &few, &halves));
            }
        }
        if available("avx512") {
            // SAFETY: the features were just found.
            assert_eq!(unsafe { sixteen(&quads, few, halves) }, wanted);
        }
    }
}
