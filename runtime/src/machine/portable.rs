//! Probes in plain Rust, for targets that have no others. The compiler may vectorise them, as it may the portable kernels.

use std::hint::black_box;

use super::probe::{Chains, LINE, Probes};

/// The instruction sets of this target.
pub(super) const ALL: &[Probes] = &[SCALAR];

const SCALAR: Probes = Probes {
    isa: "scalar",
    available: || true,
    read,
    int8: &[Chains { ops: (8 * 16) as f64, run: int8 }],
    float: Chains { ops: (8 * 8) as f64, run: float },
};

/// Reads `data`; there is no portable way to ask for it ahead of time.
fn read(data: &[u8], _ahead: usize) {
    let mut sums = [0_u64; 8];
    for line in data.chunks_exact(LINE) {
        for (sum, word) in sums.iter_mut().zip(line.as_chunks().0) {
            *sum |= u64::from_ne_bytes(*word);
        }
    }
    black_box(sums);
}

/// A function that adds a vector of products to each of 8 vectors of sums per round.
macro_rules! chains {
    ($name:ident, [$sums:ty; $lanes:literal], $operands:ty, $start:expr, |$sum:ident, $x:ident, $w:ident| $step:expr) => {
        fn $name(rounds: u64) {
            // Opaque: chains that are known to be equal would be made one.
            let mut sums = *black_box(&[[<$sums>::from($start); $lanes]; 8]);
            let operands: [[$operands; $lanes]; 6] = [[$start; $lanes]; 6];
            for _ in 0..rounds {
                // Read anew: products of operands that stay the same would be taken out of the loop.
                let operands = *black_box(&operands);
                for (chain, sums) in sums.iter_mut().enumerate() {
                    let (xs, ws) = (&operands[chain % 4], &operands[4 + chain / 4]);
                    for ($sum, ($x, $w)) in sums.iter_mut().zip(xs.iter().zip(ws)) {
                        $step;
                    }
                }
            }
            black_box(sums);
        }
    };
}

chains!(float, [f32; 4], f32, 0.25_f32, |sum, x, w| *sum += x * w);
chains!(int8, [i32; 8], i16, 35_i16, |sum, x, w| *sum = sum.wrapping_add(i32::from(*x) * i32::from(*w)));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn portable_probes_run() {
        let [Probes { read, int8: [int8], float, .. }] = ALL else { panic!("there is one way") };
        // SAFETY: these functions need nothing.
        unsafe {
            read(&[1; 3 * LINE], 0);
            (int8.run)(3);
            (float.run)(3);
        }
    }
}
