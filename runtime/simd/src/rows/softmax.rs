//! Softmax over a span of keys, and spans put together.

use std::ops::Range;

use quantloom_abi::rows::Stats;

use super::activation::softcap;
use super::exp::exp;
use super::sum::{PARTIAL_SUMS, total};

/// Turns the scores of a span into weights: `s = score * scale`, capped where there is a cap, then `e^(s - max)`, `max` being the largest
/// of the visible ones. Those that are not visible, and those of -infinity, weigh +0. The sum is a row sum.
///
/// # Panics
/// If scores are not a multiple of 64, or visible ones lie beyond.
#[inline(always)]
#[must_use]
pub fn softmax(scores: &mut [f32], visible: Range<usize>, scale: f32, cap: Option<f32>) -> Stats {
    let (chunks, rest) = scores.as_chunks_mut::<PARTIAL_SUMS>();
    let (first, end) = (visible.start / PARTIAL_SUMS, visible.end.div_ceil(PARTIAL_SUMS));
    assert!(
        rest.is_empty() && visible.start <= visible.end && end <= chunks.len(),
        "scores in chunks, {visible:?} of them visible"
    );
    chunks[..first].fill([0.0; PARTIAL_SUMS]);
    chunks[end..].fill([0.0; PARTIAL_SUMS]);
    let chunks = &mut chunks[first..end];
    for chunk in &mut *chunks {
        for score in &mut *chunk {
            *score *= scale;
        }
        if let Some(cap) = cap {
            for score in chunk {
                *score = softcap(*score, cap);
            }
        }
    }
    let scores = chunks.as_flattened_mut();
    let (hidden, begin) = (f32::NEG_INFINITY, first * PARTIAL_SUMS);
    scores[..visible.start - begin].fill(hidden);
    scores[visible.end - begin..].fill(hidden);
    let max = largest(chunks);
    Stats { max, sum: weigh(chunks, max) }
}

/// The largest score that is a number; -infinity if there is none. By index: compilers keep the partial results of such loops in registers.
#[inline(always)]
fn largest(chunks: &[[f32; PARTIAL_SUMS]]) -> f32 {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let mut largest = [f32::NEG_INFINITY; PARTIAL_SUMS];
    for chunk in chunks {
        for index in 0..PARTIAL_SUMS {
            largest[index] = larger(largest[index], chunk[index]);
        }
    }
    let mut half = PARTIAL_SUMS / 2;
    while half > 0 {
        for index in 0..half {
            largest[index] = larger(largest[index], largest[index + half]);
        }
        half /= 2;
    }
    largest[0]
}

/// Turns scores into weights, and sums these.
#[inline(always)]
fn weigh(chunks: &mut [[f32; PARTIAL_SUMS]], max: f32) -> f32 {
    let mut sums = [0.0; PARTIAL_SUMS];
    for chunk in chunks {
        for index in 0..PARTIAL_SUMS {
            let score = chunk[index];
            let exponential = exp(score - max);
            let weight = if score == f32::NEG_INFINITY { 0.0 } else { exponential };
            chunk[index] = weight;
            sums[index] += weight;
        }
    }
    total(&mut sums)
}

/// Adds a span to those before it: with `m` the larger of both maxima, `a = e^(max - m)` and `b = e^(max' - m)`,
/// `sum = fma(sum', b, sum * a)` and `total = fma(total', b, total * a)`. The first span is taken as it is, and one in which no key weighs
/// anything is left out. A sink is a span of sum 1 whose total is zero: an empty `span`.
///
/// # Panics
/// If a span that is not empty has another length.
#[inline(always)]
pub fn merge(total: &mut [f32], stats: &mut Stats, span: &[f32], of_span: Stats) {
    assert!(span.is_empty() || span.len() == total.len(), "a span of as many values");
    if of_span.sum == 0.0 {
        return;
    }
    if stats.sum == 0.0 {
        *stats = of_span;
        total.fill(0.0);
        total[..span.len()].copy_from_slice(span);
        return;
    }
    let max = if of_span.max > stats.max { of_span.max } else { stats.max };
    let (a, b) = (exp(stats.max - max), exp(of_span.max - max));
    *stats = Stats { max, sum: of_span.sum.mul_add(b, stats.sum * a) };
    if span.is_empty() {
        for total in total {
            *total *= a;
        }
    } else {
        for (total, span) in total.iter_mut().zip(span) {
            *total = span.mul_add(b, *total * a);
        }
    }
}

