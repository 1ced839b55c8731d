//! The gate before the clock: a kernel whose bits differ is out, however fast it is.

use quantloom_kernels::abi::TILE_ROWS;

use crate::error::Result;
use crate::matmul::{Request, candidates, matmul};
use crate::pool::Pool;
use crate::registry::{self, Kernel};
use crate::weights::Weights;

/// Which of some kernels of one class, in card order, give other bits than the scalar reference for hard activations and the first
/// rows of these weights, all of K.
///
/// # Errors
/// What [`matmul`] reports.
pub fn wrong(weights: &Weights, kernels: &[&'static Kernel], pool: &Pool) -> Result<Vec<&'static Kernel>> {
    let (Some(first), Some(widest)) = (kernels.first(), kernels.iter().map(|kernel| kernel.cols).max()) else {
        return Ok(Vec::new());
    };
    // A tile and some rows by a column group and one: the smallest product in which every tile has a neighbour and a tail.
    let rows = weights.rows(0, weights.n().min(TILE_ROWS + 5));
    let batch = widest + 1;
    let x = hard_activations(batch, weights.k());
    let bits = |kernel: &'static Kernel| -> Result<Vec<u32>> {
        let request = Request { numerics: kernel.numerics, kernel: Some(kernel), ..Request::default() };
        let mut y = vec![f32::NAN; batch * rows.n()];
        matmul(&rows, &x, batch, &mut y, &request, pool)?;
        Ok(y.into_iter().map(f32::to_bits).collect())
    };
    let wanted = bits(reference(weights, first))?;
    let mut wrong = Vec::new();
    for kernel in kernels {
        if bits(kernel)? != wanted {
            wrong.push(*kernel);
        }
    }
    Ok(wrong)
}

/// The first kernel of the lowest instruction set for the class of `kernel`, or `kernel` itself if there is none.
fn reference(weights: &Weights, kernel: &'static Kernel) -> &'static Kernel {
    candidates(weights, kernel.numerics, registry::isas()[0]).map_or(kernel, |kernels| kernels[0])
}

/// `batch` rows of `k` activations that are zero, tiny, of both signs, of very different sizes, at the limit of the quantised
/// range, or ordinary. All are finite.
fn hard_activations(batch: usize, k: usize) -> Vec<f32> {
    let patterns: [fn(usize) -> f32; 7] = [
        ordinary,
        |_| 0.0,
        |_| 1e-42,
        |index| if index % 2 == 0 { 1.0 } else { -1.0 },
        |index| if index % 256 == 3 { 1e30 } else { 1e-30 },
        |index| if index % 32 < 16 { -0.0 } else { -3.0 },
        |index| ordinary(index) * 1e-3,
    ];
    // The rows of a second turn of the patterns begin elsewhere in them.
    let rows = (0..batch).map(|row| (patterns[row % patterns.len()], row));
    rows.flat_map(|(pattern, row)| (row..row + k).map(pattern)).collect()
}

/// A value between -1 and 1 that looks random.
fn ordinary(index: usize) -> f32 {
    ((index as u32).wrapping_mul(0x9e37_79b9) >> 8) as f32 / (1 << 23) as f32 - 1.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tune::fake;

    #[test]
    fn right_kernels_pass() {
        let weights = fake::weights(70, 3);
        assert!(wrong(&weights, &fake::kernels(&weights), Pool::global()).unwrap().is_empty());
        assert!(wrong(&weights, &[], Pool::global()).unwrap().is_empty());
    }

    #[test]
    fn a_wrong_last_bit_is_found() {
        // Fewer rows than a tile, and many tiles.
        for n in [1, 70, 500] {
            let weights = fake::weights(n, 2);
            let culprit = fake::wrong_kernel(&weights);
            let mut kernels = fake::kernels(&weights);
            kernels.insert(1, culprit);
            let found = wrong(&weights, &kernels, Pool::global()).unwrap();
            assert!(found.len() == 1 && std::ptr::eq(found[0], culprit), "{n}: {}", found.len());
        }
    }

    #[test]
    fn hard_activations_are_finite_and_differ() {
        let x = hard_activations(15, 64);
        assert!(x.iter().all(|value| value.is_finite()));
        let rows = x.chunks(64).map(|row| row.iter().map(|value| value.to_bits()).collect::<Vec<_>>());
        let distinct = rows.collect::<std::collections::HashSet<_>>();
        assert!(distinct.len() >= 10, "{}", distinct.len());
    }
}
