//! Operations of rows alone.

use super::Norm;
use crate::error::{Error, Result};
use crate::machine::StandardFloats;
use crate::registry;

/// Scores that a softmax takes at once.
const CHUNK: usize = 64;

/// RMSNorm of each row of `x`, in place: what operations with a norm do first, for where it comes last.
///
/// # Errors
/// [`Error::Shape`] if these are not whole rows.
pub fn rms_norm(x: &mut [f32], norm: &Norm<'_>) -> Result<()> {
    let (k, found) = (norm.weights.len(), x.len());
    if k == 0 || !found.is_multiple_of(k) {
        let wanted = found.checked_next_multiple_of(k.max(1)).unwrap_or(usize::MAX);
        return Err(Error::Shape { what: "the rows to norm", unit: "values", found, wanted });
    }
    let _floats = StandardFloats::set();
    let rows = registry::best_isa().rows();
    let mut given = vec![0.0; k];
    for row in x.chunks_exact_mut(k) {
        given.copy_from_slice(row);
        // SAFETY: the rows are those of an available instruction set.
        unsafe { (rows.rms_norm)(&given, norm.weights, norm.eps, row) };
    }
    Ok(())
}

/// Softmax of a row, in place: `e^(x - max)`, divided by the row sum of these.
pub fn softmax(x: &mut [f32]) {
    let _floats = StandardFloats::set();
    let mut scores = x.to_vec();
    scores.resize(x.len().next_multiple_of(CHUNK), 0.0);
    // SAFETY: the rows are those of an available instruction set.
    let stats = unsafe { (registry::best_isa().rows().softmax)(&mut scores, 0..x.len(), 1.0, None) };
    x.iter_mut().zip(scores).for_each(|(x, weight)| *x = weight / stats.sum);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_is_divided_by_the_root_of_its_mean_square() {
        let mut x = vec![3.0, 4.0, 6.0, 8.0];
        rms_norm(&mut x, &Norm { weights: &[2.0, 1.0], eps: 0.0 }).unwrap();
        let root = 12.5_f32.sqrt();
        for (found, wanted) in x.iter().zip([6.0 / root, 4.0 / root, 6.0 / root, 4.0 / root]) {
            assert!((found - wanted).abs() < 1e-6, "{x:?}");
        }
        assert!(rms_norm(&mut [1.0; 3], &Norm { weights: &[1.0; 2], eps: 0.0 }).is_err());
        assert!(rms_norm(&mut [], &Norm { weights: &[], eps: 0.0 }).is_err());
    }

    #[test]
    fn a_softmax_has_the_sum_one() {
        let mut x = (0..70).map(|index| (index % 9) as f32 - 4.0).collect::<Vec<_>>();
        let wanted = x.iter().map(|x| f64::from(*x).exp()).collect::<Vec<_>>();
        let sum = wanted.iter().sum::<f64>();
        softmax(&mut x);
        for (found, wanted) in x.iter().zip(wanted) {
            assert!((f64::from(*found) - wanted / sum).abs() < 1e-7, "{x:?}");
        }
        softmax(&mut []);
        let mut equal = [3.0; 4];
        softmax(&mut equal);
        assert_eq!(equal, [0.25; 4]);
    }
}
