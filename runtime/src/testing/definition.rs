//! The numerics classes as `docs/numerics.md` defines them, evaluated plainly from a checked card.

use quantloom_kernels::abi::SEGMENT;
use quantloom_spec::eval::{self, Items, Value, Weight};
use quantloom_spec::model::{self, Number, Storage};

use crate::registry::{Format, Numerics};

/// What a card means for products: the numerics classes, as they are defined.
#[derive(Debug)]
pub struct Definition<'a> {
    card: &'a model::Format,
    units: Units,
    /// Weights under one activation scale, and under one scale besides.
    span: usize,
    step: usize,
    /// Whether the mins of a span are summed as integers.
    integer_mins: bool,
}

/// The units, powers of two of at most 1, in which parts of weights are integers.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Units {
    /// Of levels; `None` if they are no integers.
    pub level: Option<f32>,
    /// Of own scales.
    pub scale: f32,
    /// Of own mins.
    pub min: f32,
}

/// One stored row of weights.
#[derive(Debug)]
pub struct Row<'a> {
    definition: &'a Definition<'a>,
    weights: Vec<Weight>,
}

impl<'a> Definition<'a> {
    /// Of a card.
    #[must_use]
    pub fn new(card: &'a model::Format) -> Self {
        let own = |number: &Option<Number>| number.as_ref().map_or(1.0, |number| own_unit(card, number));
        let units =
            Units { level: card.integer_levels().map(|levels| levels.unit), scale: own(&card.scale), min: own(&card.min) };
        Self { card, units, span: card.span(), step: card.step(), integer_mins: card.has_integer_mins() }
    }

    /// The units of the card.
    #[must_use]
    pub fn units(&self) -> Units {
        self.units
    }

    /// `n` rows of `k` weights of the card's format, as `bytes` store them.
    ///
    /// # Panics
    /// If `bytes` are not as many as that takes.
    #[must_use]
    pub fn rows(&'a self, format: &Format, n: usize, k: usize, bytes: &[u8]) -> Vec<Row<'a>> {
        let shapes = format.shapes(n, k).unwrap_or_default();
        let items = items(&shapes, bytes);
        let weights = |row| (0..k).map(|position| weight(self.card, &items, row, position)).collect();
        (0..n).map(|row| Row { definition: self, weights: weights(row) }).collect()
    }
}

impl Row<'_> {
    /// The parts of each weight.
    #[must_use]
    pub fn weights(&self) -> &[Weight] {
        &self.weights
    }

    /// The product with as many activations.
    ///
    /// # Panics
    /// In class `int8`, if the card has no levels that are integers: then it has no such class.
    #[must_use]
    pub fn product(&self, numerics: Numerics, x: &[f32]) -> f32 {
        let segments = self.weights.chunks(SEGMENT).zip(x.chunks(SEGMENT));
        segments.fold(0.0, |total, (weights, x)| {
            total
                + match numerics {
                    Numerics::Exact => exact(weights, x),
                    Numerics::Int8 => self.int8(weights, x),
                }
        })
    }

    /// A segment: span by span, from +0.
    fn int8(&self, weights: &[Weight], x: &[f32]) -> f32 {
        let span = self.definition.span;
        weights.chunks(span).zip(x.chunks(span)).fold(0.0, |sum, (weights, x)| self.span(weights, x, sum))
    }

    /// `sum` plus one span: one activation scale.
    fn span(&self, weights: &[Weight], x: &[f32], sum: f32) -> f32 {
        let &Definition { units: Units { level, min: min_unit, .. }, step, integer_mins, .. } = self.definition;
        let unit = level.expect("integer levels");
        let (quants, scale) = quantise(x);
        let steps = || weights.chunks(step).zip(quants.chunks(step));
        let mut t = 0.0_f32;
        for (weights, quants) in steps() {
            let dot: i32 = weights.iter().zip(quants).map(|(weight, quant)| integer(weight.level(), unit) * quant).sum();
            let scale = weights[0].scale.map_or(1.0, Value::get) * unit;
            t = scale.mul_add(dot as f32, t);
        }
        let sums = || steps().filter_map(|(weights, quants)| Some((weights[0].min?, quants.iter().sum::<i32>())));
        match weights[0].min {
            None => {}
            Some(Value { outer: Some(root), .. }) if integer_mins => {
                let whole: i32 = sums().map(|(min, sum)| integer(min.own, min_unit) * sum).sum();
                t = (root * min_unit).mul_add(whole as f32, t);
            }
            Some(_) => sums().for_each(|(min, sum)| t = min.get().mul_add(sum as f32, t)),
        }
        scale.mul_add(t, sum)
    }
}

/// The parts of a weight: of separate tensors, or of rows of blocks, which are a single one.
pub fn weight(card: &model::Format, items: &[Items<'_>], row: usize, position: usize) -> Weight {
    match (&card.storage, items) {
        (Storage::Blocks(_), [rows]) => {
            let bytes = rows.shape[1];
            eval::weight(card, &rows.bytes[row * bytes..][..bytes], position)
        }
        _ => eval::tensor_weight(card, items, row, position),
    }
}

/// Separate tensors of some shapes that lie one after the other; rows of blocks are a single one.
///
/// # Panics
/// If `bytes` are fewer.
pub fn items<'d>(shapes: &'d [(Vec<usize>, usize)], bytes: &'d [u8]) -> Vec<Items<'d>> {
    let mut rest = bytes;
    let take = |(shape, item): &'d (Vec<usize>, usize)| {
        let (tensor, after) = rest.split_at(shape.iter().product::<usize>() * item);
        rest = after;
        Items { shape, bytes: tensor }
    };
    shapes.iter().map(take).collect()
}

/// A segment: `sum = fma(w, x, sum)` in K order from +0.
fn exact(weights: &[Weight], x: &[f32]) -> f32 {
    weights.iter().zip(x).fold(0.0_f32, |sum, (weight, x)| weight.value().mul_add(*x, sum))
}

/// The largest power of two, at most 1, in which every own value of a number is an integer; 1 if they are none at all.
fn own_unit(card: &model::Format, number: &Number) -> f32 {
    let Some(values) = card.own_values(number) else { return 1.0 };
    let integers = |unit: &f32| values.iter().all(|value| (value / f64::from(*unit)).fract() == 0.0);
    (0..=24).map(|log| 0.5_f32.powi(log)).find(integers).unwrap_or(1.0)
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

/// A span of activations quantised, and its scale.
pub fn quantise(x: &[f32]) -> (Vec<i32>, f32) {
    let largest = x.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    let inverse = 127.0 / largest;
    if inverse.is_infinite() || inverse.is_nan() {
        return (vec![0; x.len()], 0.0);
    }
    (x.iter().map(|value| (value * inverse).round_ties_even() as i32).collect(), largest / 127.0)
}
