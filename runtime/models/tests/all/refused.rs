//! Files that hold no model which can be run: each gets one clear line, and no file makes the program stop otherwise.

use std::fs;

use crate::tiny::{Tensors, Tiny, write};
use quantloom::attention::KvType;
use quantloom::gguf::Value;
use quantloom_models::{LanguageModel, Logits, Options, Part, Wanted};
use tempfile::TempDir;

/// What is said of a model that was changed.
fn refusal(change: impl FnOnce(&mut Vec<(String, Value)>, &mut Tensors)) -> String {
    refusal_of(&Tiny::plain("llama"), change)
}

/// What is said where an entry has another value, or none.
fn with(key: &str, value: Option<Value>) -> String {
    refusal(|metadata, _| {
        metadata.retain(|(known, _)| known != key);
        metadata.extend(value.map(|value| (key.to_owned(), value)));
    })
}

#[test]
fn an_architecture_without_a_card_is_named_with_those_there_are() {
    let message = with("general.architecture", Some(Value::String("mamba".to_owned())));
    assert!(
        message.contains("changed.gguf: no card describes the architecture \"mamba\"; there are cards of llama, "),
        "{message}"
    );
    let message = with("general.architecture", None);
    assert!(message.contains("it has no text \"general.architecture\""), "{message}");
}

#[test]
fn numbers_without_a_meaning_are_named() {
    for (key, value, wanted) in [
        ("llama.block_count", None, "llama.block_count is missing"),
        ("llama.block_count", Some(Value::U32(0)), "llama.block_count must be an integer from 1 to"),
        ("llama.block_count", Some(Value::U64(u64::MAX)), "llama.block_count must be an integer from 1 to"),
        ("llama.embedding_length", Some(Value::F32(48.0)), "llama.embedding_length must be an integer"),
        ("llama.attention.head_count_kv", Some(Value::U32(3)), "llama.attention.head_count_kv must divide 4"),
        ("llama.attention.value_length", Some(Value::U32(8)), "llama.attention.value_length must be 16"),
        ("llama.attention.key_length", Some(Value::U32(1 << 20)), "llama.attention.value_length must be 1048576"),
        ("llama.attention.layer_norm_rms_epsilon", Some(Value::F32(f32::NAN)), "must be a finite number above 0"),
        ("llama.rope.freq_base", Some(Value::F32(0.0)), "llama.rope.freq_base must be a finite number above 0"),
        (
            "llama.rope.dimension_count",
            Some(Value::U32(18)),
            "llama.rope.dimension_count is 18, and must be even and at most 16",
        ),
        ("llama.rope.dimension_count", Some(Value::U32(7)), "llama.rope.dimension_count is 7, and must be even"),
        ("llama.rope.scaling.type", Some(Value::String("dynamic".to_owned())), "llama.rope.scaling.type is \"dynamic\""),
        (
            "llama.rope.scaling.type",
            Some(Value::String("longrope".to_owned())),
            "llama.rope.scaling.type is \"longrope\", and the",
        ),
        ("llama.rope.scaling.yarn_ext_factor", Some(Value::F32(1.0)), "llama.rope.scaling.yarn_ext_factor means something"),
        ("llama.attention.temperature_scale", Some(Value::F32(0.1)), "llama.attention.temperature_scale means something"),
        ("llama.rope.scaling.finetuned", Some(Value::Bool(false)), "llama.rope.scaling.finetuned is false"),
        ("llama.final_logit_softcapping", Some(Value::F32(30.0)), "llama.final_logit_softcapping means something"),
    ] {
        let message = with(key, value.clone());
        assert!(message.contains(wanted), "{key}, {value:?}: {message}");
    }
}

