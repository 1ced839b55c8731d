//! Attention as `docs/numerics.md` defines it, evaluated plainly: query by query and key by key, in f32 as the contract says, and in f64.

use quantloom_spec::model::Element;

use super::definition::quantise;
use crate::attention::{Attention, Heads, KvType, SPAN};

/// Numbers of a block, where they are stored in blocks.
const BLOCK: usize = 32;

/// What attention is computed of: prepared keys and values, `[positions][key heads][size]`, and how they are stored.
#[derive(Clone, Copy, Debug)]
pub struct PlainAttention<'a> {
    /// The heads.
    pub heads: Heads,
    /// How keys and values are stored.
    pub types: (KvType, KvType),
    /// Keys.
    pub keys: &'a [f32],
    /// Values.
    pub values: &'a [f32],
    /// What is computed.
    pub attention: Attention<'a>,
}

impl PlainAttention<'_> {
    /// The result of the query of a head at a position, as the contract says.
    ///
    /// # Panics
    /// If there are not so many keys.
    #[must_use]
    pub fn result(&self, query: &[f32], head: usize, position: usize) -> Vec<f32> {
        let mut all: Option<(f32, f32, Vec<f32>)> = None;
        for begin in (0..=position).step_by(SPAN) {
            let span = self.span(query, head, position, begin);
            all = merged(all, span);
        }
        if let Some(sinks) = self.attention.sinks {
            all = merged(all, (sinks[head], 1.0, vec![0.0; self.heads.size]));
        }
        let Some((_, sum, total)) = all else { return vec![0.0; self.heads.size] };
        total.into_iter().map(|total| total / sum).collect()
    }

    /// The largest score of a span, the sum of its weights, and its values times these.
    fn span(&self, query: &[f32], head: usize, position: usize, begin: usize) -> (f32, f32, Vec<f32>) {
        let Attention { scale, softcap, .. } = self.attention;
        let score = |key: usize| {
            let s = self.product(query, self.head_of(self.keys, head, key)) * scale;
            softcap.map_or(s, |cap| cap * tanh(s / cap))
        };
        let keys = (begin..begin + SPAN).filter(|key| self.sees(position, *key));
        let scores = keys.map(|key| (key, score(key))).filter(|(_, score)| *score != f32::NEG_INFINITY).collect::<Vec<_>>();
        let max = scores.iter().map(|(_, score)| *score).fold(f32::NEG_INFINITY, f32::max);
        let weights = scores.iter().map(|(key, score)| (*key, exp(score - max))).collect::<Vec<_>>();
        let mut partial = [0.0; 64];
        for (key, weight) in &weights {
            partial[(key - begin) % 64] += weight;
        }
        let mut total = vec![0.0_f32; self.heads.size];
        for (key, weight) in &weights {
            for (total, value) in total.iter_mut().zip(self.head_of(self.values, head, *key)) {
                *total = stored(self.types.1, *value).mul_add(*weight, *total);
            }
        }
        (max, tree(partial), total.into_iter().map(|total| 0.0 + total).collect())
    }

    /// The product of a query and a key, as it is stored.
    fn product(&self, query: &[f32], key: &[f32]) -> f32 {
        if self.types.0 != KvType::Q8 {
            let segments = query.chunks(SPAN).zip(key.chunks(SPAN));
            return segments.fold(0.0, |total, (query, key)| {
                total + query.iter().zip(key).fold(0.0_f32, |sum, (query, key)| stored(self.types.0, *key).mul_add(*query, sum))
            });
        }
        // Class `int8`, of blocks that are spans and steps at once; both rows are filled up with zeros.
        let blocks = |values: &[f32]| {
            let mut filled = values.to_vec();
            filled.resize(values.len().next_multiple_of(BLOCK), 0.0);
            filled.chunks(BLOCK).map(quantise).collect::<Vec<_>>()
        };
        let pairs = blocks(query).into_iter().zip(blocks(key)).collect::<Vec<_>>();
        pairs.chunks(SPAN / BLOCK).fold(0.0, |total, segment| {
            total
                + segment.iter().fold(0.0_f32, |sum, ((query, scale), (key, of_key))| {
                    let dot: i32 = query.iter().zip(key).map(|(query, key)| query * key).sum();
                    let t = stored(KvType::F16, *of_key).mul_add(dot as f32, 0.0);
                    scale.mul_add(t, sum)
                })
        })
    }

    /// The same without rounding, but for that of inputs: keys and values are not stored.
    ///
    /// # Panics
    /// If there are not so many keys.
    #[must_use]
    pub fn unrounded(&self, query: &[f32], head: usize, position: usize) -> Vec<f64> {
        let Attention { scale, softcap, .. } = self.attention;
        let score = |key: usize| {
            let key = self.head_of(self.keys, head, key);
            let s =
                query.iter().zip(key).map(|(query, key)| f64::from(*query) * f64::from(*key)).sum::<f64>() * f64::from(scale);
            softcap.map(f64::from).map_or(s, |cap| cap * (s / cap).tanh())
        };
        let scores = (0..=position).filter(|key| self.sees(position, *key)).map(|key| (key, score(key))).collect::<Vec<_>>();
        let sink = self.attention.sinks.map(|sinks| f64::from(sinks[head]));
        let max = scores.iter().map(|(_, score)| *score).chain(sink).fold(f64::NEG_INFINITY, f64::max);
        let mut sum = sink.map_or(0.0, |sink| (sink - max).exp());
        let mut total = vec![0.0; self.heads.size];
        for (key, score) in scores {
            let weight = (score - max).exp();
            sum += weight;
            for (total, value) in total.iter_mut().zip(self.head_of(self.values, head, key)) {
                *total += weight * f64::from(*value);
            }
        }
        total.into_iter().map(|total| total / sum).collect()
    }

    /// The key or value that a query head is held against.
    fn head_of<'v>(&self, values: &'v [f32], head: usize, position: usize) -> &'v [f32] {
        let Heads { query, key, size } = self.heads;
        &values[(position * key + head / (query / key)) * size..][..size]
    }

    fn sees(&self, position: usize, key: usize) -> bool {
        key <= position && self.attention.window.is_none_or(|window| key + window > position)
    }
}

