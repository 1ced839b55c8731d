//! Results do not depend on the floating-point mode of the thread that asks for them, which keeps it.

#![cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]

mod support;

use quantloom::encode::Encoder;
use quantloom::gguf::{BlockShape, Gguf};
use quantloom::matmul::{Request, matmul};
use quantloom::pool::Pool;
use quantloom::registry::{self, Numerics};
use quantloom::stored::Stored;
use quantloom::weights::Weights;
use support::files;
use support::products::{bits, numerics_of};

/// Activations of such magnitudes: their products, their scales or they themselves are subnormal.
const MAGNITUDES: [f32; 4] = [1.0, 1e-34, 1e-37, 1e-39];

/// What libraries built with fast-math leave behind, and rounding towards zero besides.
#[cfg(target_arch = "x86_64")]
mod mode {
    use std::arch::asm;

    /// Flush-to-zero, round towards zero, denormals-are-zero, exceptions masked.
    pub const OTHER: u32 = 0x8000 | 0x6000 | 0x1f80 | 0x0040;
    pub const STANDARD: u32 = 0x1f80;

    /// Without the flags that say what happened.
    pub fn get() -> u32 {
        let mut register = 0_u32;
        // SAFETY: writes four bytes.
        unsafe { asm!("stmxcsr [{}]", in(reg) &raw mut register) };
        register & !0x3f
    }

    pub fn set(register: u32) {
        // SAFETY: reads four bytes; what this thread computes meanwhile is compared with what it computes otherwise.
        unsafe { asm!("ldmxcsr [{}]", in(reg) &raw const register) };
    }
}

/// What libraries built with fast-math leave behind, and rounding towards zero besides.
#[cfg(target_arch = "aarch64")]
mod mode {
    use std::arch::asm;

    /// Flush-to-zero, round towards zero.
    pub const OTHER: u64 = 0b111 << 22;
    pub const STANDARD: u64 = 0;

    pub fn get() -> u64 {
        let register;
        // SAFETY: only reads.
        unsafe { asm!("mrs {}, fpcr", out(reg) register) };
        register
    }

    pub fn set(register: u64) {
        // SAFETY: what this thread computes meanwhile is compared with what it computes otherwise.
        unsafe { asm!("msr fpcr, {}", in(reg) register) };
    }
}

/// What `compute` comes to in the other mode, which it must leave as it is.
fn in_other_mode<T>(compute: impl FnOnce() -> T) -> T {
    mode::set(mode::OTHER);
    let result = compute();
    let left = mode::get();
    mode::set(mode::STANDARD);
    assert_eq!(left, mode::OTHER, "the mode of the caller");
    result
}

#[test]
fn a_caller_that_flushes_subnormals_gets_the_same_bits() {
    let pools = [Pool::new(1), Pool::new(2)];
    let mut compared = 0;
    for path in files("golden") {
        let file = Gguf::open(&path).unwrap();
        let tensor = file.tensor("quantized").unwrap();
        let format = registry::format_by_gguf(tensor.kind).unwrap();
        let shape = BlockShape::of(format).unwrap();
        let bytes = file.bytes(tensor, shape).unwrap();
        let (n, k) = (tensor.rows(), tensor.k());
        let stored = Stored::new(format, n, k, bytes).unwrap();
        let decode = || {
            let mut out = vec![0.0; n * k];
            stored.decode(0..n, &mut out).unwrap();
            out
        };
        let weights = decode();
        assert_eq!(bits(&weights), bits(&in_other_mode(decode)), "{}", path.display());
        if format.packed.is_none() {
            continue;
        }
        let packed = Weights::pack_stored(&stored, &pools[0]).unwrap();
        for (numerics, magnitude) in numerics_of(format).flat_map(|numerics| MAGNITUDES.map(|magnitude| (numerics, magnitude)))
        {
            let x = (0..3 * k).map(|at| magnitude * ((at * 7919 % 1009) as f32 / 504.5 - 1.0)).collect::<Vec<_>>();
            for pool in &pools {
                let product = || {
                    let mut y = vec![0.0; 3 * n];
                    matmul(&packed, &x, 3, &mut y, &Request::default().numerics(numerics), pool).unwrap();
                    y
                };
                let (usual, other) = (bits(&product()), bits(&in_other_mode(product)));
                assert_eq!(usual, other, "{}, {numerics:?}, {magnitude:e}, {} threads", format.name, pool.threads());
                compared += 1;
            }
        }
    }
    assert!(compared > 200, "{compared}");
}

#[test]
fn an_encoder_decides_the_same() {
    let pool = Pool::new(2);
    let weights = (0..4096).map(|at| 1e-38 * ((at * 7919 % 1009) as f32 / 504.5 - 1.0)).collect::<Vec<_>>();
    let (importance, mut compared) = (weights.iter().map(|w| w.abs() * 1e30).collect::<Vec<_>>(), 0);
    for format in registry::formats().filter(|format| registry::default_numerics(format) == Numerics::Int8) {
        let Ok(encoder) = Encoder::new(format) else { continue };
        let encode = || encoder.encode(&weights, 4096, Some(&importance), &pool);
        let Ok(usual) = encode() else { continue };
        assert!(usual == in_other_mode(encode).unwrap(), "{}", format.name);
        compared += 1;
    }
    assert!(compared > 10, "{compared}");
}
