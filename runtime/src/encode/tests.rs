//! What is encoded decodes, by the oracle, to what was meant; whatever the weights are.

mod exact;
mod tensors;

use quantloom_spec::eval::decode_rows;
use quantloom_spec::{TableFolder, cards_dir};

use super::*;
use crate::gguf::BlockShape;

/// Numbers that repeat from run to run, about normally distributed.
fn noise(count: usize) -> Vec<f32> {
    let mut state = 7_u64;
    let mut unit = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 24) as f32 - 0.5
    };
    (0..count).map(|_| (0..6).map(|_| unit()).sum()).collect()
}

/// Weights that are hard on scales: zeros, constants, single large ones, very small and very large ones.
fn patterns(count: usize) -> Vec<(&'static str, Vec<f32>)> {
    let noise = noise(count);
    let of = |value: fn(usize, f32) -> f32| noise.iter().enumerate().map(|(at, x)| value(at, *x)).collect::<Vec<_>>();
    vec![
        ("noise", of(|_, x| x)),
        ("zeros", of(|_, _| 0.0)),
        ("constant", of(|_, _| -0.75)),
        ("positive", of(|_, x| 5.0 + x)),
        ("outlier", of(|at, x| if at % 256 == 77 { 1000.0 } else { 0.001 * x })),
        ("mostly zeros", of(|at, x| if at % 64 < 60 { 0.0 } else { x })),
        ("subnormal", of(|_, x| x * 1e-42)),
        ("huge", of(|at, x| if at % 3 == 0 { f32::MAX } else { x * 1e38 })),
        ("all sizes", of(|at, x| x * 10.0_f32.powi((at / 32 % 60) as i32 - 30))),
    ]
}

/// The bytes of a row, and what it is meant to decode to.
fn encoded(encoder: &Encoder, x: &[f32], w: Option<&[f32]>) -> (Vec<u8>, Vec<f32>) {
    let Layout::Rows(rows) = &encoder.layout else { panic!("the format is of blocks") };
    let (length, unit_bytes) = rows.unit(x.len());
    let mut work = Work::default();
    let mut row = vec![0; x.len() / length * unit_bytes];
    for (number, unit) in row.chunks_mut(unit_bytes).enumerate() {
        let part = number * length..(number + 1) * length;
        encoder.decide(&x[part.clone()], w.map(|w| &w[part]), &mut work);
        rows.write(&work.bits, &work.levels, unit);
    }
    (row, work.meant)
}

/// The formats that are rows of blocks.
fn in_blocks() -> impl Iterator<Item = &'static Format> {
    registry::formats().filter(|format| BlockShape::of(format).is_some())
}

#[test]
fn blocks_decode_to_what_was_meant() {
    for format in in_blocks() {
        let (model, encoder) = (registry::model(format).unwrap(), Encoder::new(format).unwrap());
        let count = (2 * format.block_weights).max(128);
        let importance = normal(&(0..count).map(|at| (at % 5) as f32).collect::<Vec<_>>());
        for (name, x) in patterns(count) {
            for w in [None, Some(importance.as_slice())] {
                let (blocks, meant) = encoded(&encoder, &x, w);
                let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
                let found = decode_rows(model, &blocks, x.len());
                assert!(found.iter().all(|value| value.is_finite()), "{} {name}", format.name);
                assert_eq!(bits(&found), bits(&meant), "{} {name}", format.name);
            }
        }
    }
}

/// Redundant sums are those of the codes.
#[test]
fn sums_are_kept() {
    let with_sums =
        |format: &&'static Format| registry::model(format).unwrap().blocks().unwrap().fields.iter().any(|field| field.sums);
    for format in in_blocks().filter(with_sums) {
        let model = registry::model(format).unwrap();
        let (blocks, _) = encoded(&Encoder::new(format).unwrap(), &noise(format.block_weights), None);
        let field = model.blocks().unwrap().fields.iter().find(|field| field.sums).unwrap();
        let (count, size) = (field.count.unwrap(), field.element.bits() as usize / 8);
        let levels = (0..format.block_weights).map(|at| quantloom_spec::eval::weight(model, &blocks, at).code.get());
        let levels = levels.collect::<Vec<_>>();
        for (place, codes) in levels.chunks(format.block_weights / count).enumerate() {
            let bytes = &blocks[field.at + place * size..][..size];
            let bits = bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
            assert_eq!(field.element.value(bits), codes.iter().map(|code| f64::from(*code)).sum::<f64>());
        }
    }
}

