//! Tiny random models of every architecture that a card describes, held to a plain evaluation in f64 that knows nothing of cards.

use crate::common::{exact, int8, logits, nmse, same_bits};
use crate::tiny::Tiny;
use quantloom::gguf::Value;
use quantloom_models::{LanguageModel, Options, architectures};
use tempfile::TempDir;

/// A model of each architecture.
fn models() -> Vec<Tiny> {
    let plain = Tiny::plain;
    let yarn = Value::String("yarn".to_owned());
    let gpt_oss = Tiny {
        layers: 4,
        neighbours: false,
        window: Some(5),
        window_every: 2,
        window_base: 0.0,
        sinks: true,
        clamped: true,
        experts: Some((6, 2)),
        yarn: Some([32.0, 64.0, 32.0, 1.0]),
        magnitude: 0.1 * 32_f64.ln() + 1.0,
        more: vec![
            ("attention.sliding_window", Value::U32(5)),
            ("expert_feed_forward_length", Value::U32(80)),
            ("rope.scaling.type", yarn.clone()),
            ("rope.scaling.factor", Value::F32(32.0)),
            ("rope.scaling.original_context_length", Value::U32(64)),
        ],
        ..plain("gpt-oss")
    };
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
        Tiny {
            temperature: Some((0.1, 8)),
            yarn: Some([16.0, 8.0, 1.0, 0.02]),
            more: vec![
                ("attention.temperature_scale", Value::F32(0.1)),
                ("rope.scaling.type", yarn.clone()),
                ("rope.scaling.factor", Value::F32(16.0)),
                ("rope.scaling.original_context_length", Value::U32(8)),
                ("rope.scaling.yarn_beta_fast", Value::F32(1.0)),
                ("rope.scaling.yarn_beta_slow", Value::F32(0.02)),
                ("rope.scaling.yarn_log_multiplier", Value::F32(1.0)),
            ],
            ..plain("mistral3")
        },
        Tiny {
            neighbours: false,
            factors: true,
            yarn: Some([4.0, 175.0, 32.0, 1.0]),
            magnitude: (0.1 * 4_f64.ln() + 1.0) / (0.05 * 4_f64.ln() + 1.0) * 0.5,
            more: vec![
                ("rope.scaling.type", yarn.clone()),
                ("rope.scaling.factor", Value::F32(4.0)),
                ("rope.scaling.original_context_length", Value::U32(175)),
                ("rope.scaling.yarn_ext_factor", Value::F32(1.0)),
                ("rope.scaling.yarn_log_multiplier", Value::F32(0.5)),
                ("rope.scaling.attn_factor", Value::F32(0.5)),
            ],
            ..plain("qwen2")
        },
        Tiny { experts: Some((4, 2)), ..plain("llama") },
        Tiny { experts: Some((1, 1)), tied: true, ..plain("llama") },
        Tiny { neighbours: false, head_norms: true, experts: Some((8, 3)), ..plain("qwen3moe") },
        Tiny { neighbours: false, head_norms: true, experts: Some((5, 5)), fused_experts: true, ..plain("qwen3moe") },
        gpt_oss.clone(),
        Tiny { width: 64, ff: 128, format: Some("MXFP4"), ..gpt_oss },
        Tiny { layers: 5, unrotated: true, tied: true, ..plain("smollm3") },
        // A window in all layers, and a part of each head rotates.
        Tiny {
            neighbours: false,
            fused: true,
            dims: 12,
            window: Some(7),
            window_every: 0,
            window_base: 0.0,
            more: vec![("attention.sliding_window", Value::U32(7)), ("rope.scaling.original_context_length", Value::U32(700))],
            ..plain("phi3")
        },
        // A context that is longer than it was, and one that is not.
        Tiny {
            neighbours: false,
            fused: true,
            biases: true,
            two_factors: Some(true),
            magnitude: 1.25,
            more: vec![
                ("attention.sliding_window", Value::U32(0)),
                ("rope.scaling.original_context_length", Value::U32(350)),
                ("rope.scaling.attn_factor", Value::F32(1.25)),
            ],
            ..plain("phi3")
        },
        Tiny {
            neighbours: false,
            fused: true,
            two_factors: Some(false),
            magnitude: 1.25,
            more: vec![
                ("rope.scaling.type", Value::String("longrope".to_owned())),
                ("rope.scaling.original_context_length", Value::U32(700)),
                ("rope.scaling.attn_factor", Value::F32(1.25)),
            ],
            ..plain("phi3")
        },
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
    let folder = TempDir::new().unwrap();
    let opened = models().iter().map(|tiny| open(&folder, tiny, &exact()).card().name.clone()).collect::<Vec<_>>();
    let mut names = architectures().iter().map(|card| card.name.clone()).collect::<Vec<_>>();
    names.retain(|name| !opened.contains(name));
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
        Tiny { magnitude: 1.25, ..plain.clone() },
        Tiny { yarn: Some([4.0, 175.0, 32.0, 1.0]), ..plain.clone() },
        Tiny { temperature: Some((0.1, 8)), ..plain.clone() },
    ] {
        let error = nmse(other.evaluate(&tokens), &wanted);
        assert!(error > 1e-5, "{error:e}, {other:?}");
    }
    let experts = Tiny { experts: Some((6, 2)), ..plain };
    let error = nmse(Tiny { experts: Some((6, 3)), ..experts.clone() }.evaluate(&tokens), &experts.evaluate(&tokens));
    assert!(error > 1e-5, "{error:e}");
}

