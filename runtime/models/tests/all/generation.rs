//! What follows a prompt: the same on every instruction set, with any number of threads, in any batches.

use crate::common::{exact, int8, testdata};
use quantloom::attention::KvType;
use quantloom::gguf::Gguf;
use quantloom_models::text::{Sampling, Tokenizer};
use quantloom_models::{End, Generation, LanguageModel, Options};

const PROMPT: &str = "In Rust, ownership is a set of rules that govern how a program manages memory. All programs have to manage the way they \
                      use a computer's memory while running.\n";

fn tokenizer() -> Tokenizer {
    Tokenizer::of(&Gguf::open(testdata("rustbook-Q4_0.gguf")).unwrap()).unwrap()
}

fn model(options: &Options) -> LanguageModel {
    LanguageModel::open(testdata("rustbook-Q4_0.gguf"), options).unwrap()
}

/// Tokens and text that follow the prompt.
fn generated(model: &LanguageModel, sampling: Sampling, count: usize) -> (Vec<u32>, String) {
    let tokenizer = tokenizer();
    let prompt = tokenizer.prompt(PROMPT).unwrap();
    let parts = Generation::new(model, &tokenizer, &prompt, sampling).unwrap().limit(count).map(Result::unwrap);
    let (tokens, texts): (Vec<_>, Vec<_>) = parts.map(|part| (part.token, part.text)).unzip();
    (tokens, texts.concat())
}

#[test]
fn without_a_temperature_the_likeliest_tokens_follow() {
    let (tokens, text) = generated(&model(&exact()), Sampling::default(), 32);
    // By an evaluation in f64 of the same weights.
    assert_eq!(
        tokens,
        [
            200, 421, 263, 410, 696, 1181, 291, 454, 268, 805, 1579, 356, 268, 896, 291, 454, 268, 200, 1948, 266, 362, 84,
            484, 15, 200, 200, 1066, 27, 495, 399, 410, 268
        ]
    );
    let wanted = "\nThere are no way to use the same rules as the compiler to use the\ncompiler’s code.\n\nNote: These are the";
    assert_eq!(text, wanted);
}

#[test]
fn what_is_drawn_is_the_same_whatever_runs_it() {
    let hot = Sampling { seed: 7, temperature: 0.8, top_p: 0.95, repeat_penalty: 1.1, ..Sampling::default() };
    let alone = generated(&model(&exact().threads(1)), hot, 24);
    assert_eq!(alone.0, DRAWN);
    for options in [exact().threads(2), exact().batch(1), exact().batch(7)] {
        assert_eq!(generated(&model(&options), hot, 24), alone, "{options:?}");
    }
    let other = Sampling { seed: 8, ..hot };
    assert_ne!(generated(&model(&exact()), other, 24), alone, "another seed");
}

/// Guesses are checked together and taken back where they were wrong: nothing of that is seen, but that there were some.
#[test]
fn guesses_change_nothing() {
    let tokenizer = tokenizer();
    let prompt = tokenizer.prompt("In Rust, ownership is a set of rules").unwrap();
    for kv in [KvType::F16, KvType::Q8] {
        let model = model(&int8().kv(kv));
        for temperature in [0.0, 0.8] {
            let sampling = Sampling { seed: 3, temperature, ..Sampling::default() };
            let tokens = |lookup: usize| {
                let mut generation = Generation::new(&model, &tokenizer, &prompt, sampling).unwrap().limit(128).lookup(lookup);
                (generation.by_ref().map(|generated| generated.unwrap().token).collect::<Vec<_>>(), generation.stood())
            };
            let (wanted, stood) = tokens(0);
            assert_eq!(stood, 0);
            assert_eq!(wanted.len(), 128);
            for lookup in [3, 99] {
                let (found, stood) = tokens(lookup);
                assert_eq!(found, wanted, "{kv}, {temperature}, {lookup}");
                assert!(stood < 128 && (temperature > 0.0 || stood > 0), "{kv}, {temperature}, {lookup}: {stood} stood");
            }
        }
    }
}

#[test]
fn a_generation_ends_where_it_must() {
    let model = model(&int8());
    let tokenizer = tokenizer();
    let begin = |prompt: &[u32]| Generation::new(&model, &tokenizer, prompt, Sampling::default());
    let mut none = begin(&[200]).unwrap().limit(0);
    assert!(none.next().is_none() && none.next().is_none());
    assert_eq!(none.ended(), Some(End::Limit));

    let context = model.context();
    let long: Vec<u32> = tokenizer.prompt(&"fn main() ".repeat(200)).unwrap();
    let mut full = begin(&long[..context - 2]).unwrap();
    assert_eq!(full.by_ref().map(Result::unwrap).count(), 3, "two that it reads again, and the one after");
    assert_eq!(full.ended(), Some(End::Context));

    let why = begin(&long[..context + 1]).unwrap_err().to_string();
    assert_eq!(why, format!("{} positions are beyond the model's context of {context}; give it fewer tokens", context + 1));
    assert!(begin(&[]).unwrap_err().to_string().contains("takes a token at least"));
    assert!(begin(&[2048]).unwrap_err().to_string().contains("no token 2048"));
}

/// On every instruction set.
const DRAWN: [u32; 24] =
    [200, 53, 73, 265, 362, 84, 1492, 453, 269, 866, 282, 281, 874, 284, 290, 259, 663, 326, 287, 1747, 282, 310, 290, 1676];
