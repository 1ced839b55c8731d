//! What is asked of x86-64.

use iced_x86::{Code, Decoder, DecoderOptions, FlowControl, Instruction as Decoded, OpKind, Register};
use quantloom::registry::{Dot, Kernel, Numerics};

use crate::{Flow, Instruction};

/// The fused multiply-add, which is spelt by the order of its operands.
const FMA: [&str; 3] = ["vfmadd132ps", "vfmadd213ps", "vfmadd231ps"];
/// What multiplies weights.
pub const PRODUCTS: [&str; 5] = [FMA[0], FMA[1], FMA[2], "vpdpbusd", "vpmaddubsw"];

/// What a kernel's products are made with.
pub fn promised(kernel: &Kernel) -> &'static [&'static str] {
    match (kernel.numerics, kernel.isa().primitive) {
        (Numerics::Exact, _) => &FMA,
        (Numerics::Int8, Dot::PairsI16) => &["vpmaddubsw"],
        (Numerics::Int8, Dot::QuadsI32) => &["vpdpbusd"],
        (Numerics::Int8, _) => &[],
    }
}

/// The instructions of some code, until one is none.
pub fn decode(code: &[u8], start: u64) -> impl Iterator<Item = Instruction> {
    let mut decoder = Decoder::with_ip(64, code, start, DecoderOptions::NONE);
    let decoded = std::iter::from_fn(move || decoder.can_decode().then(|| decoder.decode()));
    decoded.take_while(|instruction| instruction.code() != Code::INVALID).map(|instruction| Instruction {
        address: instruction.ip(),
        mnemonic: format!("{:?}", instruction.mnemonic()).to_lowercase(),
        flow: flow(&instruction),
        spills: spills(&instruction),
    })
}

fn flow(instruction: &Decoded) -> Flow {
    match instruction.flow_control() {
        FlowControl::UnconditionalBranch => Flow::Jump(instruction.near_branch_target()),
        FlowControl::ConditionalBranch => Flow::Branch(instruction.near_branch_target()),
        FlowControl::Call | FlowControl::IndirectCall => Flow::Call,
        FlowControl::Return => Flow::Return,
        FlowControl::Exception | FlowControl::IndirectBranch => Flow::Out,
        _ => Flow::Next,
    }
}

fn spills(instruction: &Decoded) -> bool {
    let on_stack = instruction.memory_base() == Register::RSP && instruction.memory_index() == Register::None;
    let store = instruction.op0_kind() == OpKind::Memory;
    on_stack && store && instruction.op_kind(1) == OpKind::Register && instruction.op1_register().is_vector_register()
}

/// Kernels whose loops store vectors to the stack, and the most that a loop of theirs does, over all classes. What is not here does not.
/// f32 sums that a tile has no registers for are no spills: they lie in an array of the kernel's own, which is not addressed by the
/// stack pointer. The most of builds with and without incremental compilation, which differ by up to 4. docs/measurements.md says what these tiles were compared with.
pub const SPILLS: [(&str, usize); 17] = [
    ("gemm.exact.avx2.r16c2", 20),
    ("gemm.int8.avx2.r16c2", 7),
    ("gemm.int8.avx512.r32c4", 27),
    ("gemm.int8.avx512vnni.r32c5", 11),
    ("gemm.int8.avx512vnni.r32c6", 13),
    ("gemm.int8.avx512vnni.r32c8", 12),
    ("gemm.int8.avx512vnni.r64c4", 13),
    ("gemm.int8.avxvnni.r16c4", 13),
    ("gemv.exact.avx2.r16c1", 7),
    ("gemv.int8.avx2.r32c1", 9),
    ("gemv.int8.avx512.r64c1", 6),
    ("gemv.int8.avx512vnni.r64c1", 14),
    ("gemv.int8.avxvnni.r32c1", 6),
    ("panel.exact.avx2.r16c6", 3),
    ("panel.int8.avx2.r16c3", 3),
    ("panel.int8.avx512vnni.r32c8", 5),
    ("panel.int8.avxvnni.r16c4", 6),
];
