//! What the compiler made of the default kernels: the instruction that the dot primitive of their instruction set promises, and in the
//! innermost loops that multiply no call and no spill.

#![cfg(target_arch = "x86_64")]

use std::collections::{BTreeMap, BTreeSet};

use iced_x86::{Code, Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, OpKind, Register};
use quantloom::registry::{self, Dot, Kernel, Numerics, kernels};

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

/// What a kernel's products are made with.
fn promised(kernel: &Kernel) -> &'static [Mnemonic] {
    match (kernel.numerics, kernel.isa.primitive) {
        (Numerics::Exact, _) => &FMA,
        (Numerics::Int8, Dot::Scalar | Dot::ProductsI16 | Dot::SignedQuadsI32) => &[],
        (Numerics::Int8, Dot::PairsI16) => &[Mnemonic::Vpmaddubsw],
        (Numerics::Int8, Dot::QuadsI32) => &[Mnemonic::Vpdpbusd],
    }
}

fn multiplies(instruction: &Instruction) -> bool {
    let mnemonic = instruction.mnemonic();
    FMA.contains(&mnemonic) || [Mnemonic::Vpdpbusd, Mnemonic::Vpmaddubsw].contains(&mnemonic)
}

/// Where control goes from each instruction, as indices.
fn flow(code: &[Instruction]) -> Vec<Vec<usize>> {
    let place = code.iter().enumerate().map(|(index, instruction)| (instruction.ip(), index)).collect::<BTreeMap<_, _>>();
    let goes = |(index, instruction): (usize, &Instruction)| {
        let next = || (index + 1 < code.len()).then_some(index + 1);
        let target = || place.get(&instruction.near_branch_target()).copied();
        let places = match instruction.flow_control() {
            FlowControl::UnconditionalBranch => [target(), None],
            FlowControl::ConditionalBranch => [target(), next()],
            FlowControl::Return | FlowControl::Exception | FlowControl::IndirectBranch => [None, None],
            _ => [next(), None],
        };
        places.into_iter().flatten().collect()
    };
    code.iter().enumerate().map(goes).collect()
}

/// The edges that close a loop, as `(last, first)`: those to an instruction that is on the way from the start.
fn back_edges(goes: &[Vec<usize>]) -> Vec<(usize, usize)> {
    let (mut edges, mut seen, mut on_the_way) = (Vec::new(), vec![false; goes.len()], vec![false; goes.len()]);
    let mut way = vec![(0, 0)];
    (seen[0], on_the_way[0]) = (true, true);
    while let Some((at, tried)) = way.last_mut() {
        let at = *at;
        let Some(&next) = goes[at].get(*tried) else {
            on_the_way[at] = false;
            way.pop();
            continue;
        };
        *tried += 1;
        if on_the_way[next] {
            edges.push((at, next));
        } else if !seen[next] {
            (seen[next], on_the_way[next]) = (true, true);
            way.push((next, 0));
        }
    }
    edges
}

/// The loops that hold no other loop and multiply: all that can reach the last instruction without passing the first.
fn inner_loops(code: &[Instruction]) -> Vec<Vec<Instruction>> {
    let goes = flow(code);
    let mut comes = vec![Vec::new(); code.len()];
    for (from, places) in goes.iter().enumerate() {
        places.iter().for_each(|&to| comes[to].push(from));
    }
    let mut loops = BTreeMap::<usize, BTreeSet<usize>>::new();
    for (last, first) in back_edges(&goes) {
        let body = loops.entry(first).or_insert_with(|| BTreeSet::from([first]));
        let mut found = vec![last];
        while let Some(at) = found.pop() {
            if body.insert(at) {
                found.extend(&comes[at]);
            }
        }
    }
    let holds_none = |first: usize, body: &BTreeSet<usize>| !loops.keys().any(|other| *other != first && body.contains(other));
    let inner = loops.iter().filter(|(first, body)| holds_none(**first, body));
    let inner = inner.map(|(_, body)| body.iter().map(|&at| code[at]).collect::<Vec<_>>());
    inner.filter(|body| body.iter().filter(|instruction| multiplies(instruction)).count() >= WORK).collect()
}

