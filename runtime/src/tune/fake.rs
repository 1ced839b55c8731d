//! Weights, entries, and kernels that are wrong, for tests.

use std::sync::OnceLock;

use quantloom_kernels::abi::{Arguments, Body, Palette, Run};

use crate::matmul::candidates;
use crate::measure::synthetic;
use crate::pool::Pool;
use crate::registry::{self, Kernel, Numerics};
use crate::tune::{Digest, Effort, Entry, Key, Origin, Time};
use crate::weights::Weights;

/// `n` rows of `blocks` blocks of the first format that has kernels and any number of rows.
pub fn weights(n: usize, blocks: usize) -> Weights {
    let format =
        registry::formats().find(|format| !registry::kernels(format).is_empty() && format.row_multiple() == 1).unwrap();
    let k = blocks * format.block_weights;
    Weights::pack(format, n, k, &synthetic(format, n, k).unwrap(), Pool::global()).unwrap()
}

/// Kernels for these weights, in card order, that every processor runs.
pub fn kernels(weights: &Weights) -> Vec<&'static Kernel> {
    candidates(weights, Numerics::Exact, registry::isas()[0]).unwrap()
}

/// An entry that chooses the first of [`kernels`].
pub fn entry(weights: &Weights, threads: usize) -> Entry {
    let kernel = kernels(weights)[0];
    Entry {
        key: Key::new(weights, 1, kernel.numerics, kernel.isa(), threads),
        kernel: kernel.name.to_owned(),
        kernel_hash: Digest(kernel.hash),
        default: "another".to_owned(),
        measured: 1,
        spread: 1.042,
        effort: Effort::Full,
        origin: Origin::Local,
        system: "a program; a system".to_owned(),
        times: vec![
            Time { kernel: kernel.name.to_owned(), ns: 12_345, ratio: 0.526, rounds: 6 },
            Time { kernel: "another".to_owned(), ns: 23_456, ratio: 1.0, rounds: 6 },
        ],
    }
}

/// The first of [`kernels`] under another name.
pub fn kernel(weights: &Weights, name: &'static str) -> Kernel {
    Kernel { name, ..*kernels(weights)[0] }
}

/// A body for every processor.
fn body(run: Run) -> Body {
    // SAFETY: none of the functions of this file needs an instruction set.
    unsafe { Body::new(registry::isas()[0], run) }
}

/// The first of [`kernels`], but for the last bit of one sum of each call.
pub fn wrong_kernel(weights: &Weights) -> &'static Kernel {
    /// A function pointer cannot hold it.
    static RIGHT: OnceLock<&'static Kernel> = OnceLock::new();
    unsafe fn run(weights: &[u8], units: usize, activations: &[u8], palette: &Palette, far: Arguments, out: &mut [f32]) {
        // SAFETY: every processor runs this kernel.
        unsafe { (RIGHT.get().unwrap().run())(weights, units, activations, palette, far, out) };
        out[0] = f32::from_bits(out[0].to_bits() ^ 1);
    }
    RIGHT.get_or_init(|| kernels(weights)[0]);
    Box::leak(Box::new(Kernel { body: body(run), ..kernel(weights, "wrong") }))
}

/// The first of [`kernels`], but it ends the process.
pub fn trap(weights: &Weights) -> &'static Kernel {
    unsafe fn run(_: &[u8], _: usize, _: &[u8], _: &Palette, _: Arguments, _: &mut [f32]) {
        std::process::abort();
    }
    Box::leak(Box::new(Kernel { body: body(run), ..kernel(weights, "trap") }))
}
