//! Weights in their stored form give the bits of packed ones, whatever the format, the kernel, the batch and the threads.

use quantloom::matmul::{Request, matmul};
use quantloom::measure::{activations, synthetic};
use quantloom::pool::Pool;
use quantloom::registry::{self, Format, Kernel};
use quantloom::stored::Stored;
use quantloom::weights::{Layout, Weights};

const BATCHES: [usize; 3] = [1, 5, 40];

/// Rows that fill some tiles and a part of one, and a K that ends within a unit where the format allows it.
fn shape(format: &Format) -> (usize, usize) {
    (101_usize.next_multiple_of(format.row_multiple()), 600_usize.next_multiple_of(format.block_weights))
}

fn product(weights: &Weights, kernel: &'static Kernel, batch: usize, threads: usize) -> Vec<u32> {
    let x = activations(batch, weights.k()).unwrap();
    let mut y = vec![f32::NAN; batch * weights.n()];
    let request = Request::default().launch(kernel).threads(threads);
    matmul(weights, &x, batch, &mut y, &request, Pool::global()).unwrap();
    y.into_iter().map(f32::to_bits).collect()
}

#[test]
fn both_layouts_give_the_same_bits() {
    let mut compared = 0;
    for format in registry::formats().filter(|format| format.packed.is_some()) {
        let (n, k) = shape(format);
        let bytes = synthetic(format, n, k).unwrap();
        let stored = Stored::new(format, n, k, &bytes).unwrap();
        let of = |layout| Weights::with_layout(&stored, layout, Pool::global()).unwrap();
        let (packed, kept) = (of(Layout::Packed), of(Layout::Stored));
        let copy = kept.duplicate().unwrap();
        for kernel in registry::kernels(format).iter().filter(|kernel| kernel.isa().is_available()) {
            for (batch, threads) in BATCHES.into_iter().flat_map(|batch| [(batch, 1), (batch, 2)]) {
                let wanted = product(&packed, kernel, batch, threads);
                assert!(product(&kept, kernel, batch, threads) == wanted, "{}, batch {batch}", kernel.name);
                compared += 1;
            }
            assert!(product(&copy, kernel, 1, 1) == product(&packed, kernel, 1, 1), "a copy, {}", kernel.name);
        }
    }
    assert!(compared > 1000, "{compared}");
}

#[test]
fn what_is_held_is_what_the_layout_says() {
    for format in registry::formats().filter(|format| format.packed.is_some()) {
        let (n, k) = shape(format);
        let bytes = synthetic(format, n, k).unwrap();
        let stored = Stored::new(format, n, k, &bytes).unwrap();
        for layout in Layout::ALL {
            let weights = Weights::with_layout(&stored, layout, Pool::global()).unwrap();
            let held = if layout == Layout::Packed { weights.packed_bytes() } else { bytes.len() };
            assert_eq!((weights.layout(), weights.held_bytes()), (layout, held), "{}", format.name);
        }
    }
}
