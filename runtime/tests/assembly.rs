//! What the compiler made of the default kernels: the instruction that their instruction set promises, and no call in an inner
//! loop; for the formats of `defaults.toml`, where there are 32 registers, no spill either.

#![cfg(target_arch = "x86_64")]

use std::collections::BTreeMap;

use iced_x86::{Code, Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, OpKind, Register};
use quantloom::defaults::Defaults;
use quantloom::registry::{self, Kernel, Numerics, kernels};

/// Longest function that is looked at, in bytes.
const LONGEST: usize = 1 << 16;
/// Multiplications that make a loop worth looking at.
const WORK: usize = 4;

/// The instructions of a kernel, from its first to the last that a branch reaches.
fn instructions(kernel: &Kernel) -> Vec<Instruction> {
    let start = kernel.run as usize as u64;
    // SAFETY: code pages are readable; a function ends long before `LONGEST`, and the program's other code follows it.
    let code = unsafe { std::slice::from_raw_parts(start as *const u8, LONGEST) };
    let mut decoder = Decoder::with_ip(64, code, start, DecoderOptions::NONE);
    let (mut found, mut furthest, mut returned) = (Vec::new(), start, false);
    while decoder.can_decode() {
        let instruction = decoder.decode();
        found.push(instruction);
        let flow = instruction.flow_control();
        if matches!(flow, FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch) {
            furthest = furthest.max(instruction.near_branch_target());
        }
        returned |= flow == FlowControl::Return;
        // Behind the return lie the calls that report a failed check: the last of them ends the function, and what follows is another.
        let leaves = matches!(flow, FlowControl::Return | FlowControl::UnconditionalBranch | FlowControl::Exception);
        let ends = leaves || (returned && matches!(flow, FlowControl::Call | FlowControl::IndirectCall));
        if (ends && instruction.ip() >= furthest) || instruction.code() == Code::INVALID {
            break;
        }
    }
    found
}

/// The fused multiply-add, which is spelt by the order of its operands.
const FMA: [Mnemonic; 3] = [Mnemonic::Vfmadd132ps, Mnemonic::Vfmadd213ps, Mnemonic::Vfmadd231ps];

fn multiplies(instruction: &Instruction) -> bool {
    let mnemonic = instruction.mnemonic();
    FMA.contains(&mnemonic) || [Mnemonic::Vpdpbusd, Mnemonic::Vpmaddubsw].contains(&mnemonic)
}

/// The loops that hold no other loop and multiply, as slices of the instructions.
fn inner_loops(code: &[Instruction]) -> Vec<&[Instruction]> {
    let place = code.iter().enumerate().map(|(index, instruction)| (instruction.ip(), index)).collect::<BTreeMap<_, _>>();
    let back = |(end, instruction): (usize, &Instruction)| {
        let branches = instruction.flow_control() == FlowControl::ConditionalBranch;
        let start = *place.get(&instruction.near_branch_target()).filter(|_| branches)?;
        (start <= end).then_some((start, end))
    };
    let loops = code.iter().enumerate().filter_map(back).collect::<Vec<_>>();
    let holds_none = |one: &&(usize, usize)| !loops.iter().any(|other| other != *one && other.0 >= one.0 && other.1 <= one.1);
    let inner = loops.iter().filter(holds_none).map(|&(start, end)| &code[start..=end]);
    inner.filter(|body| body.iter().filter(|instruction| multiplies(instruction)).count() >= WORK).collect()
}

/// A vector that goes to the stack. Loads from there do not count: what a loop only loads was put there once, before it.
fn spills(instruction: &Instruction) -> bool {
    let on_stack = instruction.memory_base() == Register::RSP && instruction.memory_index() == Register::None;
    let store = instruction.op0_kind() == OpKind::Memory;
    on_stack && store && instruction.op_kind(1) == OpKind::Register && instruction.op1_register().is_vector_register()
}

#[test]
fn inner_loops_multiply_and_nothing_else_gets_in() {
    let mut looked_at = 0;
    let measured = Defaults::get().bench.formats;
    let defaults = registry::formats().flat_map(kernels).filter(|kernel| !kernel.batch.is_empty() && kernel.isa.rank > 0);
    for kernel in defaults {
        let code = instructions(kernel);
        let promised: &[Mnemonic] = match (kernel.numerics, kernel.isa.name) {
            (Numerics::Exact, _) => &FMA,
            (Numerics::Int8, "avx2") => &[Mnemonic::Vpmaddubsw],
            (Numerics::Int8, _) => &[Mnemonic::Vpdpbusd],
        };
        assert!(code.iter().any(|instruction| promised.contains(&instruction.mnemonic())), "{}: no {promised:?}", kernel.name);
        let loops = inner_loops(&code);
        assert!(!loops.is_empty(), "{}: no loop found in {} instructions", kernel.name, code.len());
        for body in loops {
            let is_call = |instruction: &&Instruction| {
                matches!(instruction.flow_control(), FlowControl::Call | FlowControl::IndirectCall)
            };
            let calls = body.iter().filter(is_call).count();
            assert_eq!(calls, 0, "{}", kernel.name);
            let spilt = body.iter().filter(|instruction| spills(instruction)).count();
            let free = kernel.isa.name == "avx2" || !measured.iter().any(|format| format == kernel.format);
            assert!(free || spilt == 0, "{}: {spilt} spills in a loop of {}", kernel.name, body.len());
            looked_at += 1;
        }
    }
    assert!(looked_at > 100, "{looked_at}");
}
