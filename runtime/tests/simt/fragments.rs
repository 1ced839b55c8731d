//! The machine's products of matrices against the tables of the PTX manual, with operands that are zero but for one.

use std::slice;

use super::machine::Argument::{Memory as Of, Number};
use super::machine::{Kernel, Machine};
use super::text::Language;

/// A product for each group: what each lane has, and what it gets.
const KERNEL: &str = r#"
extern "C" void probe(const unsigned* a, const unsigned* b, int* d, unsigned wide) {
    const unsigned lane = threadIdx.x, at = 32u * blockIdx.x + lane;
    int d0 = 0, d1 = 0, d2 = 0, d3 = 0;
    if (wide) {
        asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
            : "+r"(d0), "+r"(d1), "+r"(d2), "+r"(d3)
            : "r"(a[4 * at]), "r"(a[4 * at + 1]), "r"(a[4 * at + 2]), "r"(a[4 * at + 3]), "r"(b[2 * at]), "r"(b[2 * at + 1]));
    } else {
        asm("mma.sync.aligned.m16n8k16.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
            : "+r"(d0), "+r"(d1), "+r"(d2), "+r"(d3) : "r"(a[4 * at]), "r"(a[4 * at + 1]), "r"(b[2 * at]));
    }
    d[4 * at] = d0;
    d[4 * at + 1] = d1;
    d[4 * at + 2] = d2;
    d[4 * at + 3] = d3;
}
"#;

/// Row and k of byte i that a lane has of A in m16n8k32, as the manual says it.
fn wide_a(lane: usize, i: usize) -> (usize, usize) {
    let (group, thread) = (lane >> 2, lane % 4);
    let row = if i < 4 || (8..12).contains(&i) { group } else { group + 8 };
    let k = if i < 8 { thread * 4 + (i & 3) } else { thread * 4 + (i & 3) + 16 };
    (row, k)
}

/// In m16n8k16.
fn narrow_a(lane: usize, i: usize) -> (usize, usize) {
    let (group, thread) = (lane >> 2, lane % 4);
    (if i < 4 { group } else { group + 8 }, thread * 4 + (i & 3))
}

/// K and column of byte i that it has of B.
fn of_b(lane: usize, i: usize) -> (usize, usize) {
    let (group, thread) = (lane >> 2, lane % 4);
    (if i < 4 { thread * 4 + (i & 3) } else { thread * 4 + (i & 3) + 16 }, group)
}

/// Row and column of number i that it has of C.
fn of_c(lane: usize, i: usize) -> (usize, usize) {
    let (group, thread) = (lane >> 2, lane % 4);
    (if i < 2 { group } else { group + 8 }, thread * 2 + (i & 1))
}

/// The words of all lanes whose bytes are these elements of a matrix.
fn words(bytes: usize, words: usize, element: impl Fn(usize, usize) -> i8) -> Vec<u32> {
    let byte = |lane, index| if index < bytes { u32::from(element(lane, index) as u8) } else { 0 };
    let word = |lane: usize, word: usize| (0..4).rev().fold(0, |bits, index| bits << 8 | byte(lane, 4 * word + index));
    (0..32).flat_map(|lane| (0..words).map(move |index| word(lane, index)).collect::<Vec<_>>()).collect()
}

#[test]
#[ignore = "needs a C++ compiler; .ci/gpu runs it"]
fn the_machine_multiplies_as_the_manual_says() {
    let probe = Kernel { name: "probe".to_owned(), block: 32, shared: 0, memory: vec![true, true, true, false] };
    let mut machine = Machine::compile(Language::Cuda, KERNEL, slice::from_ref(&probe)).unwrap();
    for k in [32, 16] {
        let a_at = |lane, byte| if k == 32 { wide_a(lane, byte) } else { narrow_a(lane, byte) };
        // One weight of A, by a B whose elements all differ; then the other way round.
        let weights = (0..16).flat_map(|row| (0..k).map(move |at| (row, at)));
        let activations = (0..k).flat_map(|at| (0..8).map(move |column| (at, column)));
        let full_b = |(at, column): (usize, usize)| (8 * at + column) as u8 as i8;
        let full_a = |(row, at): (usize, usize)| (16 * at + row) as u8 as i8;
        let of_weight = weights.clone().map(|one| {
            let a = words(k / 2, 4, |lane, byte| i8::from(a_at(lane, byte) == one));
            (a, words(k / 4, 2, |lane, byte| full_b(of_b(lane, byte))))
        });
        let of_activation = activations.clone().map(|one| {
            let a = words(k / 2, 4, |lane, byte| full_a(a_at(lane, byte)));
            (a, words(k / 4, 2, |lane, byte| i8::from(of_b(lane, byte) == one)))
        });
        let (a, b): (Vec<_>, Vec<_>) = of_weight.chain(of_activation).unzip();
        let (count, [a, b]) = (a.len(), [a, b].map(|words| machine.put(&words.concat())));
        let d = machine.room::<i32>(count * 128);
        machine.run(&probe, [count, 1, 1], &[Of(&a), Of(&b), Of(&d), Number(usize::from(k == 32))]).unwrap();
        let found = machine.get::<i32>(&d);
        let by_weight = weights.map(|one| {
            Box::new(move |(row, column)| if row == one.0 { full_b((one.1, column)) } else { 0 })
                as Box<dyn Fn((usize, usize)) -> i8>
        });
        let by_activation = activations.map(|one| {
            Box::new(move |(row, column)| if column == one.1 { full_a((row, one.0)) } else { 0 })
                as Box<dyn Fn((usize, usize)) -> i8>
        });
        for (found, wanted) in found.chunks(128).zip(by_weight.chain(by_activation)) {
            let wanted = (0..32)
                .flat_map(|lane| (0..4).map(move |index| (lane, index)))
                .map(|(lane, index)| i32::from(wanted(of_c(lane, index))));
            assert!(wanted.eq(found.iter().copied()), "m16n8k{k}");
        }
    }
}