/// Parts of one model that has much: each matters, with the same tensors.
#[test]
fn each_part_of_a_model_matters() {
    let tokens = tokens(23, 70);
    let all = Tiny {
        head_norms: true,
        post_norms: true,
        sinks: true,
        factors: true,
        biases: true,
        window: Some(5),
        window_every: 2,
        window_base: 100.0,
        embedding_scale: 3.0,
        score_scale: 0.3,
        ..Tiny::plain("llama")
    };
    let tensors = all.tensors();
    let wanted = all.evaluate_with(&tensors, &tokens);
    let differs = |other: Vec<f64>, what: &str| {
        let error = nmse(other, &wanted);
        assert!(error > 1e-5, "{what}: {error:e}");
    };
    for (what, other) in [
        ("head norms", Tiny { head_norms: false, ..all.clone() }),
        ("post norms", Tiny { post_norms: false, ..all.clone() }),
        ("sinks", Tiny { sinks: false, ..all.clone() }),
        ("factors", Tiny { factors: false, ..all.clone() }),
        ("which layers have a window", Tiny { window_every: 3, ..all.clone() }),
        ("the base of a window", Tiny { window_base: 0.0, ..all.clone() }),
        ("the scale of the embedding", Tiny { embedding_scale: 1.0, ..all.clone() }),
        ("the scale of scores", Tiny { score_scale: 0.25, ..all.clone() }),
        ("the head", Tiny { tied: true, ..all.clone() }),
        ("the divisor of logits", Tiny { logit_divisor: 1.1, ..all.clone() }),
        ("the base", Tiny { base: 9000.0, ..all.clone() }),
    ] {
        differs(other.evaluate_with(&tensors, &tokens), what);
    }
    for bias in ["attn_q", "attn_k", "attn_v"] {
        let mut less = all.tensors();
        less.all.retain(|name, _| !name.ends_with(&format!("{bias}.bias")));
        differs(all.evaluate_with(&less, &tokens), bias);
    }
    let two = Tiny { fused: true, neighbours: false, two_factors: Some(true), ..Tiny::plain("phi3") };
    let short = Tiny { two_factors: Some(false), ..two.clone() };
    let error = nmse(short.evaluate(&tokens), &two.evaluate(&tokens));
    assert!(error > 1e-5, "factors of another length: {error:e}");
}

#[test]
fn batches_threads_and_packed_copies_change_no_bit() {
    let folder = TempDir::new().unwrap();
    let packed = folder.path().join("packed.gguf");
    for tiny in models() {
        let tokens = tokens(66, tiny.vocabulary);
        let wanted = logits(&open(&folder, &tiny, &int8().batch(1).threads(1)), &tokens, &[]);
        for (batch, threads, splits) in
            [(2, 2, vec![]), (7, 1, vec![]), (7, 2, vec![1, 11, 2, 7]), (64, 1, vec![]), (64, 2, vec![])]
        {
            let model = open(&folder, &tiny, &int8().batch(batch).threads(threads));
            same_bits(&logits(&model, &tokens, &splits), &wanted, tiny.arch);
        }
        let stored = quantloom::model::Model::open(folder.path().join("tiny.gguf")).unwrap();
        stored.pack(&packed, quantloom::pool::Pool::global(), &mut |_| {}).unwrap();
        let model = LanguageModel::open(&packed, &int8()).unwrap();
        same_bits(&logits(&model, &tokens, &[]), &wanted, tiny.arch);
    }
}

#[test]
fn an_outline_shows_what_differs_by_layer() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("mixed.gguf");
    let more = vec![("attention.sliding_window", quantloom::gguf::Value::U32(5))];
    let tiny = Tiny { layers: 7, head_norms: true, post_norms: true, width: 64, more, ..Tiny::plain("gemma3") };
    let mut tensors = tiny.tensors();
    tensors.store("blk.2.attn_v.weight", "Q8_0");
    crate::tiny::write(&path, &tiny.metadata(), &tensors);
    let outline = quantloom_models::Outline::open(&path, &exact()).unwrap();
    let what = outline.layer.iter().filter(|line| !line.layers.is_empty());
    let what = what.map(|line| (&*line.what, &line.layers[..], line.format.unwrap().name)).collect::<Vec<_>>();
    let heads = "4 heads over 2, of 16";
    assert_eq!(
        what,
        [
            ("blk.0.attn_v", &[0, 1, 3, 4, 5, 6][..], "F32"),
            ("blk.2.attn_v", &[2], "Q8_0"),
            (&*format!("{heads}, a window of 5"), &[0, 1, 2, 3, 4, 6], "F32"),
            (heads, &[5], "F32"),
        ]
    );
}

#[test]
fn an_outline_shows_experts() {
    let folder = TempDir::new().unwrap();
    let tiny = Tiny { experts: Some((8, 3)), ..Tiny::plain("llama") };
    let model = open(&folder, &tiny, &exact());
    let outline = model.outline();
    let what = outline.layer.iter().map(|line| (line.operation, &*line.what, line.bytes)).collect::<Vec<_>>();
    let bytes =
        |name: &str| outline.layer.iter().find(|line| line.what.starts_with(name)).unwrap().weights.unwrap().bytes().unwrap();
    let (gate, down) = (bytes("blk.0.ffn_gate_exps"), bytes("blk.0.ffn_down_exps"));
    assert_eq!(
        what[5..],
        [
            ("norm-linear", "blk.0.ffn_gate_inp", bytes("blk.0.ffn_gate_inp")),
            ("gated-silu", "blk.0.ffn_gate_exps, 3 of 8 experts", 3 * gate),
            ("gated-silu", "blk.0.ffn_up_exps, 3 of 8 experts", 3 * gate),
            ("linear", "blk.0.ffn_down_exps, 3 of 8 experts", 3 * down),
        ]
    );
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
