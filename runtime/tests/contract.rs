//! The numerics classes as they are defined, evaluated plainly from the checked cards: what every kernel must give, bit for bit.

use std::cell::LazyCell;
use std::sync::LazyLock;

use proptest::prelude::*;
use quantloom::matmul::{Request, matmul};
use quantloom::measure::synthetic;
use quantloom::pool::Pool;
use quantloom::registry::{self, Format, Numerics};
use quantloom::weights::Weights;
use quantloom_kernels::abi::Unpacked;
use quantloom_kernels::scalar;
use quantloom_spec::eval::{self, Items, Weight};
use quantloom_spec::model::{self, Format as Card};
use quantloom_spec::{TableFolder, cards_dir, read_format};

const SEGMENT: usize = 512;

/// Every format that has kernels, with its card.
fn packed_formats() -> &'static [(&'static Format, Card)] {
    static FORMATS: LazyLock<Vec<(&Format, Card)>> = LazyLock::new(|| {
        let tables = TableFolder::new(cards_dir().join("tables"));
        let packed = registry::formats().filter(|format| format.packed.is_some());
        packed.map(|format| (format, read_format(format.name, format.card, &tables).unwrap())).collect()
    });
    &FORMATS
}

/// The numerics classes that a format has kernels for.
fn numerics_of(format: &Format) -> impl Iterator<Item = Numerics> {
    let has = |numerics| registry::kernels(format).iter().any(move |kernel| kernel.numerics == numerics);
    Numerics::ALL.into_iter().filter(move |&numerics| has(numerics))
}

/// One row of weights as the oracle sees them.
struct Row<'a> {
    card: &'a Card,
    weights: Vec<Weight>,
}

/// The rows of a stored matrix.
fn rows<'a>(format: &Format, card: &'a Card, (n, k): (usize, usize), bytes: &[u8]) -> Vec<Row<'a>> {
    let shapes = format.shapes(n, k).unwrap();
    let mut rest = bytes;
    let items = shapes.iter().map(|(shape, item)| {
        let (tensor, after) = rest.split_at(shape.iter().product::<usize>() * item);
        rest = after;
        Items { shape, bytes: tensor }
    });
    let items = items.collect::<Vec<_>>();
    let weight = |row: usize, position| match card.storage {
        model::Storage::Blocks(_) => eval::weight(card, bytes.chunks(bytes.len() / n).nth(row).unwrap(), position),
        model::Storage::Tensors(_) => eval::tensor_weight(card, &items, row, position),
    };
    (0..n).map(|row| Row { card, weights: (0..k).map(|position| weight(row, position)).collect() }).collect()
}

impl Row<'_> {
    /// `acc = fma(w, x, acc)` in K order from +0 within a segment; segment sums added left to right.
    fn exact(&self, x: &[f32]) -> f32 {
        let segments = self.weights.chunks(SEGMENT).zip(x.chunks(SEGMENT));
        segments.fold(0.0, |total, (weights, x)| {
            total + weights.iter().zip(x).fold(0.0_f32, |sum, (weight, x)| weight.value().mul_add(*x, sum))
        })
    }

    fn int8(&self, block: usize, x: &[f32]) -> f32 {
        let span = if block.is_multiple_of(256) { 256 } else { 32 };
        let segments = self.weights.chunks(SEGMENT).zip(x.chunks(SEGMENT));
        segments.fold(0.0, |total, (weights, x)| {
            let spans = weights.chunks(span).zip(x.chunks(span));
            total + spans.fold(0.0, |sum, (weights, x)| self.span(weights, x, sum))
        })
    }

    /// `sum` plus one span: one activation scale.
    fn span(&self, weights: &[Weight], x: &[f32], sum: f32) -> f32 {
        let (quants, scale) = quantise(x);
        let (step, unit) = (group(self.card).min(x.len()), unit(self.card));
        let steps = || weights.chunks(step).zip(quants.chunks(step));
        let mut t = 0.0_f32;
        for (weights, quants) in steps() {
            let dot: i32 = weights.iter().zip(quants).map(|(weight, quant)| integer(weight.level() / unit) * quant).sum();
            t = (weights[0].scale.unwrap().get() * unit).mul_add(dot as f32, t);
        }
        let sums = || steps().map(|(weights, quants)| (weights[0].min.unwrap(), quants.iter().sum::<i32>()));
        match weights[0].min {
            None => {}
            Some(eval::Value { outer: Some(root), .. }) => {
                let whole: i32 = sums().map(|(min, sum)| integer(min.own) * sum).sum();
                t = root.mul_add(whole as f32, t);
            }
            Some(_) => sums().for_each(|(min, sum)| t = min.get().mul_add(sum as f32, t)),
        }
        scale.mul_add(t, sum)
    }
}

/// Weights that share a scale.
fn group(card: &Card) -> usize {
    card.summary().integers.expect("the levels are integers").group
}

/// A power of two in which the levels are integers.
fn unit(card: &Card) -> f32 {
    card.integer_levels().expect("the levels are integers").unit
}

