//! What is asked of 64-bit Arm.

use disarm64::{InsnOpcode, decoder};
use quantloom::registry::{Dot, Kernel, Numerics};

use crate::{Flow, Instruction};

/// What multiplies weights.
pub const PRODUCTS: [&str; 8] = ["fmla", "smull", "smull2", "smlal", "smlal2", "sdot", "usdot", "usmmla"];

/// What a kernel's products are made with.
pub fn promised(kernel: &Kernel) -> &'static [&'static str] {
    match (kernel.numerics, kernel.isa().primitive) {
        (Numerics::Exact, _) => &["fmla"],
        (Numerics::Int8, Dot::ProductsI16) => &["smull", "smull2"],
        (Numerics::Int8, Dot::SignedQuadsI32) => &["sdot"],
        (Numerics::Int8, Dot::MatrixI32) if kernel.cols.is_multiple_of(2) => &["usmmla"],
        (Numerics::Int8, Dot::MatrixI32) => &["usdot"],
        (Numerics::Int8, _) => &[],
    }
}

/// The instructions of some code, until one is none.
pub fn decode(code: &[u8], start: u64) -> impl Iterator<Item = Instruction> {
    let words = code.as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes));
    words.zip((start..).step_by(4)).map_while(|(word, address)| {
        let mnemonic = decoder::decode(word)?.definition().mnemonic;
        let flow = flow(mnemonic, word, address);
        Some(Instruction { address, mnemonic: mnemonic.to_owned(), flow, spills: spills(mnemonic, word) })
    })
}

fn flow(mnemonic: &str, word: u32, address: u64) -> Flow {
    // The distance in words is a signed number of so many bits, from such a bit on.
    let target = |from: u32, bits: u32| {
        let distance = (word << (32 - from - bits)).cast_signed() >> (32 - bits);
        address.wrapping_add_signed(4 * i64::from(distance))
    };
    match mnemonic {
        "b" => Flow::Jump(target(0, 26)),
        "b.c" | "cbz" | "cbnz" => Flow::Branch(target(5, 19)),
        "tbz" | "tbnz" => Flow::Branch(target(5, 14)),
        "bl" | "blr" => Flow::Call,
        "ret" => Flow::Return,
        "br" | "brk" | "udf" => Flow::Out,
        _ => Flow::Next,
    }
}

fn spills(mnemonic: &str, word: u32) -> bool {
    const STACK_POINTER: u32 = 31;
    let (is_vector, base, has_offset) = (word >> 26 & 1 == 1, word >> 5 & 31, word >> 24 & 1 == 1);
    // `str` with bit 24 has a constant offset, without it a register's or one that is added to the base.
    let stores = matches!(mnemonic, "stur" | "stp") || (mnemonic == "str" && has_offset);
    stores && is_vector && base == STACK_POINTER
}

/// Kernels whose loops store vectors to the stack, and the most that a loop of theirs does, over all classes. What is not here does not.
/// f32 sums that a tile has no registers for are no spills: they lie in an array of the kernel's own, which is not addressed by the
/// stack pointer. docs/measurements.md says what these tiles were compared with.
pub const SPILLS: [(&str, usize); 6] = [
    ("gemm.int8.neon-i8mm.r16c2", 5),
    ("gemm.int8.neon-i8mm.r16c4", 1),
    ("gemm.int8.neon.r16c3", 34),
    ("gemv.exact.neon.r16c1", 12),
    ("gemv.int8.neon.r16c1", 6),
    ("panel.int8.neon.r16c3", 38),
];
