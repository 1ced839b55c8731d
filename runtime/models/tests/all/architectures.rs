//! Tiny random models of every architecture that a card describes, held to a plain evaluation in f64 that knows nothing of cards.

use crate::common::{exact, int8, logits, nmse, same_bits};
use crate::tiny::Tiny;
use quantloom::gguf::Value;
use quantloom_models::{LanguageModel, Options, architectures};
use tempfile::TempDir;

/// A model of each architecture.
fn models() -> Vec<Tiny> {
    let plain = Tiny::plain;
    vec![
        plain("llama"),
        Tiny { tied: true, dims: 8, biases: true, ..plain("llama") },
        Tiny { factors: true, base: 500_000.0, ..plain("llama") },
        Tiny { heads: 6, kv: 1, size: 8, dims: 8, score_scale: 1.0 / 8_f64.sqrt(), ..plain("mistral3") },
        Tiny { neighbours: false, biases: true, base: 1_000_000.0, tied: true, ..plain("qwen2") },
        Tiny {
            neighbours: false,
            stretch: 4.0,
            more: vec![
                ("rope.scaling.type", Value::String("linear".to_owned())),
                ("rope.scaling.factor", Value::F32(4.0)),
                ("rope.scaling.original_context_length", Value::U32(175)),
            ],
            ..plain("qwen2")
        },
        Tiny { neighbours: false, head_norms: true, size: 24, dims: 24, score_scale: 1.0 / 24_f64.sqrt(), ..plain("qwen3") },
        Tiny {
            embedding_scale: 12.0,
            score_scale: 0.015_625,
            residual_scale: 0.22_f32.into(),
            logit_divisor: 8.0,
            tied: true,
            more: vec![
                ("embedding_scale", Value::F32(12.0)),
                ("attention.scale", Value::F32(0.015_625)),
                ("residual_scale", Value::F32(0.22)),
                ("logit_scale", Value::F32(8.0)),
            ],
            ..plain("granite")
        },
        Tiny { layers: 5, unrotated: true, tied: true, ..plain("smollm3") },
        Tiny {
            layers: 7,
            neighbours: false,
            head_norms: true,
            post_norms: true,
            gelu: true,
            tied: true,
            base: 1_000_000.0,
            stretch: 8.0,
            window: Some(5),
            embedding_scale: 48_f64.sqrt(),
            more: vec![
                ("attention.sliding_window", Value::U32(5)),
                ("rope.scaling.type", Value::String("linear".to_owned())),
                ("rope.scaling.factor", Value::F32(8.0)),
            ],
            ..plain("gemma3")
        },
    ]
}

/// Tokens without a pattern.
fn tokens(count: usize, vocabulary: usize) -> Vec<u32> {
    (0..count).map(|index| (index * index * 31 + 17 * index + 5) as u32 % vocabulary as u32).collect()
}

fn open(folder: &TempDir, tiny: &Tiny, options: &Options) -> LanguageModel {
    let path = folder.path().join("tiny.gguf");
    tiny.write(&path);
    LanguageModel::open(&path, options).unwrap()
}

#[test]
fn every_card_has_a_model_here() {
    let mut names = architectures().iter().flat_map(|card| card.arch.clone()).collect::<Vec<_>>();
    names.retain(|name| !models().iter().any(|tiny| tiny.arch == name));
    assert_eq!(names, Vec::<String>::new());
}

#[test]
fn models_come_to_what_f64_does() {
    let folder = TempDir::new().unwrap();
    for tiny in models() {
        let model = open(&folder, &tiny, &exact());
        for count in [1, 2, 23] {
            let tokens = tokens(count, tiny.vocabulary);
            let found = logits(&model, &tokens, &[]);
            let wanted = tiny.evaluate(&tokens);
            let last = found[found.len() - tiny.vocabulary..].iter().map(|logit| f64::from(*logit));
            let error = nmse(last, &wanted);
            assert!(error <= 1e-10, "{count} tokens: {error:e}, {tiny:?}");
        }
    }
}

/// What a test that passes too easily would not see.
#[test]
fn what_is_special_about_a_model_matters() {
    let tokens = tokens(23, 70);
    let plain = Tiny::plain("llama");
    let wanted = plain.evaluate(&tokens);
    for other in [
        Tiny { neighbours: false, ..plain.clone() },
        Tiny { unrotated: true, layers: 4, ..plain.clone() },
        Tiny { window: Some(5), ..plain.clone() },
        Tiny { gelu: true, ..plain.clone() },
        Tiny { stretch: 4.0, ..plain.clone() },
        Tiny { residual_scale: 0.9, ..plain.clone() },
        Tiny { dims: 8, ..plain.clone() },
    ] {
        let error = nmse(other.evaluate(&tokens), &wanted);
        assert!(error > 1e-5, "{error:e}, {other:?}");
    }
}

#[test]
fn batches_and_packed_copies_change_no_bit() {
    let folder = TempDir::new().unwrap();
    let packed = folder.path().join("packed.gguf");
    for tiny in models() {
        let tokens = tokens(24, tiny.vocabulary);
        let wanted = logits(&open(&folder, &tiny, &int8().batch(1)), &tokens, &[]);
        for splits in [vec![], vec![1, 11, 2, 7]] {
            let model = open(&folder, &tiny, &int8().batch(7));
            same_bits(&logits(&model, &tokens, &splits), &wanted, tiny.arch);
        }
        let stored = quantloom::model::Model::open(folder.path().join("tiny.gguf")).unwrap();
        stored.pack(&packed, quantloom::pool::Pool::global(), &mut |_| {}).unwrap();
        let model = LanguageModel::open(&packed, &int8()).unwrap();
        same_bits(&logits(&model, &tokens, &[]), &wanted, tiny.arch);
    }
}

/// A window moves along a context that is longer than a page.
#[test]
fn windows_go_beyond_pages() {
    let folder = TempDir::new().unwrap();
    let window = models().into_iter().find(|tiny| tiny.window.is_some()).unwrap();
    let tokens = tokens(530, window.vocabulary);
    let model = open(&folder, &window, &exact());
    let found = logits(&model, &tokens, &[]);
    let last = found[found.len() - window.vocabulary..].iter().map(|logit| f64::from(*logit));
    let error = nmse(last, &window.evaluate(&tokens));
    assert!(error <= 1e-9, "{error:e}");
}
