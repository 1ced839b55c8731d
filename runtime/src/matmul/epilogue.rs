//! What becomes of the sums of a tile while they are hot, before they are written.

use quantloom_kernels::abi::{ALIGNMENT, RunGate};
use quantloom_kernels::lanes::{Ahead, prefetch_near};

/// The operands of an epilogue, for one output of N columns: `docs/numerics.md` has the order.
#[derive(Clone, Copy, Debug, Default)]
pub struct Epilogue<'a> {
    /// What is added to the sums of each row of weights, for each of the products.
    pub biases: [Option<&'a [f32]>; 2],
    /// What makes one row of the sums of two products. Its instruction set must be available.
    pub gate: Option<RunGate>,
    /// What is added to the output: `[batch, N]`.
    pub residual: Option<&'a [f32]>,
}

impl Epilogue<'_> {
    /// Whether sums are written as they are.
    pub fn is_empty(&self) -> bool {
        let Self { biases, gate, residual } = self;
        biases.iter().all(Option::is_none) && gate.is_none() && residual.is_none()
    }

    /// Asks for what is added to so many values of the output from a place on.
    pub fn expect(&self, place: usize, count: usize) {
        let values = self.residual.and_then(|values| values.get(place..place + count)).unwrap_or_default();
        for line in bytemuck::cast_slice::<f32, u8>(values).chunks(ALIGNMENT) {
            prefetch_near(line, Ahead { far: 0, near: 0 });
        }
    }

    /// Finishes the sums of rows from `row` on of one column, whose output lies at `place`; those of the second product are only read
    /// from.
    pub fn finish(&self, row: usize, place: usize, sums: &mut [f32], second: &mut [f32]) {
        let [first_bias, second_bias] = self.biases;
        add(sums, first_bias, row);
        if let Some(gate) = self.gate {
            add(second, second_bias, row);
            // SAFETY: the gate is that of an instruction set that is available.
            unsafe { gate(sums, second) };
        }
        add(sums, self.residual, place);
    }

    /// The output of products over no weights: sums of +0, finished.
    pub fn finish_zeros(&self, n: usize, y: &mut [f32]) {
        y.fill(0.0);
        let mut second = vec![0.0; n];
        for (column, y) in y.chunks_exact_mut(n.max(1)).enumerate() {
            second.fill(0.0);
            self.finish(0, column * n, y, &mut second);
        }
    }
}

/// Adds values from place `at` on, if there are any.
fn add(sums: &mut [f32], values: Option<&[f32]>, at: usize) {
    let Some(values) = values else { return };
    for (sum, value) in sums.iter_mut().zip(&values[at..]) {
        *sum += value;
    }
}