/// A format whose rows are blocks of 32 weights.
fn blocks_of_32() -> &'static Format {
    registry::formats().find(|format| format.gguf.is_some() && format.block_weights == 32).unwrap()
}

#[test]
fn columns_without_importance_give_way() {
    let format = blocks_of_32();
    let x = noise(32);
    let importance = (0..32).map(|at| if at < 8 { 1.0 } else { 0.0 }).collect::<Vec<_>>();
    let error = |w: Option<&[f32]>| {
        let bytes = Encoder::new(format).unwrap().encode(&x, 32, w, Pool::global()).unwrap();
        let mut y = vec![0.0; 32];
        crate::decode(format, 1, y.len(), &bytes, &mut y).unwrap();
        x.iter().zip(&y).take(8).map(|(x, y)| (x - y) * (x - y)).sum::<f32>()
    };
    assert!(error(Some(&importance)) < error(None));
}

#[test]
fn what_cannot_be_encoded_is_said() {
    let format = blocks_of_32();
    let encoder = Encoder::new(format).unwrap();
    let message = |x: &[f32], k, w: Option<&[f32]>| encoder.encode(x, k, w, Pool::global()).unwrap_err().to_string();
    let mut x = noise(64);
    assert!(message(&x, 33, None).contains("multiple of 32"));
    assert!(message(&x[..40], 32, None).contains("40 values given, 64 needed"));
    assert!(message(&x, 32, Some(&[1.0; 31])).contains("31 values given, 32 needed"));
    assert!(message(&x, 32, Some(&[-1.0; 32])).contains("value 0 (counted from 0) must be finite and at least 0"));
    x[41] = f32::NAN;
    assert!(message(&x, 32, None).contains("value 41 (counted from 0) must be finite"));
}

/// Enough weights for several parts, which are encoded on different threads.
#[test]
fn threads_do_not_change_the_result() {
    let format = blocks_of_32();
    let (x, encoder) = (noise(3 * AT_ONCE), Encoder::new(format).unwrap());
    let alone = encoder.encode(&x, 96, None, &Pool::new(1)).unwrap();
    assert_eq!(alone, encoder.encode(&x, 96, None, &Pool::new(3)).unwrap());
}

