//! The coefficients that predict times with the least relative error.

use quantloom::tune::cost::{Coefficients, Terms};

const COUNT: usize = Terms::COUNT;
/// Steps towards the least error: each fits the coefficients to how times depend on them where they are.
const STEPS: usize = 60;
/// Turns of [`least_squares`] over the coefficients.
const TURNS: usize = 2000;

/// The coefficients, none below 0, with the least sum of `(predicted / measured - 1)²` over pairs of terms and nanoseconds.
#[must_use]
pub fn fit(samples: &[(Terms, f64)]) -> Coefficients {
    // What is never done costs nothing; the rest is of the size of 1.
    let most = samples.iter().map(|(terms, _)| terms.array()).fold([0.0; COUNT], |most, terms| pairwise(most, terms, f64::max));
    let scale = |terms: &Terms| {
        Terms::from_array(pairwise(terms.array(), most, |term, most| if most > 0.0 { term / most } else { 0.0 }))
    };
    let scaled = samples.iter().map(|(terms, time)| (scale(terms), *time)).collect::<Vec<_>>();
    let loss = |coefficients: &Coefficients| {
        scaled.iter().map(|(terms, time)| (coefficients.time(terms) / time - 1.0).powi(2)).sum::<f64>()
    };
    let step = |from: [f64; COUNT], slopes: &dyn Fn(&Terms) -> [f64; COUNT]| {
        let rows = scaled.iter().map(|(terms, time)| pairwise(terms.array(), slopes(terms), |term, slope| term * slope / time));
        least_squares(&rows.collect::<Vec<_>>(), from)
    };
    let mut best = step([0.0; COUNT], &|_| [1.0; COUNT]);
    for _ in 0..STEPS {
        let here = Coefficients::from_array(best);
        let target = step(best, &|terms| here.slopes(terms));
        // Times are not linear in the coefficients: as far towards the target as the error falls.
        let parts = (0..8).map(|halvings| 0.5_f64.powi(halvings));
        let points = parts.map(|part| pairwise(best, target, |from, to| from + part * (to - from)));
        let Some(better) = points.into_iter().find(|point| loss(&Coefficients::from_array(*point)) < loss(&here)) else {
            break;
        };
        best = better;
    }
    Coefficients::from_array(pairwise(best, most, |cost, most| if most > 0.0 { cost / most } else { 0.0 }))
}

fn pairwise(a: [f64; COUNT], b: [f64; COUNT], of: impl Fn(f64, f64) -> f64) -> [f64; COUNT] {
    std::array::from_fn(|index| of(a[index], b[index]))
}

/// The `x`, nowhere below 0, for which the products of all rows with it are nearest to 1: one coefficient after the other goes where it is
/// best while the rest stay.
fn least_squares(rows: &[[f64; COUNT]], from: [f64; COUNT]) -> [f64; COUNT] {
    let product = |i: usize, j: usize| rows.iter().map(|row| row[i] * row[j]).sum::<f64>();
    let products: [[f64; COUNT]; COUNT] = std::array::from_fn(|i| std::array::from_fn(|j| product(i, j)));
    let sums: [f64; COUNT] = std::array::from_fn(|i| rows.iter().map(|row| row[i]).sum());
    let mut x = from;
    for _ in 0..TURNS {
        for i in 0..COUNT {
            if products[i][i] > 0.0 {
                let rest = (0..COUNT).map(|j| products[i][j] * x[j]).sum::<f64>() - products[i][i] * x[i];
                x[i] = ((sums[i] - rest) / products[i][i]).max(0.0);
            } else {
                x[i] = 0.0;
            }
        }
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Terms that differ in every way, from a generator of numbers.
    fn samples(truth: &Coefficients) -> Vec<(Terms, f64)> {
        let mut state = 1_u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f64
        };
        let terms = (0..200).map(|_| Terms::from_array(std::array::from_fn(|_| random())));
        terms.map(|terms| (terms, truth.time(&terms))).collect()
    }

    #[test]
    fn coefficients_are_found_again() {
        let truth = [0.07, 0.05, 0.1, 0.2, 0.0, 0.3, 0.02, 0.6, 0.0];
        let samples = samples(&Coefficients::from_array(truth));
        let found = fit(&samples);
        for (terms, time) in &samples {
            assert!((found.time(terms) / time - 1.0).abs() < 0.01, "{found:?}");
        }
        assert!(found.array().iter().zip(truth).all(|(found, truth)| (found - truth).abs() < 0.02), "{found:?}");
    }

    #[test]
    fn what_is_never_done_costs_nothing() {
        let truth = Coefficients::from_array([0.1, 0.0, 0.1, 0.0, 0.1, 0.0, 0.0, 0.0, 0.0]);
        let without = |(terms, time): (Terms, f64)| (Terms { exposed: 0.0, ..terms }, time);
        let samples = samples(&truth).into_iter().map(without).collect::<Vec<_>>();
        assert_eq!(fit(&samples).exposed, 0.0);
        assert!(fit(&samples).array().iter().all(|cost| cost.is_finite() && *cost >= 0.0));
    }
}
