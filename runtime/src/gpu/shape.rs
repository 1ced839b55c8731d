//! The sizes of a product of a matrix and a vector, checked once for every host.

use super::{Error, Kernels, Result};

/// Rows of stored blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Rows.
    pub rows: u32,
    /// Weights of a row.
    pub k: usize,
    /// Blocks of a row.
    pub blocks: u32,
    /// Segments of a row.
    pub segments: u32,
}

impl Shape {
    /// The shape of `rows` rows of `k` weights in `stored` bytes.
    ///
    /// # Errors
    /// [`Error::Size`] if a row is not whole blocks, `stored` is not `rows` rows, or indices would not fit 32 bits.
    pub fn new(kernels: &Kernels<'_>, rows: usize, k: usize, stored: usize) -> Result<Self> {
        let block = kernels.block;
        if !k.is_multiple_of(block.weights) {
            return Err(size("the length of a row", k, format!("a multiple of {} needed", block.weights)));
        }
        let blocks = k / block.weights;
        let bytes = rows.checked_mul(blocks).and_then(|blocks| blocks.checked_mul(block.bytes));
        if bytes != Some(stored) {
            return Err(size("the bytes of the weights", stored, format!("{rows} rows of {k} weights needed")));
        }
        let most = stored.max(rows.saturating_mul(k));
        if u32::try_from(most).is_err() {
            return Err(size("the weights", most, format!("at most {} bytes and weights possible", u32::MAX)));
        }
        let segments = k.div_ceil(kernels.segment);
        // None of them is larger than `most`, except that a row may be empty.
        Ok(Self { rows: rows as u32, k, blocks: blocks as u32, segments: segments as u32 })
    }

    /// Checks that `x` is one vector of activations.
    ///
    /// # Errors
    /// [`Error::Size`] if it is not.
    pub fn check_vector(&self, x: &[f32]) -> Result<()> {
        if x.len() == self.k { Ok(()) } else { Err(size("the activations", x.len(), format!("{} needed", self.k))) }
    }

    /// Groups of a launch with a thread for each row along the first axis, and `splitk` of them along the second, where an axis
    /// may have `most`.
    ///
    /// # Errors
    /// [`Error::Size`] if an axis would have more, or the second one none.
    pub fn product_groups(&self, workgroup: usize, splitk: usize, most: u32) -> Result<(u32, u32)> {
        let most = most as usize;
        if !(1..=most).contains(&splitk) {
            return Err(size("the split of K", splitk, format!("1 to {most} possible")));
        }
        let rows = self.rows as usize;
        let groups = rows.div_ceil(workgroup);
        if groups > most {
            return Err(size("the rows", rows, format!("at most {} possible", most * workgroup)));
        }
        // Both are at most `most`.
        Ok((groups as u32, splitk as u32))
    }

    /// Weights of all rows.
    #[must_use]
    pub const fn weights(&self) -> usize {
        self.rows as usize * self.k
    }

    /// Partial sums of a product.
    #[must_use]
    pub const fn partials(&self) -> usize {
        self.rows as usize * self.segments as usize
    }
}

fn size(what: &'static str, found: usize, wanted: String) -> Error {
    Error::Size { what, found, wanted }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gguf::BlockShape;

    const KERNELS: Kernels<'_> = Kernels {
        source: "",
        tables: &[],
        block: BlockShape { header: 0, weights: 32, bytes: 18 },
        workgroup: 64,
        segment: 512,
    };

    #[test]
    fn rows_are_cut_into_blocks_and_segments() {
        let shape = Shape::new(&KERNELS, 3, 1056, 3 * 33 * 18).unwrap();
        assert_eq!(shape, Shape { rows: 3, k: 1056, blocks: 33, segments: 3 });
        assert_eq!((shape.weights(), shape.partials()), (3 * 1056, 9));
        assert_eq!(Shape::new(&KERNELS, 0, 64, 0).unwrap().weights(), 0);
    }

    #[test]
    fn sizes_that_do_not_fit_are_refused() {
        let wrong = |rows, k, stored| Shape::new(&KERNELS, rows, k, stored).unwrap_err().to_string();
        assert_eq!(wrong(1, 33, 18), "the length of a row: 33 given, a multiple of 32 needed");
        assert_eq!(wrong(2, 32, 35), "the bytes of the weights: 35 given, 2 rows of 32 weights needed");
        assert_eq!(
            wrong(usize::MAX, 64, 36),
            format!("the bytes of the weights: 36 given, {} rows of 64 weights needed", usize::MAX)
        );
        let most = "at most 4294967295 bytes and weights possible";
        assert_eq!(wrong(1 << 27, 32, 18 << 27), format!("the weights: {} given, {most}", 1_u64 << 32));
        let vector = Shape::new(&KERNELS, 1, 32, 18).unwrap().check_vector(&[0.0; 31]).unwrap_err();
        assert_eq!(vector.to_string(), "the activations: 31 given, 32 needed");
    }

    #[test]
    fn launches_stay_within_a_devices_limits() {
        let shape = Shape::new(&KERNELS, 65, 32, 65 * 18).unwrap();
        assert_eq!(shape.product_groups(64, 4, 8).unwrap(), (2, 4));
        let wrong = |splitk, most| shape.product_groups(64, splitk, most).unwrap_err().to_string();
        assert_eq!(wrong(0, 8), "the split of K: 0 given, 1 to 8 possible");
        assert_eq!(wrong(9, 8), "the split of K: 9 given, 1 to 8 possible");
        assert_eq!(wrong(1, 1), "the rows: 65 given, at most 64 possible");
    }
}
