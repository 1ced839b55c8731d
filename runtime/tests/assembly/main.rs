//! What the compiler made of the default kernels: in the innermost loops that multiply, the instruction that the dot primitive of their
//! instruction set promises, no call and no spill.

#![cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]

#[cfg(target_arch = "aarch64")]
#[path = "arm.rs"]
mod arch;
#[cfg(target_arch = "x86_64")]
#[path = "x86.rs"]
mod arch;

use std::collections::{BTreeMap, BTreeSet};

use quantloom::registry::{self, Dot, Kernel, kernels};

/// Longest function that is looked at, in bytes.
const LONGEST: usize = 1 << 16;
/// Multiplications that make a loop worth looking at.
const WORK: usize = 4;

/// What is looked at in an instruction.
#[derive(Clone, Debug)]
pub struct Instruction {
    /// Where it lies.
    pub address: u64,
    /// What it is called.
    pub mnemonic: String,
    /// Where control goes from it.
    pub flow: Flow,
    /// Whether it puts a vector on the stack. Loads from there do not count: what a loop only loads was put there once, before it.
    pub spills: bool,
}

/// Where control goes from an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// To the next.
    Next,
    /// To the next, after a function.
    Call,
    /// To an address.
    Jump(u64),
    /// To an address or the next.
    Branch(u64),
    /// Back to the caller.
    Return,
    /// Out of the function, by an error or to a place that is computed.
    Out,
}

/// The instructions of a kernel, from its first to the last that a branch reaches.
fn instructions(kernel: &Kernel) -> Vec<Instruction> {
    let start = kernel.run() as usize as u64;
    // SAFETY: code pages are readable; a function ends long before `LONGEST`, and the program's other code follows it.
    let code = unsafe { std::slice::from_raw_parts(start as *const u8, LONGEST) };
    let (mut found, mut furthest, mut returned) = (Vec::new(), start, false);
    for instruction in arch::decode(code, start) {
        let (flow, address) = (instruction.flow, instruction.address);
        found.push(instruction);
        if let Flow::Jump(target) | Flow::Branch(target) = flow {
            furthest = furthest.max(target);
        }
        returned |= flow == Flow::Return;
        // Behind the return lie the calls that report a failed check: the last of them ends the function, and what follows is another.
        let leaves = matches!(flow, Flow::Return | Flow::Jump(_) | Flow::Out);
        if (leaves || (returned && flow == Flow::Call)) && address >= furthest {
            break;
        }
    }
    found
}

/// Where control goes from each instruction, as indices.
fn flow(code: &[Instruction]) -> Vec<Vec<usize>> {
    let place = code.iter().enumerate().map(|(index, instruction)| (instruction.address, index)).collect::<BTreeMap<_, _>>();
    let goes = |(index, instruction): (usize, &Instruction)| {
        let next = || (index + 1 < code.len()).then_some(index + 1);
        let target = |address| place.get(&address).copied();
        let places = match instruction.flow {
            Flow::Next | Flow::Call => [next(), None],
            Flow::Jump(address) => [target(address), None],
            Flow::Branch(address) => [target(address), next()],
            Flow::Return | Flow::Out => [None, None],
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
    let inner = inner.map(|(_, body)| body.iter().map(|&at| code[at].clone()).collect::<Vec<_>>());
    inner
        .filter(|body| {
            body.iter().filter(|instruction| arch::PRODUCTS.contains(&instruction.mnemonic.as_str())).count() >= WORK
        })
        .collect()
}

/// The most spills that a loop of a kernel may have.
fn most_spills(kernel: &Kernel) -> usize {
    // The name without its format and without what comes after rows and columns.
    let tile = kernel.name.split_once('.').map_or("", |(_, tile)| tile);
    let is = |name: &str| tile.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    arch::SPILLS.iter().find(|(name, _)| is(name)).map_or(0, |&(_, most)| most)
}

/// What is wrong with a loop, if anything.
fn faults(body: &[Instruction], most_spills: usize) -> Vec<String> {
    let count = |what: &str, most: usize, is: fn(&Instruction) -> bool| {
        let found = body.iter().filter(|instruction| is(instruction)).count();
        (found > most).then(|| format!("{found} {what} in a loop of {}", body.len()))
    };
    [
        count("calls", 0, |instruction| instruction.flow == Flow::Call),
        count("spills", most_spills, |instruction| instruction.spills),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[test]
fn inner_loops_multiply_and_nothing_else_gets_in() {
    let vectors = |kernel: &&Kernel| kernel.isa().primitive != Dot::Scalar;
    let defaults = registry::formats().flat_map(kernels).filter(|kernel| !kernel.batch.is_empty()).filter(vectors);
    let (mut wrong, mut looked_at) = (Vec::new(), 0);
    for kernel in defaults {
        let (code, promised) = (instructions(kernel), arch::promised(kernel));
        let loops = inner_loops(&code);
        let kept = |body: &Vec<Instruction>| {
            body.iter().filter(|instruction| promised.contains(&instruction.mnemonic.as_str())).count()
        };
        match loops.iter().map(kept).max() {
            None => wrong.push(format!("{}: no loop found in {} instructions", kernel.name, code.len())),
            Some(most) if most < WORK => wrong.push(format!("{}: {most} of {promised:?} in a loop", kernel.name)),
            Some(_) => {}
        }
        looked_at += loops.len();
        let found = loops.iter().flat_map(|body| faults(body, most_spills(kernel)));
        wrong.extend(found.map(|fault| format!("{}: {fault}", kernel.name)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(looked_at > 100, "{looked_at}");
}