#[test]
fn tensors_that_are_missing_or_misshapen_or_unknown_are_named() {
    let message = refusal(|_, tensors| drop(tensors.all.remove("blk.1.attn_k.weight")));
    assert!(message.contains("changed.gguf") && message.contains("blk.1.attn_k.weight"), "{message}");
    let message = refusal(|_, tensors| tensors.add("blk.2.ffn_down.weight", 48, 79, 0.0, 1.0));
    assert!(
        message.contains("tensor \"blk.2.ffn_down.weight\" has the shape 48x79, and by the metadata must be 48x80"),
        "{message}"
    );
    let message = refusal(|_, tensors| tensors.add("blk.0.attn_norm.weight", 1, 47, 0.0, 1.0));
    assert!(message.contains("must be 48 values"), "{message}");
    let message = refusal(|_, tensors| tensors.add("blk.0.attn_q.bias", 1, 3, 0.0, 1.0));
    assert!(message.contains("must be 64 values"), "{message}");
    let message = refusal(|_, tensors| tensors.add("blk.0.attn_q_norm.weight", 1, 16, 0.0, 1.0));
    assert!(message.contains("tensor \"blk.0.attn_q_norm.weight\" means something"), "{message}");
    let message = refusal(|_, tensors| tensors.add("output.weight", 69, 48, 0.0, 1.0));
    assert!(message.contains("must be 70x48"), "{message}");
}

/// What is said of a model of an architecture that was changed.
fn refusal_of(tiny: &Tiny, change: impl FnOnce(&mut Vec<(String, Value)>, &mut Tensors)) -> String {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("changed.gguf");
    let (mut metadata, mut tensors) = (tiny.metadata(), tiny.tensors());
    change(&mut metadata, &mut tensors);
    write(&path, &metadata, &tensors);
    let message = LanguageModel::open(&path, &Options::default()).unwrap_err().to_string();
    assert!(message.contains("changed.gguf: ") && message.lines().count() == 1, "{message}");
    message
}

#[test]
fn factors_and_sinks_without_a_meaning_are_named() {
    let factors = Tiny { factors: true, ..Tiny::plain("llama") };
    let two = Tiny { fused: true, neighbours: false, two_factors: Some(true), ..Tiny::plain("phi3") };
    let more = vec![("attention.sliding_window", Value::U32(5))];
    let oss = Tiny { sinks: true, clamped: true, experts: Some((6, 2)), neighbours: false, more, ..Tiny::plain("gpt-oss") };
    for (tiny, name, values, wanted) in [
        (&factors, "rope_freqs.weight", &[0.0, -1.0, f32::NAN, f32::INFINITY][..], "finite and above 0"),
        (&two, "rope_factors_long.weight", &[0.0, f32::NAN], "finite and above 0"),
        (&two, "rope_factors_short.weight", &[0.0, f32::NAN], "finite and above 0"),
        (&oss, "blk.1.attn_sinks.weight", &[f32::NAN, f32::INFINITY, f32::NEG_INFINITY], "finite"),
    ] {
        for value in values {
            let message = refusal_of(tiny, |_, tensors| tensors.all.get_mut(name).unwrap().values[3] = *value);
            let wanted = format!("tensor {name:?}: value 3 (counted from 0) is {value}, and must be {wanted}; convert");
            assert!(message.contains(&wanted), "{message}");
        }
        let message = refusal_of(tiny, |_, tensors| tensors.add(name, 1, 3, 1.5, 0.5));
        assert!(message.contains(&format!("tensor {name:?} has the shape 3, and")), "{message}");
    }
}

#[test]
fn what_fails_in_a_layer_says_in_which() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("large.gguf");
    let tiny = Tiny::plain("llama");
    let mut tensors = tiny.tensors();
    // Beyond what f16 holds.
    tensors.add("blk.1.attn_v.bias", 1, 32, 1e6, 1.0);
    write(&path, &tiny.metadata(), &tensors);
    let model = LanguageModel::open(&path, &Options::default()).unwrap();
    let mut sequence = model.sequence().unwrap();
    let error = model.forward(&mut [Part::new(&mut sequence, &[1, 2], Wanted::Last)]).unwrap_err().to_string();
    assert!(error.starts_with("attention of layer 1 (counted from 0): the values: value "), "{error}");
    let model = LanguageModel::open(&path, &Options::default().kv(KvType::F32)).unwrap();
    model.forward(&mut [Part::new(&mut model.sequence().unwrap(), &[1, 2], Wanted::Last)]).unwrap();
}

#[test]
fn no_logits_have_no_rows() {
    let none = Logits::default();
    assert_eq!((none.rows().len(), none.last().len(), none.losses(&[1]).len()), (0, 0, 0));
}

