//! The numerics classes as `docs/numerics.md` defines them, evaluated plainly from a checked card.

use quantloom_kernels::abi::SEGMENT;
use quantloom_spec::eval::{self, Value, Weight};
use quantloom_spec::model::{self, Number};
use quantloom_spec::summary::Integers;

use crate::registry::Numerics;

/// One stored row of weights, and what it makes of activations.
#[derive(Debug)]
pub struct Definition<'a> {
    card: &'a model::Format,
    /// Weights of a block.
    block: usize,
    weights: Vec<Weight>,
}

impl<'a> Definition<'a> {
    /// The row in `bytes`.
    ///
    /// # Panics
    /// If the card is not of blocks, or `bytes` are not whole ones.
    #[must_use]
    pub fn new(card: &'a model::Format, bytes: &[u8]) -> Self {
        let blocks = card.blocks().expect("a card of blocks");
        let bodies = bytes.len().checked_sub(blocks.header).filter(|bodies| bodies.is_multiple_of(blocks.bytes));
        let k = bodies.expect("whole blocks") / blocks.bytes * blocks.weights;
        Self { card, block: blocks.weights, weights: (0..k).map(|position| eval::weight(card, bytes, position)).collect() }
    }

    /// The card.
    pub(super) fn card(&self) -> &'a model::Format {
        self.card
    }

    /// The parts of each weight.
    #[must_use]
    pub fn weights(&self) -> &[Weight] {
        &self.weights
    }

    /// The product with as many activations.
    ///
    /// # Panics
    /// In class `int8`, if the card has no levels that are integers, or no scale: then it has no such class.
    #[must_use]
    pub fn product(&self, numerics: Numerics, x: &[f32]) -> f32 {
        match numerics {
            Numerics::Exact => self.exact(x),
            Numerics::Int8 => self.int8(x),
        }
    }

    /// `sum = fma(w, x, sum)` in K order from +0 within a segment; segment sums added left to right.
    fn exact(&self, x: &[f32]) -> f32 {
        let segments = self.weights.chunks(SEGMENT).zip(x.chunks(SEGMENT));
        segments.fold(0.0, |total, (weights, x)| {
            total + weights.iter().zip(x).fold(0.0_f32, |sum, (weight, x)| weight.value().mul_add(*x, sum))
        })
    }

    fn int8(&self, x: &[f32]) -> f32 {
        let span = if self.block.is_multiple_of(256) { 256 } else { 32 };
        let rules = Int8::of(self.card);
        let segments = self.weights.chunks(SEGMENT).zip(x.chunks(SEGMENT));
        segments.fold(0.0, |total, (weights, x)| {
            let spans = weights.chunks(span).zip(x.chunks(span));
            total + spans.fold(0.0, |sum, (weights, x)| rules.span(weights, x, sum))
        })
    }
}

/// What the class `int8` needs to know of a card.
struct Int8 {
    /// Weights under one scale.
    group: usize,
    /// The unit in which levels are integers.
    unit: f32,
    /// The unit in which own mins are integers.
    min_unit: f32,
}

impl Int8 {
    fn of(card: &model::Format) -> Self {
        let Integers { group, unit, .. } = card.summary().integers.expect("integer levels");
        Self { group, unit, min_unit: card.min.as_ref().map_or(1.0, |min| own_unit(card, min)) }
    }

    /// `sum` plus one span: one activation scale.
    fn span(&self, weights: &[Weight], x: &[f32], sum: f32) -> f32 {
        let (quants, scale) = quantise(x);
        let step = self.group.min(x.len());
        let steps = || weights.chunks(step).zip(quants.chunks(step));
        let mut t = 0.0_f32;
        for (weights, quants) in steps() {
            let dot: i32 = weights.iter().zip(quants).map(|(weight, quant)| integer(weight.level(), self.unit) * quant).sum();
            let scale = weights[0].scale.map_or(1.0, Value::get) * self.unit;
            t = scale.mul_add(dot as f32, t);
        }
        let sums = || steps().filter_map(|(weights, quants)| Some((weights[0].min?, quants.iter().sum::<i32>())));
        match weights[0].min {
            None => {}
            Some(Value { outer: Some(root), .. }) => {
                let whole: i32 = sums().map(|(min, sum)| integer(min.own, self.min_unit) * sum).sum();
                t = (root * self.min_unit).mul_add(whole as f32, t);
            }
            Some(_) => sums().for_each(|(min, sum)| t = min.get().mul_add(sum as f32, t)),
        }
        scale.mul_add(t, sum)
    }
}

/// The largest power of two, at most 1, in which every own value of a number is an integer; 1 if they are none at all.
pub fn own_unit(card: &model::Format, number: &Number) -> f32 {
    let integers = |unit: &f32| {
        let values = card.own_values(number)?;
        values.iter().all(|value| (value / f64::from(*unit)).fract() == 0.0).then_some(())
    };
    (0..=24).map(|log| 0.5_f32.powi(log)).find(|unit| integers(unit).is_some()).unwrap_or(1.0)
}

/// A value as an integer in a unit.
///
/// # Panics
/// If it is none.
pub fn integer(value: f32, unit: f32) -> i32 {
    let integer = value / unit;
    assert_eq!(integer.fract(), 0.0, "{value} is no integer in units of {unit}");
    integer as i32
}

fn quantise(x: &[f32]) -> (Vec<i32>, f32) {
    let largest = x.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    let inverse = 127.0 / largest;
    if inverse.is_infinite() || inverse.is_nan() {
        return (vec![0; x.len()], 0.0);
    }
    (x.iter().map(|value| (value * inverse).round_ties_even() as i32).collect(), largest / 127.0)
}
