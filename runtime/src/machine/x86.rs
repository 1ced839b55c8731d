//! Probes for the vector extensions of x86-64.

use std::arch::x86_64::*;
use std::convert::identity;
use std::hint::black_box;

use super::probe::{Chains, LINE, Probes};

/// The instruction sets of this target, the widest last. The first is always available.
pub(super) const ALL: &[Probes] = &[SCALAR, AVX2, AVXVNNI, AVX512, AVX512VNNI];

// Operations are those of a step, times the chains that the function has.

/// What every x86-64 processor has, and the compiler makes of portable code. It multiplies in 16 bits.
const SCALAR: Probes = Probes {
    isa: "scalar",
    available: || true,
    read: read_128,
    int8: &[Chains { ops: (8 * 16) as f64, run: dot_128 }],
    float: Chains { ops: (8 * 8) as f64, run: float_128 },
};

const AVX2: Probes = Probes {
    isa: "avx2",
    available: || is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
    read: read_256,
    int8: &[Chains { ops: (8 * 64) as f64, run: dot_avx2 }, Chains { ops: (4 * 8 * 64) as f64, run: dot_avx2_narrow }],
    float: Chains { ops: (12 * 16) as f64, run: float_256 },
};

const AVXVNNI: Probes = Probes {
    isa: "avxvnni",
    available: || (AVX2.available)() && is_x86_feature_detected!("avxvnni"),
    int8: &[Chains { ops: (12 * 64) as f64, run: dot_avxvnni }],
    ..AVX2
};

const AVX512: Probes = Probes {
    isa: "avx512",
    available: || (AVX2.available)() && is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw"),
    read: read_512,
    int8: &[Chains { ops: (16 * 128) as f64, run: dot_avx512 }, Chains { ops: (8 * 8 * 128) as f64, run: dot_avx512_narrow }],
    float: Chains { ops: (16 * 32) as f64, run: float_512 },
};

const AVX512VNNI: Probes = Probes {
    isa: "avx512vnni",
    available: || (AVX512.available)() && is_x86_feature_detected!("avx512vnni"),
    int8: &[Chains { ops: (16 * 128) as f64, run: dot_avx512vnni }],
    ..AVX512
};

/// A function that reads a slice in vectors of one type.
macro_rules! read {
    ($name:ident, $features:literal, $vector:ty, $zero:ident, $or:ident) => {
        #[target_feature(enable = $features)]
        fn $name(data: &[u8], ahead: usize) {
            const VECTORS: usize = LINE / size_of::<$vector>();
            // Eight sums: independent, and few enough for registers.
            const LINES: usize = 8 / VECTORS;
            let mut sums = [[$zero(); VECTORS]; LINES];
            for lines in data.chunks_exact(LINES * LINE) {
                for (line, sums) in lines.chunks_exact(LINE).zip(&mut sums) {
                    if ahead > 0 {
                        // Past the end too: a prefetch of any address is allowed.
                        _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().wrapping_add(ahead).cast());
                    }
                    for (at, sum) in sums.iter_mut().enumerate() {
                        // SAFETY: `line` is `VECTORS` vectors long, and they may lie anywhere.
                        let vector = unsafe { line.as_ptr().cast::<$vector>().add(at).read_unaligned() };
                        *sum = $or(*sum, vector);
                    }
                }
            }
            black_box(sums);
        }
    };
}

read!(read_128, "sse2", __m128i, _mm_setzero_si128, _mm_or_si128);
read!(read_256, "avx2", __m256i, _mm256_setzero_si256, _mm256_or_si256);
read!(read_512, "avx512f", __m512i, _mm512_setzero_si512, _mm512_or_si512);

/// A function that runs rounds of one step in each of some chains, on `$xs` activations and `$ws` weights.
///
/// `$operands` is `identity`, or `black_box` for steps that have a part without the sum: that would be taken out of the loop, were
/// the operands not read anew in each round. Then each chain must have a pair of its own, or two would share that part.
macro_rules! chains {
    ($name:ident, $features:literal, [$vector:ty; $chains:literal], $start:expr, $operands:path, [$xs:literal, $ws:literal],
     |$sum:ident, $x:ident, $w:ident| $step:expr) => {
        #[target_feature(enable = $features)]
        #[allow(clippy::modulo_one, reason = "one operand is a number of operands")]
        fn $name(rounds: u64) {
            // Opaque: chains that are known to be equal would be made one.
            let mut sums: [$vector; $chains] = *black_box(&[$start; $chains]);
            let operands: [$vector; $xs + $ws] = *black_box(&[$start; $xs + $ws]);
            for _ in 0..rounds {
                let operands = *$operands(&operands);
                for (chain, sum) in sums.iter_mut().enumerate() {
                    let ($sum, $x, $w) = (*sum, operands[chain % $xs], operands[$xs + chain / $xs % $ws]);
                    *sum = $step;
                }
            }
            black_box(sums);
        }
    };
}

