//! Sums of rows.

pub use quantloom_abi::PARTIAL_SUMS;

/// Sums a row: value i is added to partial sum `i % 64`, in the order of i, each of which begins at +0; then [`total`].
#[inline(always)]
#[must_use]
pub fn sum(values: &[f32]) -> f32 {
    accumulate(values, |sum, value| sum + value)
}

/// As [`sum`], of squares: each is added by an fma.
#[inline(always)]
#[must_use]
pub fn sum_of_squares(values: &[f32]) -> f32 {
    accumulate(values, |sum, value| value.mul_add(value, sum))
}

#[inline(always)]
fn accumulate(values: &[f32], add: impl Fn(f32, f32) -> f32) -> f32 {
    let mut sums = [0.0; PARTIAL_SUMS];
    let (chunks, rest) = values.as_chunks::<PARTIAL_SUMS>();
    for chunk in chunks {
        for (sum, value) in sums.iter_mut().zip(chunk) {
            *sum = add(*sum, *value);
        }
    }
    for (sum, value) in sums.iter_mut().zip(rest) {
        *sum = add(*sum, *value);
    }
    total(&mut sums)
}

/// The sum of partial sums, by a tree: the upper half is added to the lower one, until one is left.
#[inline(always)]
#[must_use]
pub fn total(sums: &mut [f32; PARTIAL_SUMS]) -> f32 {
    let mut half = PARTIAL_SUMS / 2;
    while half > 0 {
        for index in 0..half {
            sums[index] += sums[index + half];
        }
        half /= 2;
    }
    sums[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each order gives other bits: terms of very different sizes.
    fn values(count: usize) -> Vec<f32> {
        (0..count).map(|index| ((index * 7919 % 1009) as f32 - 500.0) * 3_f32.powi((index % 23) as i32 - 11)).collect()
    }

    #[test]
    fn the_order_is_that_of_the_contract() {
        for count in [0, 1, 63, 64, 65, 200, 640] {
            let values = values(count);
            let partial = |first: usize| values.iter().skip(first).step_by(64).fold(0.0_f32, |sum, value| sum + value);
            let squares =
                |first: usize| values.iter().skip(first).step_by(64).fold(0.0_f32, |sum, value| value.mul_add(*value, sum));
            for (found, partial) in [(sum(&values), &partial as &dyn Fn(usize) -> f32), (sum_of_squares(&values), &squares)] {
                let mut level = (0..64).map(partial).collect::<Vec<_>>();
                while level.len() > 1 {
                    let (low, high) = level.split_at(level.len() / 2);
                    level = low.iter().zip(high).map(|(low, high)| low + high).collect();
                }
                assert_eq!(found.to_bits(), level[0].to_bits(), "{count}");
            }
        }
        assert_ne!(sum(&values(640)), values(640).iter().sum::<f32>());
    }
}
