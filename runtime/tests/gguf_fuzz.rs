//! Damaged files: the GGUF reader neither panics nor takes more memory than a small multiple of the file.

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use proptest::prelude::*;
use quantloom::gguf::{BlockShape, Gguf, Items};
use support::{Writer, array, sample, string, value};

/// Memory that the reader may hold at once: so many times the file, and some for messages.
const MULTIPLE: usize = 10;
const MESSAGES: usize = 4096;

/// Counts what each thread holds.
struct Counting;

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: the system's allocator does the work; the counters hold no memory of their own.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let held = HELD.get() + layout.size();
        HELD.set(held);
        PEAK.set(PEAK.get().max(held));
        // SAFETY: as promised to this function.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // What another thread allocated was not counted here.
        HELD.set(HELD.get().saturating_sub(layout.size()));
        // SAFETY: as promised to this function.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most that `work` held at once beyond what was held before.
fn peak(work: impl FnOnce()) -> usize {
    let before = HELD.get();
    PEAK.set(before);
    work();
    PEAK.get() - before
}

/// Does all that can be done with a file of these bytes.
fn exercise(bytes: Vec<u8>) {
    let Ok(file) = Gguf::from_bytes("file.gguf", bytes) else {
        return;
    };
    for shape in [BlockShape::F32, BlockShape { header: 0, weights: 32, bytes: 18 }] {
        for tensor in file.tensors() {
            if let Ok(bytes) = file.bytes(tensor, shape) {
                file.release(bytes);
            }
        }
    }
    for name in ["blocks", "bloks", ""] {
        drop(file.tensor(name));
    }
}

/// Exercises a file and measures.
fn check(bytes: Vec<u8>) {
    // What is read once for all files is not of this one.
    assert!(Items::of(0).is_none());
    let limit = MULTIPLE * bytes.len() + MESSAGES;
    let peak = peak(|| exercise(bytes));
    assert!(peak <= limit, "held {peak} bytes, more than {limit}");
}

/// Entries or tensors with the shortest distinct names.
fn many(add: impl Fn(Writer, &str) -> Writer) -> Vec<u8> {
    let names = (0..5000).map(|i| format!("{i:x}"));
    names.fold(Writer::default(), |file, name| add(file, &name)).build()
}

#[test]
fn every_truncation_is_survived() {
    let whole = sample();
    for length in 0..whole.len() {
        check(whole[..length].to_vec());
    }
    check(whole);
}

#[test]
fn every_byte_can_be_wrong() {
    let whole = sample();
    for at in 0..whole.len() {
        for byte in [0, 1, 0x7f, 0x80, 0xff, whole[at] ^ 1] {
            let mut damaged = whole.clone();
            damaged[at] = byte;
            check(damaged);
        }
    }
}

#[test]
fn small_things_in_great_numbers_take_little() {
    check(many(|file, name| file.entry(name, value::U8, &[0])));
    check(many(|file, name| file.listed(name, &[], 0, 0)));
    let empty = string("").repeat(5000);
    check(Writer::default().entry("k", value::ARRAY, &array(value::STRING, 5000, &empty)).build());
    let arrays = array(value::U8, 0, &[]).repeat(5000);
    check(Writer::default().entry("k", value::ARRAY, &array(value::ARRAY, 5000, &arrays)).build());
}

#[test]
fn arrays_that_announce_all_there_is_take_little() {
    let filler = vec![0; 60_000];
    let nested = (0..8).fold(filler, |inner, _| array(value::ARRAY, inner.len() as u64 / 12, &inner));
    check(Writer::default().entry("k", value::ARRAY, &nested).build());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn random_flips_are_survived(flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12)) {
        let mut bytes = sample();
        for (place, byte) in flips {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        check(bytes);
    }

    #[test]
    fn random_bytes_are_survived(tail in prop::collection::vec(any::<u8>(), 0..400), small in any::<bool>()) {
        let mut bytes = Writer::default().build()[..8].to_vec();
        if small {
            bytes.extend([1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]);
        }
        bytes.extend(tail);
        check(bytes);
    }
}