fn calls(instruction: &Instruction) -> bool {
    matches!(instruction.flow_control(), FlowControl::Call | FlowControl::IndirectCall)
}

/// A vector that the compiler puts on the stack. Loads from there do not count: what a loop only loads was put there once, before it.
fn spills(instruction: &Instruction) -> bool {
    let on_stack = instruction.memory_base() == Register::RSP && instruction.memory_index() == Register::None;
    let store = instruction.op0_kind() == OpKind::Memory;
    on_stack && store && instruction.op_kind(1) == OpKind::Register && instruction.op1_register().is_vector_register()
}

/// Kernels whose loops store vectors to the stack, and the most that a loop of theirs does, over all classes. What is not here does not.
/// f32 sums that a tile has no registers for are no spills: they lie in an array of the kernel's own, which is not addressed by the
/// stack pointer. The most of builds with and without incremental compilation, which differ by up to 4. docs/kernels.md says what these tiles were compared with.
const SPILLS: [(&str, usize); 16] = [
    ("gemm.exact.avx2.r16c2", 20),
    ("gemm.int8.avx2.r16c2", 7),
    ("gemm.int8.avx512.r32c4", 26),
    ("gemm.int8.avx512vnni.r32c5", 6),
    ("gemm.int8.avx512vnni.r32c6", 9),
    ("gemm.int8.avx512vnni.r32c8", 5),
    ("gemm.int8.avx512vnni.r64c4", 13),
    ("gemm.int8.avxvnni.r16c4", 13),
    ("gemv.exact.avx2.r16c1", 7),
    ("gemv.int8.avx2.r32c1", 7),
    ("gemv.int8.avx512.r64c1", 4),
    ("gemv.int8.avx512vnni.r64c1", 11),
    ("gemv.int8.avxvnni.r32c1", 6),
    ("panel.int8.avx2.r16c3", 3),
    ("panel.int8.avx512vnni.r32c8", 5),
    ("panel.int8.avxvnni.r16c4", 6),
];

/// The most spills that a loop of a kernel may have.
fn most_spills(kernel: &Kernel) -> usize {
    // The name without its format and without what comes after rows and columns.
    let tile = kernel.name.split_once('.').map_or("", |(_, tile)| tile);
    let is = |name: &str| tile.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    SPILLS.iter().find(|(name, _)| is(name)).map_or(0, |&(_, most)| most)
}

/// What is wrong with a loop, if anything.
fn faults(body: &[Instruction], most_spills: usize) -> Vec<String> {
    let count = |is: fn(&Instruction) -> bool, most: usize, what: &str| {
        let found = body.iter().filter(|instruction| is(instruction)).count();
        (found > most).then(|| format!("{found} {what} in a loop of {}", body.len()))
    };
    [count(calls, 0, "calls"), count(spills, most_spills, "spills")].into_iter().flatten().collect()
}

#[test]
fn inner_loops_multiply_and_nothing_else_gets_in() {
    let vectors = |kernel: &&Kernel| kernel.isa.primitive != Dot::Scalar;
    let defaults = registry::formats().flat_map(kernels).filter(|kernel| !kernel.batch.is_empty()).filter(vectors);
    let (mut wrong, mut looked_at) = (Vec::new(), 0);
    for kernel in defaults {
        let (code, promised) = (instructions(kernel), promised(kernel));
        if !code.iter().any(|instruction| promised.contains(&instruction.mnemonic())) {
            wrong.push(format!("{}: no {promised:?}", kernel.name));
        }
        let loops = inner_loops(&code);
        if loops.is_empty() {
            wrong.push(format!("{}: no loop found in {} instructions", kernel.name, code.len()));
        }
        looked_at += loops.len();
        let found = loops.iter().flat_map(|body| faults(body, most_spills(kernel)));
        wrong.extend(found.map(|fault| format!("{}: {fault}", kernel.name)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(looked_at > 100, "{looked_at}");
}
