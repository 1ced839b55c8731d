//! Probes in plain Rust, which the compiler may vectorise with what every processor of the target has (SSE2 on x86-64).

use std::hint::black_box;

use super::probe::{Chains, LINE, Probes};

/// The probes that run everywhere.
pub(super) const SCALAR: Probes = Probes {
    isa: "scalar",
    available: || true,
    read: |data, _| read(data),
    int8: &[Chains { ops: (2 * 8 * CHAINS) as f64, run: |rounds| int8(rounds) }],
    float: Chains { ops: (2 * 4 * CHAINS) as f64, run: |rounds| float(rounds) },
};

/// Independent sums: enough to hide the latency of an addition.
const CHAINS: usize = 8;

/// Reads `data`, without asking for anything ahead of time.
fn read(data: &[u8]) {
    let mut sums = [0_u64; 8];
    for line in data.chunks_exact(LINE) {
        for (sum, word) in sums.iter_mut().zip(line.as_chunks().0) {
            *sum |= u64::from_ne_bytes(*word);
        }
    }
    black_box(sums);
}

/// Per round and chain, 8 products of 16-bit integers, added to 4 sums.
fn int8(rounds: u64) {
    let mut sums = *black_box(&[[1_i32; 4]; CHAINS]);
    let operands = [[35_i16; 8]; CHAINS];
    for _ in 0..rounds {
        // Read anew: products of operands that stay the same would be taken out of the loop.
        let operands = *black_box(&operands);
        for (chain, sums) in sums.iter_mut().enumerate() {
            let (x, w) = (&operands[chain % 4], &operands[4 + chain / 4]);
            for (lane, sum) in sums.iter_mut().enumerate() {
                let [a, b] = [2 * lane, 2 * lane + 1].map(|at| i32::from(x[at]) * i32::from(w[at]));
                *sum = sum.wrapping_add(a.wrapping_add(b));
            }
        }
    }
    black_box(sums);
}

/// Per round and chain, 4 products added to 4 sums.
fn float(rounds: u64) {
    let mut sums = *black_box(&[[0.25_f32; 4]; CHAINS]);
    let operands = [[0.25_f32; 4]; CHAINS];
    for _ in 0..rounds {
        let operands = *black_box(&operands);
        for (chain, sums) in sums.iter_mut().enumerate() {
            let (x, w) = (&operands[chain % 4], &operands[4 + chain / 4]);
            for (lane, sum) in sums.iter_mut().enumerate() {
                *sum += x[lane] * w[lane];
            }
        }
    }
    black_box(sums);
}