chains!(float_128, "sse2", [__m128; 8], _mm_set1_ps(0.25), black_box, [4, 2], |sum, x, w| {
    _mm_add_ps(sum, _mm_mul_ps(x, w))
});
chains!(dot_128, "sse2", [__m128i; 8], _mm_set1_epi16(35), black_box, [4, 2], |sum, x, w| {
    _mm_add_epi32(sum, _mm_madd_epi16(x, w))
});
chains!(float_256, "avx2,fma", [__m256; 12], _mm256_set1_ps(0.25), identity, [1, 1], |sum, x, w| {
    _mm256_fmadd_ps(x, w, sum)
});
chains!(float_512, "avx512f", [__m512; 16], _mm512_set1_ps(0.25), identity, [1, 1], |sum, x, w| _mm512_fmadd_ps(x, w, sum));
chains!(dot_avxvnni, "avx2,avxvnni", [__m256i; 12], _mm256_set1_epi8(35), identity, [1, 1], |sum, x, w| {
    _mm256_dpbusd_avx_epi32(sum, x, w)
});
chains!(dot_avx512vnni, "avx512f,avx512vnni", [__m512i; 16], _mm512_set1_epi8(35), identity, [1, 1], |sum, x, w| {
    _mm512_dpbusd_epi32(sum, x, w)
});
chains!(dot_avx2, "avx2", [__m256i; 8], _mm256_set1_epi8(35), black_box, [4, 2], |sum, x, w| {
    _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(x, w), _mm256_set1_epi16(1)))
});
chains!(dot_avx512, "avx512f,avx512bw", [__m512i; 16], _mm512_set1_epi8(35), black_box, [4, 4], |sum, x, w| {
    _mm512_add_epi32(sum, _mm512_madd_epi16(_mm512_maddubs_epi16(x, w), _mm512_set1_epi16(1)))
});

/// A function that sums products as codes of a few bits allow: eight times in 16 bits before the sum goes to 32. It has `$xs` times
/// `$ws` chains.
macro_rules! narrow {
    ($name:ident, $features:literal, $vector:ty, [$xs:literal, $ws:literal], $bytes:ident, $words:ident,
     $multiply:ident, $add:ident, $widen:ident, $add_wide:ident) => {
        #[target_feature(enable = $features)]
        fn $name(rounds: u64) {
            let mut sums: [$vector; $xs * $ws] = *black_box(&[$bytes(35); $xs * $ws]);
            let operands: [$vector; $xs + $ws] = [$bytes(35); $xs + $ws];
            for _ in 0..rounds {
                let mut shorts: [$vector; $xs * $ws] = [$words(0); $xs * $ws];
                for _ in 0..8 {
                    // Read anew, as the next weights and activations would be.
                    let operands = *black_box(&operands);
                    for (chain, short) in shorts.iter_mut().enumerate() {
                        let (x, w) = (operands[chain % $xs], operands[$xs + chain / $xs]);
                        *short = $add(*short, $multiply(x, w));
                    }
                }
                for (sum, short) in sums.iter_mut().zip(shorts) {
                    *sum = $add_wide(*sum, $widen(short, $words(1)));
                }
            }
            black_box(sums);
        }
    };
}

narrow!(
    dot_avx2_narrow,
    "avx2",
    __m256i,
    [2, 2],
    _mm256_set1_epi8,
    _mm256_set1_epi16,
    _mm256_maddubs_epi16,
    _mm256_add_epi16,
    _mm256_madd_epi16,
    _mm256_add_epi32
);
narrow!(
    dot_avx512_narrow,
    "avx512f,avx512bw",
    __m512i,
    [4, 2],
    _mm512_set1_epi8,
    _mm512_set1_epi16,
    _mm512_maddubs_epi16,
    _mm512_add_epi16,
    _mm512_madd_epi16,
    _mm512_add_epi32
);