/// Structures that no shipped format has: cards, and the relative error that each may have.
const CARDS: [(&str, f64); 7] = [
    // Zero points of 16 weights under a scale of 64.
    (
        r#"
        name = "zeros"
        doc = "x"
        weights = 64
        bytes = 36
        index = { half = 32, group = 16, byte = 2, lane = 1 }
        fields = { d = { at = 0, type = "f16" }, z = { at = 2, type = "u8[2]" }, qs = { at = 4, type = "u8[32]" } }
        code = { planes = [{ from = "qs", item = { half = 16, group = 8, byte = 1 }, bit = { lane = 4 }, bits = 4 }] }
        zero = { planes = [{ from = "z", item = { half = 1 }, bit = { group = 4 }, bits = 4 }] }
        scale = { from = "d" }"#,
        0.02,
    ),
    // A sign and a magnitude for each weight.
    (
        r#"
        name = "magnitudes"
        doc = "x"
        weights = 32
        bytes = 18
        index = { byte = 2, lane = 1 }
        fields = { d = { at = 0, type = "f16" }, qs = { at = 2, type = "u8[16]" } }
        scale = { from = "d" }
        [code]
        planes = [{ from = "qs", item = { byte = 1 }, bit = { lane = 4 }, bits = 3 }]
        levels = [0, 1, 2, 3, 4, 6, 8, 12]
        [sign]
        planes = [{ from = "qs", item = { byte = 1 }, bit = { at = 3, lane = 4 }, bits = 1 }]
        step = -2
        offset = 1"#,
        0.02,
    ),
    // Integer scales under a power of two.
    (
        r#"
        name = "powers"
        doc = "x"
        weights = 64
        bytes = 35
        index = { half = 32, group = 16, byte = 2, lane = 1 }
        fields = { d = { at = 0, type = "e8m0" }, s = { at = 1, type = "u8[2]" }, qs = { at = 3, type = "u8[32]" } }
        [code]
        planes = [{ from = "qs", item = { half = 16, group = 8, byte = 1 }, bit = { lane = 4 }, bits = 4 }]
        offset = -8
        [scale]
        super = "d"
        planes = [{ from = "s", item = { half = 1 }, bit = { group = 4 }, bits = 4 }]
        offset = 1"#,
        0.01,
    ),
    // Codes of their own for weights that share rows of signs.
    (
        r#"
        name = "rows"
        doc = "x"
        weights = 16
        bytes = 8
        index = { half = 8, byte = 4, lane = 1 }
        fields = { d = { at = 0, type = "f16" }, sg = { at = 2, type = "u16" }, qs = { at = 4, type = "u8[4]" } }
        [code]
        planes = [{ from = "qs", item = { half = 2, byte = 1 }, bit = { lane = 2 }, bits = 2 }]
        [sign]
        planes = [{ from = "sg", bit = { half = 7 }, bits = 7 }]
        levels = "signs7"
        [scale]
        super = "d"
        planes = [{ from = "sg", bit = 14, bits = 2 }]
        offset = 1"#,
        0.08,
    ),
    // Wide items, and a min of another type than the scale.
    (
        r#"
        name = "wide"
        doc = "x"
        weights = 32
        bytes = 26
        index = { part = 8, lane = 1 }
        fields = { d = { at = 0, type = "f32" }, m = { at = 4, type = "bf16" }, qs = { at = 6, type = "u40[4]" } }
        code = { planes = [{ from = "qs", item = { part = 1 }, bit = { lane = 5 }, bits = 5 }] }
        scale = { from = "d" }
        min = { from = "m" }"#,
        0.002,
    ),
    // Supers of scales and mins for the whole row.
    (
        r#"
        name = "headers"
        doc = "x"
        weights = 64
        bytes = 34
        index = { half = 32, byte = 2, lane = 1 }
        row = { d = { at = 0, type = "f32" }, m = { at = 4, type = "f16" } }
        fields = { s = { at = 0, type = "u8[2]" }, qs = { at = 2, type = "u8[32]" } }
        code = { planes = [{ from = "qs", item = { half = 16, byte = 1 }, bit = { lane = 4 }, bits = 4 }] }
        scale = { super = "d", planes = [{ from = "s", item = { half = 1 }, bits = 4 }] }
        min = { super = "m", planes = [{ from = "s", item = { half = 1 }, bit = 4, bits = 4 }], step = -1 }"#,
        0.01,
    ),
    // One scale for the whole row, and zeros for half blocks.
    (
        r#"
        name = "one-scale"
        doc = "x"
        weights = 16
        bytes = 9
        index = { half = 8, byte = 2, lane = 1 }
        row = { d = { at = 0, type = "f16" } }
        fields = { z = { at = 0, type = "u8" }, qs = { at = 1, type = "u8[8]" } }
        code = { planes = [{ from = "qs", item = { half = 4, byte = 1 }, bit = { lane = 4 }, bits = 4 }] }
        zero = { planes = [{ from = "z", bit = { half = 4 }, bits = 4 }] }
        scale = { from = "d" }"#,
        0.02,
    ),
];

#[test]
fn other_structures_are_encoded_too() {
    for (card, limit) in CARDS {
        let model = quantloom_spec::read_format("card", card, &TableFolder::new(cards_dir().join("tables")));
        let model = model.unwrap_or_else(|wrong| panic!("{}", wrong.render(false)));
        let encoder = Encoder::of_model(&model).unwrap();
        for (name, x) in patterns(1024) {
            let (blocks, meant) = encoded(&encoder, &x, None);
            let found = decode_rows(&model, &blocks, x.len());
            assert!(found.iter().all(|value| value.is_finite()), "{} {name}", model.name);
            assert_eq!(found, meant, "{} {name}", model.name);
            if name == "noise" {
                let squares = |values: &mut dyn Iterator<Item = f32>| values.map(|x| f64::from(x).powi(2)).sum::<f64>();
                let error = squares(&mut x.iter().zip(&found).map(|(x, y)| x - y)) / squares(&mut x.iter().copied());
                assert!(error < limit, "{}: {error}", model.name);
            }
        }
    }
}
