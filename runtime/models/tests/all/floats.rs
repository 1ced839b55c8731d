//! What a model comes to does not depend on the floating-point mode of the thread that asks, which keeps it.

use quantloom::gguf::Value;
use quantloom_models::text::Sampling;
use quantloom_models::{LanguageModel, Part, Wanted};
use tempfile::TempDir;

use crate::common::{exact, same_bits};
use crate::mode::in_other_mode;
use crate::tiny::Tiny;

/// Logits that are subnormal, or that flushing makes equal.
const TINY: [f32; 4] = [1e-40, 3e-40, 2e-40, -1e-40];

/// What is left to the thread that asks are scales, and sums of residuals: of this model they are subnormal, or rounded.
#[test]
fn logits_are_the_same() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("tiny.gguf");
    for scale in [0.3, 1e-4] {
        let more = [("embedding_scale", scale), ("attention.scale", 0.3), ("residual_scale", 0.7), ("logit_scale", 3e37)];
        let more = more.map(|(key, scale)| (key, Value::F32(scale))).to_vec();
        Tiny { more, ..Tiny::plain("granite") }.write(&path);
        let logits = || {
            let model = LanguageModel::open(&path, &exact().threads(1)).unwrap();
            let mut sequence = model.sequence().unwrap();
            let tokens = (0..40).map(|token| token * 7 % 70).collect::<Vec<_>>();
            model.forward(&mut [Part::new(&mut sequence, &tokens, Wanted::All)]).unwrap()
        };
        let (usual, other) = (logits(), in_other_mode(logits));
        let losses = || usual.losses(&[1; 40]).into_iter().map(f64::to_bits).collect::<Vec<_>>();
        assert_eq!(losses(), in_other_mode(losses), "{scale}");
        assert!(usual.last().iter().any(|logit| logit.is_subnormal()), "{:?}", usual.last());
        same_bits(&other.into_values(), &usual.into_values(), "logits");
    }
}

#[test]
fn tokens_that_are_chosen_are_the_same() {
    let greedy = Sampling::default();
    assert_eq!(in_other_mode(|| greedy.choose(&TINY, &[], 0).unwrap()), greedy.choose(&TINY, &[], 0).unwrap());
    let penalised = Sampling { repeat_penalty: 2.0, ..greedy };
    assert_eq!(in_other_mode(|| penalised.choose(&TINY, &[1], 0).unwrap()), 2);
    let hot = Sampling { temperature: 1e-40, ..greedy };
    let draw = || (0..200).map(|position| hot.choose(&TINY, &[], position).unwrap()).collect::<Vec<_>>();
    assert_eq!(draw(), in_other_mode(draw));
    let wide = (0..200).map(|token| (token * 7919 % 1009) as f32 / 100.0).collect::<Vec<_>>();
    let hot = Sampling { temperature: 0.9, top_p: 0.9, min_p: 0.01, seed: 5, ..greedy };
    let draw = || (0..2000).map(|position| hot.choose(&wide, &[1, 2], position).unwrap()).collect::<Vec<_>>();
    assert_eq!(draw(), in_other_mode(draw));
}