/// The largest power of two, at most 1, in which every scale under a root is an integer.
fn scale_unit(card: &Card) -> f32 {
    let values = card.own_values(card.scale.as_ref().unwrap()).unwrap();
    let units = (0..24).map(|log| 0.5_f64.powi(log));
    units.into_iter().find(|unit| values.iter().all(|value| (value / unit).fract() == 0.0)).unwrap() as f32
}

fn integer(value: f32) -> i32 {
    assert_eq!(value.fract(), 0.0);
    value as i32
}

fn quantise(x: &[f32]) -> (Vec<i32>, f32) {
    let largest = x.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    let inverse = 127.0 / largest;
    if inverse.is_infinite() || inverse.is_nan() {
        return (vec![0; x.len()], 0.0);
    }
    (x.iter().map(|value| (value * inverse).round_ties_even() as i32).collect(), largest / 127.0)
}

#[test]
fn kernels_compute_the_classes_as_they_are_defined() {
    for (format, card) in packed_formats() {
        let (n, k) = (20_usize.next_multiple_of(format.row_multiple()), 1280.max(format.block_weights));
        let bytes = synthetic(format, n, k).unwrap();
        let weights = Weights::pack(format, n, k, &bytes, Pool::global()).unwrap();
        let x =
            (0..3 * k).map(|index| ((index * 7919 % 2003) as f32 / 1000.0 - 1.0) * 1.5_f32.powi(index as i32 / 97 % 20 - 10));
        let x = x.collect::<Vec<_>>();
        let rows = rows(format, card, (n, k), &bytes);
        for numerics in numerics_of(format) {
            let mut y = vec![0.0; 3 * n];
            let request = Request { numerics, ..Request::default() };
            matmul(&weights, &x, 3, &mut y, &request, Pool::global()).unwrap();
            for (x, y) in x.chunks(k).zip(y.chunks(n)) {
                for (row, found) in rows.iter().zip(y) {
                    let wanted = match numerics {
                        Numerics::Exact => row.exact(x),
                        Numerics::Int8 => row.int8(format.block_weights, x),
                    };
                    assert_eq!(found.to_bits(), wanted.to_bits(), "{}: {numerics}: {found} for {wanted}", format.name);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// What is packed comes back: codes, scales and mins of arbitrary blocks, whole panels and parts of one.
    #[test]
    fn unpacking_gives_the_codes_back(seed in any::<u64>(), count in 1_usize..=16, blocks in 1_usize..=5) {
        for (format, card) in packed_formats() {
            let packed = format.packed.as_ref().unwrap();
            let (levels, listed) = (card.integer_levels(), card.levels().is_some());
            let scale_unit = LazyCell::new(|| scale_unit(card));
            let (n, k) = (count.next_multiple_of(format.row_multiple()), blocks * format.block_weights);
            let mut state = seed;
            let bytes = (0..format.stored_bytes(n, k).unwrap()).map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 56) as u8
            });
            let bytes = bytes.collect::<Vec<_>>();
            let units = k.div_ceil(packed.class.unit_weights);
            let mut panel = vec![0_u64; units * packed.class.unit_bytes / 8];
            let tensors = format.split(n, k, &bytes).unwrap();
            (packed.pack)(&tensors, 0..count, blocks, bytemuck::cast_slice_mut(&mut panel));
            for (index, wanted) in rows(format, card, (n, k), &bytes).into_iter().take(count).enumerate() {
                let mut found = Unpacked::default();
                (packed.class.unpack)(bytemuck::cast_slice(&panel), index, &mut found);
                for (position, weight) in wanted.weights.iter().enumerate() {
                    match found.codes.get(position) {
                        None => {
                            let (found, wanted) = (found.roots[position], weight.value());
                            let same = found.to_bits() == wanted.to_bits() || (found.is_nan() && wanted.is_nan());
                            prop_assert!(same, "{}: {found} for {wanted}", format.name);
                        }
                        Some(&code) if levels.is_none() => {
                            let looked_up = packed.palette.floats[usize::from(code % 16)];
                            let found = if listed { looked_up } else { scalar::e4m3(u32::from(code)) };
                            let same = found.to_bits() == weight.level().to_bits() || (found.is_nan() && weight.level().is_nan());
                            prop_assert!(same, "{}: {found} for {}", format.name, weight.level());
                        }
                        Some(&code) => {
                            let byte = if packed.class.palette { packed.palette.bytes[usize::from(code)] } else { code };
                            let zeros = packed.class.zero_group.map_or(0, |group| found.zeros[position / group]);
                            let level = i32::from(byte) - packed.class.zero - zeros;
                            let unit = levels.as_ref().map_or(1.0, |levels| levels.unit);
                            prop_assert_eq!(level, integer(weight.level() / unit), "{} code {}", format.name, position);
                        }
                    }
                    if let Some(sub) = found.scales.get(position / packed.class.step) {
                        let own = weight.scale.unwrap().own / *scale_unit;
                        prop_assert_eq!(*sub as f32, own, "{} scale {}", format.name, position);
                    }
                    if let Some(sub) = found.mins.get(position / packed.class.step) {
                        prop_assert_eq!(*sub as f32, weight.min.unwrap().own.abs(), "{} min {}", format.name, position);
                    }
                }
            }
        }
    }
}
