//! Matrices and activations for devices, and how their products are compared.

#[path = "classes.rs"]
mod classes;

use quantloom::kernels::abi::PANEL_ROWS;
use quantloom::measure::{activations, synthetic};
use quantloom::registry::Format;
use quantloom::stored::Stored;
use quantloom_codegen::lower::class::SEGMENT;

pub use classes::formats;

/// Rows and weights: one block, parts of panels and units; and so many segments, and as little of one more as there can be, that K can be shared
/// out to eight groups.
pub fn shapes(format: &Format) -> [(usize, usize); 2] {
    let long = (8 * SEGMENT + 1).next_multiple_of(format.block_weights);
    [(1, format.block_weights), (35, long)].map(|(n, k): (usize, usize)| (n.next_multiple_of(format.row_multiple()), k))
}

/// Columns of activations: random ones, and among them spans of zeros, of tiny values and of large ones.
pub fn columns(batch: usize, k: usize) -> Vec<f32> {
    let mut x = activations(batch, k).unwrap();
    for (index, value) in x.iter_mut().enumerate() {
        *value *= match index / 256 % 7 {
            3 => 0.0,
            4 => 1e-38,
            5 => 1e30,
            _ => 1.0,
        };
    }
    x
}

pub fn assert_same(found: &[f32], wanted: &[f32], what: &str) {
    assert_eq!(found.len(), wanted.len(), "{what}");
    let same = |(found, wanted): (&f32, &f32)| found.to_bits() == wanted.to_bits() || (found.is_nan() && wanted.is_nan());
    let wrong = found.iter().zip(wanted).enumerate().filter(|(_, pair)| !same(*pair)).collect::<Vec<_>>();
    let first = &wrong[..wrong.len().min(3)];
    assert!(wrong.is_empty(), "{what}: {} of {} values differ, the first of them {first:?}", wrong.len(), found.len());
}

/// `n` rows of `k` stored weights, and as a processor has them packed.
pub fn packed(format: &'static Format, n: usize, k: usize) -> (Vec<u8>, Vec<u8>) {
    let stored = synthetic(format, n, k).unwrap();
    let packed = packed_of(format, n, k, &stored);
    (stored, packed)
}

/// Stored weights as a processor has them packed.
pub fn packed_of(format: &'static Format, n: usize, k: usize, stored: &[u8]) -> Vec<u8> {
    let packed = format.packed.as_ref().unwrap();
    let tensors = format.split(n, k, stored).unwrap();
    let panel = k.div_ceil(packed.class.unit_weights) * packed.class.unit_bytes;
    let mut panels = vec![0_u64; n.div_ceil(PANEL_ROWS) * panel / 8];
    let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut panels);
    for (index, panel) in bytes.chunks_mut(panel).enumerate() {
        let rows = index * PANEL_ROWS..n.min((index + 1) * PANEL_ROWS);
        (packed.pack)(&tensors, rows, 0..k / format.block_weights, panel);
    }
    bytes.to_vec()
}

/// Stored weights as f32, as a processor decodes packed ones: to sums that start from +0.
pub fn decoded(format: &'static Format, n: usize, k: usize, stored: &[u8]) -> Vec<f32> {
    let mut weights = vec![0.0; n * k];
    Stored::new(format, n, k, stored).unwrap().decode(0..n, &mut weights).unwrap();
    weights.into_iter().map(|weight| weight + 0.0).collect()
}
