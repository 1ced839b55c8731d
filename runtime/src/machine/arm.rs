//! Probes for the vector extensions of 64-bit ARM.

use std::arch::aarch64::*;
use std::arch::asm;
use std::arch::is_aarch64_feature_detected as detected;
use std::hint::black_box;

use super::probe::{Chains, LINE, Probes};

/// The instruction sets of this target, the widest last. The first is always available.
pub(super) const ALL: &[Probes] = &[SCALAR, NEON, NEON_DOTPROD, NEON_I8MM];

// Operations are those of a step, times the chains that the function has.

/// What every 64-bit ARM processor has, and the compiler makes of portable code.
const SCALAR: Probes = Probes { isa: "scalar", available: || true, ..NEON };

const NEON: Probes = Probes {
    isa: "neon",
    available: || detected!("neon"),
    read,
    int8: &[Chains { ops: (16 * 32) as f64, run: dot_neon }, Chains { ops: (8 * 8 * 32) as f64, run: dot_neon_narrow }],
    float: Chains { ops: (16 * 8) as f64, run: float_neon },
};

const NEON_DOTPROD: Probes = Probes {
    isa: "neon-dotprod",
    available: || detected!("neon") && detected!("dotprod"),
    int8: &[Chains { ops: (16 * 32) as f64, run: dot_dotprod }],
    ..NEON
};

const NEON_I8MM: Probes = Probes {
    isa: "neon-i8mm",
    available: || detected!("neon") && detected!("dotprod") && detected!("i8mm"),
    int8: &[Chains { ops: (16 * 64) as f64, run: dot_i8mm }],
    ..NEON
};

#[target_feature(enable = "neon")]
fn read(data: &[u8], ahead: usize) {
    let mut sums = [vdupq_n_u8(0); LINE / 16];
    for line in data.chunks_exact(LINE) {
        if ahead > 0 {
            // SAFETY: a prefetch of any address is allowed.
            unsafe {
                asm!("prfm pldl1keep, [{}]", in(reg) line.as_ptr().wrapping_add(ahead),
                     options(readonly, nostack, preserves_flags));
            }
        }
        for (part, sum) in line.as_chunks::<16>().0.iter().zip(&mut sums) {
            // SAFETY: reads the 16 bytes of `part`.
            *sum = vorrq_u8(*sum, unsafe { vld1q_u8(part.as_ptr()) });
        }
    }
    black_box(sums);
}

/// A function that runs rounds of one step in each of 16 chains, on four activations and four weights.
macro_rules! chains {
    ($name:ident, $features:literal, [$sums:ty; $start:expr], [$operands:ty; $value:expr],
     |$sum:ident, $x:ident, $w:ident| $step:expr) => {
        #[target_feature(enable = $features)]
        fn $name(rounds: u64) {
            // Opaque: chains that are known to be equal would be made one.
            let mut sums: [$sums; 16] = *black_box(&[$start; 16]);
            let operands: [$operands; 8] = [$value; 8];
            for _ in 0..rounds {
                // Read anew: products of operands that stay the same would be taken out of the loop.
                let operands = *black_box(&operands);
                for (chain, sum) in sums.iter_mut().enumerate() {
                    let ($sum, $x, $w) = (*sum, operands[chain % 4], operands[4 + chain / 4]);
                    *sum = $step;
                }
            }
            black_box(sums);
        }
    };
}

/// One instruction that adds products of 8-bit integers to 32-bit sums; the library has no stable function for it.
macro_rules! dot {
    ($instruction:literal, $sum:ident, $x:ident, $w:ident) => {{
        let mut sum = $sum;
        // SAFETY: one instruction on registers, which the features of the function include.
        unsafe {
            asm!(
                concat!($instruction, " {0:v}.4s, {1:v}.16b, {2:v}.16b"),
                inout(vreg) sum, in(vreg) $x, in(vreg) $w,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        sum
    }};
}

chains!(float_neon, "neon", [float32x4_t; vdupq_n_f32(0.25)], [float32x4_t; vdupq_n_f32(0.25)], |sum, x, w| {
    vfmaq_f32(sum, x, w)
});
chains!(dot_neon, "neon", [int32x4_t; vdupq_n_s32(1)], [int8x16_t; vdupq_n_s8(35)], |sum, x, w| {
    let low = vmull_s8(vget_low_s8(x), vget_low_s8(w));
    vpadalq_s16(sum, vmlal_high_s8(low, x, w))
});
/// Sums products as codes of a few bits allow: eight times in 16 bits before the sum goes to 32. It has two times four chains.
#[target_feature(enable = "neon")]
fn dot_neon_narrow(rounds: u64) {
    let mut sums: [int32x4_t; 8] = *black_box(&[vdupq_n_s32(1); 8]);
    let operands: [int8x16_t; 6] = [vdupq_n_s8(35); 6];
    for _ in 0..rounds {
        let mut shorts = [[vdupq_n_s16(0); 2]; 8];
        for _ in 0..8 {
            // Read anew, as the next weights and activations would be.
            let operands = *black_box(&operands);
            for (chain, [first, last]) in shorts.iter_mut().enumerate() {
                let (x, w) = (operands[chain % 2], operands[2 + chain / 2]);
                *first = vmlal_s8(*first, vget_low_s8(x), vget_low_s8(w));
                *last = vmlal_high_s8(*last, x, w);
            }
        }
        for (sum, [first, last]) in sums.iter_mut().zip(shorts) {
            *sum = vpadalq_s16(vpadalq_s16(*sum, first), last);
        }
    }
    black_box(sums);
}

chains!(dot_dotprod, "neon,dotprod", [int32x4_t; vdupq_n_s32(1)], [int8x16_t; vdupq_n_s8(35)], |sum, x, w| {
    dot!("sdot", sum, x, w)
});
chains!(dot_i8mm, "neon,i8mm", [int32x4_t; vdupq_n_s32(1)], [int8x16_t; vdupq_n_s8(35)], |sum, x, w| {
    dot!("smmla", sum, x, w)
});