/// `out = total / sum`; zeros if no key weighs anything.
#[inline(always)]
pub fn finish(total: &[f32], stats: Stats, out: &mut [f32]) {
    if stats.sum == 0.0 {
        return out.fill(0.0);
    }
    for (out, total) in out.iter_mut().zip(total) {
        *out = total / stats.sum;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(count: usize) -> Vec<f32> {
        (0..count).map(|index| (index * 7919 % 1009) as f32 / 50.0 - 10.0).collect()
    }

    #[test]
    fn weights_are_relative_to_the_largest_visible_score() {
        for (visible, cap) in
            [(0..512, None), (3..450, None), (100..101, None), (64..128, Some(5.0)), (0..0, None), (512..512, None)]
        {
            let (mut found, given) = (scores(512), scores(512));
            let stats = softmax(&mut found, visible.clone(), 0.25, cap);
            let score = |index: usize| cap.map_or(given[index] * 0.25, |cap| softcap(given[index] * 0.25, cap));
            let max = visible.clone().map(score).fold(f32::NEG_INFINITY, f32::max);
            for (index, found) in found.iter().enumerate() {
                let wanted = if visible.contains(&index) { exp(score(index) - max) } else { 0.0 };
                assert_eq!(found.to_bits(), wanted.to_bits(), "{index} of {visible:?}");
            }
            assert_eq!(stats, Stats { max, sum: super::super::sum(&found) });
        }
    }

    #[test]
    fn what_is_not_finite_is_not_hidden() {
        let sum = |value: f32, scale: f32| {
            let mut scores = scores(64);
            scores[7] = value;
            softmax(&mut scores, 0..64, scale, None).sum
        };
        assert!(sum(f32::NAN, 1.0).is_nan() && sum(f32::INFINITY, 1.0).is_nan());
        assert!(sum(f32::NEG_INFINITY, 1.0).is_finite());
        // Hidden ones do not count, whatever they are; a scale must not bring them back.
        let mut hidden = [f32::NAN; 64];
        hidden[3] = 1.0;
        assert_eq!(softmax(&mut hidden, 3..4, -1.0, None), Stats { max: -1.0, sum: 1.0 });
        assert_eq!(hidden.iter().filter(|weight| **weight == 0.0).count(), 63);
        assert!(softmax(&mut [f32::NAN; 64], 0..64, 1.0, None).sum.is_nan());
        assert_eq!(softmax(&mut [f32::NEG_INFINITY; 64], 0..64, 1.0, None), Stats::NONE);
    }

    #[test]
    fn spans_come_together() {
        let (mut total, mut stats) = ([7.0; 3], Stats::NONE);
        merge(&mut total, &mut stats, &[9.0; 3], Stats::NONE);
        assert_eq!(stats, Stats::NONE);
        let one = Stats { max: 1.0, sum: 2.0 };
        merge(&mut total, &mut stats, &[1.0, 2.0, 3.0], one);
        assert_eq!((total, stats), ([1.0, 2.0, 3.0], one));
        merge(&mut total, &mut stats, &[4.0, 5.0, 6.0], Stats { max: 3.0, sum: 1.5 });
        let a = exp(-2.0);
        assert_eq!(total, [4.0 + a, 2.0_f32.mul_add(a, 5.0), 3.0_f32.mul_add(a, 6.0)]);
        assert_eq!(stats, Stats { max: 3.0, sum: 2.0_f32.mul_add(a, 1.5) });
        let (before, sum) = (total, stats.sum);
        merge(&mut total, &mut stats, &[], Stats { max: 3.0, sum: 1.0 });
        assert_eq!((total, stats.sum), (before, sum + 1.0));
        let mut out = [0.0; 3];
        finish(&total, stats, &mut out);
        assert_eq!(out, total.map(|total| total / stats.sum));
        finish(&total, Stats::NONE, &mut out);
        assert_eq!(out, [0.0; 3]);
    }
}