#[test]
fn fused_tensors_that_do_not_fit_are_named() {
    let phi3 = Tiny { fused: true, neighbours: false, ..Tiny::plain("phi3") };
    let message = refusal_of(&phi3, |_, tensors| tensors.add("blk.1.attn_qkv.weight", 127, 48, 0.0, 1.0));
    assert!(
        message.contains("\"blk.1.attn_qkv.weight\" has the shape 127x48, and by the metadata must be 128x48"),
        "{message}"
    );
    let message = refusal_of(&phi3, |_, tensors| tensors.add("blk.0.attn_qkv.bias", 1, 127, 0.0, 1.0));
    assert!(message.contains("must be 128 values"), "{message}");
    let message = refusal_of(&phi3, |_, tensors| tensors.add("blk.2.ffn_up.weight", 161, 48, 0.0, 1.0));
    assert!(message.contains("has the shape 161x48") && message.contains("a multiple of 2"), "{message}");
    let message = refusal_of(&phi3, |_, tensors| tensors.add("blk.2.ffn_up.weight", 162, 48, 0.0, 1.0));
    assert!(message.contains("\"blk.2.ffn_down.weight\" has the shape 48x80, and by the metadata must be 48x81"), "{message}");
    // Factors for contexts of one length alone.
    let message = refusal_of(&phi3, |_, tensors| tensors.add("rope_factors_short.weight", 1, 8, 1.5, 0.5));
    assert!(message.contains("rope_factors_long.weight"), "{message}");
}

#[test]
fn experts_that_do_not_fit_are_named() {
    let experts = Tiny { experts: Some((4, 2)), ..Tiny::plain("llama") };
    let set = |key: &'static str, count: u32| {
        refusal_of(&experts, |metadata, _| {
            metadata.retain(|(known, _)| known != key);
            metadata.push((key.to_owned(), Value::U32(count)));
        })
    };
    let message = set("llama.expert_used_count", 5);
    assert!(message.contains("llama.expert_used_count is 5, and there are 4 experts"), "{message}");
    let message = set("llama.expert_used_count", 0);
    assert!(message.contains("llama.expert_used_count must be an integer from 1 to"), "{message}");
    let message = set("llama.expert_count", 3);
    assert!(
        message.contains("\"blk.0.ffn_gate_exps.weight\" has the shape 4x80x48") && message.contains("3 times"),
        "{message}"
    );
    // A file of no experts has none of their tensors.
    let message = set("llama.expert_count", 0);
    assert!(message.contains("blk.0.ffn_gate.weight"), "{message}");
    let message = refusal_of(&experts, |_, tensors| tensors.add_stack("blk.1.ffn_down_exps.weight", 4, 47, 80, 1.0, None));
    assert!(message.contains("has the shape 4x47x80, and by the metadata must be 4x48x80"), "{message}");
    let message = refusal_of(&experts, |_, tensors| tensors.add("blk.1.ffn_up_exps.bias", 80, 4, 0.0, 1.0));
    assert!(message.contains("must be 4x80"), "{message}");
    let message = refusal_of(&experts, |_, tensors| tensors.add("blk.1.ffn_gate_inp.weight", 5, 48, 0.0, 1.0));
    assert!(message.contains("must be 4x48"), "{message}");
    let message = refusal_of(&experts, |metadata, _| metadata.push(("llama.expert_weights_scale".to_owned(), Value::F32(2.5))));
    assert!(message.contains("llama.expert_weights_scale means something"), "{message}");
}

#[test]
fn a_card_that_is_wrong_for_a_model_says_so() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("large.gguf");
    let more = vec![("attention.sliding_window", Value::U32(5))];
    Tiny { layers: 62, neighbours: false, head_norms: true, post_norms: true, more, ..Tiny::plain("gemma3") }.write(&path);
    let message = LanguageModel::open(&path, &Options::default()).unwrap_err().to_string();
    assert!(message.contains("gemma3.block_count is 62"), "{message}");
}

#[test]
fn a_file_that_ends_early_is_an_error_wherever_it_ends() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("short.gguf");
    Tiny::plain("llama").write(&path);
    let whole = fs::read(&path).unwrap();
    for end in [0, 3, 100, 1000, whole.len() / 2, whole.len() - 100] {
        fs::write(&path, &whole[..end]).unwrap();
        let message = LanguageModel::open(&path, &Options::default()).unwrap_err().to_string();
        assert!(message.contains("short.gguf"), "{message}");
    }
}