/// A head after its norm, if there is one, and its rotation by the angles whose cosines and sines are given.
///
/// # Panics
/// If there are more angles than pairs of values.
#[must_use]
pub fn prepared(head: &[f32], norm: Option<(&[f32], f32)>, cos: &[f32], sin: &[f32], neighbours: bool) -> Vec<f32> {
    let mut head = head.to_vec();
    if let Some((weights, eps)) = norm {
        let mut partial = [0.0_f32; 64];
        for (index, value) in head.iter().enumerate() {
            partial[index % 64] = value.mul_add(*value, partial[index % 64]);
        }
        let r = 1.0 / (tree(partial) / head.len() as f32 + eps).sqrt();
        head.iter_mut().zip(weights).for_each(|(value, weight)| *value = (*value * r) * weight);
    }
    for (pair, (c, s)) in cos.iter().zip(sin).enumerate() {
        let (low, high) = if neighbours { (2 * pair, 2 * pair + 1) } else { (pair, pair + cos.len()) };
        let (x0, x1) = (head[low], head[high]);
        head[low] = x0.mul_add(*c, -(x1 * s));
        head[high] = x1.mul_add(*c, x0 * s);
    }
    head
}

/// A number as it is stored.
///
/// # Panics
/// If numbers are stored in blocks.
fn stored(kv_type: KvType, value: f32) -> f32 {
    let element = match kv_type {
        KvType::F16 => Element::F16,
        KvType::Bf16 => Element::Bf16,
        KvType::F32 => Element::F32,
        KvType::Q8 => unreachable!("numbers in blocks are not stored one by one"),
    };
    element.value(element.nearest(value.into())) as f32
}

/// Spans before one, and that one.
fn merged(all: Option<(f32, f32, Vec<f32>)>, span: (f32, f32, Vec<f32>)) -> Option<(f32, f32, Vec<f32>)> {
    let (max, sum, total) = span;
    if sum == 0.0 {
        return all;
    }
    let Some((max_before, sum_before, before)) = all else { return Some((max, sum, total)) };
    let m = max_before.max(max);
    let (a, b) = (exp(max_before - m), exp(max - m));
    let total = before.iter().zip(&total).map(|(before, total)| total.mul_add(b, before * a)).collect();
    Some((m, sum.mul_add(b, sum_before * a), total))
}

fn tree(partial: [f32; 64]) -> f32 {
    let mut level = partial.to_vec();
    while level.len() > 1 {
        let (low, high) = level.split_at(level.len() / 2);
        level = low.iter().zip(high).map(|(low, high)| low + high).collect();
    }
    level[0]
}

/// e^x of the contract.
fn exp(x: f32) -> f32 {
    const POLYNOMIAL: [f32; 6] = [1.987_569_1e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_6e-1, 0.5];
    if x.is_nan() {
        return x;
    }
    let x = x.clamp(-87.0, 87.0);
    let n = x.mul_add(std::f32::consts::LOG2_E, 12_582_912.0) - 12_582_912.0;
    let r = n.mul_add(2.121_944_4e-4, n.mul_add(-355.0 / 512.0, x));
    let p = POLYNOMIAL.into_iter().reduce(|p, coefficient| p.mul_add(r, coefficient)).unwrap_or_default();
    let y = p.mul_add(r * r, r) + 1.0;
    // Exact: the result is a normal number.
    (f64::from(y) * 2_f64.powi(n as i32)) as f32
}

/// tanh(z) of the contract.
fn tanh(z: f32) -> f32 {
    const POLYNOMIAL: [f32; 5] = [-6.096_714e-3, 2.099_718e-2, -5.385_090_8e-2, 1.333_277e-1, -3.333_332_8e-1];
    if z.abs() < 0.625 {
        let square = z * z;
        let p = POLYNOMIAL.into_iter().reduce(|p, coefficient| p.mul_add(square, coefficient)).unwrap_or_default();
        return (p * square).mul_add(z, z);
    }
    (1.0 - 2.0 / (exp(z.abs() + z.abs()) + 1.0)).copysign(z)
}
