//! The bits of a quantised model's logits, over more than a page of positions: a function of its tokens alone.

use std::path::PathBuf;

use quantloom::attention::KvType;
use quantloom::gguf::Value;
use quantloom::registry;
use quantloom_models::{LanguageModel, Options, Part, Wanted};
use tempfile::TempDir;

use crate::common::{exact, int8, logits, same_bits};
use crate::tiny::{Tiny, write};

/// Positions: more than a page, and no whole number of panels.
const POSITIONS: usize = 530;

/// A model whose attention and head are in a format of one layout, and the rest in one of another; queries see all positions, or a window.
pub fn quantised(folder: &TempDir, windowed: bool) -> PathBuf {
    let sizes = Tiny { layers: 2, width: 64, ff: 96, ..Tiny::plain("llama") };
    let more = vec![("attention.sliding_window", Value::U32(300))];
    let tiny = if windowed { Tiny { arch: "gemma3", head_norms: true, post_norms: true, more, ..sizes } } else { sizes };
    let path = folder.path().join("quantised.gguf");
    let mut tensors = tiny.tensors();
    let matrices = tensors.all.iter().filter(|(_, tensor)| tensor.dims.len() > 1);
    for name in matrices.map(|(name, _)| name.clone()).collect::<Vec<_>>() {
        tensors.store(&name, if name.contains("ffn") { "Q4_0" } else { "Q8_0" });
    }
    write(&path, &tiny.metadata(), &tensors);
    path
}

/// Tokens without a pattern.
pub fn tokens(count: usize, seed: usize) -> Vec<u32> {
    (0..count).map(|index| (index * index * 31 + (17 + seed) * index + 5) as u32 % 70).collect()
}

/// Lengths without a pattern, from 1 to `most`.
fn splits(most: usize, mut seed: u64) -> Vec<usize> {
    let mut next = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        1 + (seed >> 33) as usize % most
    };
    (0..POSITIONS).map(|_| next()).collect()
}

/// How a model may be run, and whether it is one with a window.
fn all_options() -> [(Options, bool); 3] {
    [(int8(), false), (int8().kv(KvType::Q8), true), (exact(), false)]
}

#[test]
fn batches_splits_and_threads_change_no_bit() {
    let folder = TempDir::new().unwrap();
    let tokens = tokens(POSITIONS, 0);
    for (options, windowed) in all_options() {
        let path = quantised(&folder, windowed);
        let open = |batch, threads| LanguageModel::open(&path, &options.batch(batch).threads(threads)).unwrap();
        let wanted = logits(&open(1, 1), &tokens, &[]);
        assert!(wanted.iter().all(|logit| logit.is_finite()));
        for (index, batch) in [2, 7, 63, 64, 200, 512].into_iter().enumerate() {
            let threads = 1 + index % 2;
            let what = format!("{options:?}, batch {batch}, {threads} threads");
            same_bits(&logits(&open(batch, threads), &tokens, &[]), &wanted, &what);
        }
        for (most, seed) in [(9, 1), (70, 2), (400, 3)] {
            let splits = splits(most, seed);
            same_bits(&logits(&open(512, 2), &tokens, &splits), &wanted, &format!("{options:?}, {splits:?}"));
        }
    }
}

#[test]
fn instruction_sets_change_no_bit() {
    let folder = TempDir::new().unwrap();
    let tokens = tokens(POSITIONS, 0);
    for (options, windowed) in all_options() {
        let path = quantised(&folder, windowed);
        let open = |options: Options| LanguageModel::open(&path, &options).unwrap();
        let wanted = logits(&open(options.threads(2)), &tokens, &[]);
        for isa in registry::isas().iter().copied().filter(|isa| isa.is_available()) {
            for (batch, splits) in [(512, vec![]), (64, splits(90, 5))] {
                let found = logits(&open(options.isa(isa).batch(batch).threads(1)), &tokens, &splits);
                same_bits(&found, &wanted, &format!("{options:?} on {}, batch {batch}", isa.name));
            }
        }
    }
}

#[test]
fn a_sequence_is_the_same_alone_and_beside_seven_others() {
    let folder = TempDir::new().unwrap();
    let own = tokens(POSITIONS, 0);
    for (options, windowed) in all_options() {
        let path = quantised(&folder, windowed);
        let model = LanguageModel::open(&path, &options.batch(100)).unwrap();
        let alone = logits(&model, &own, &[]);
        let mut sequences = (0..8).map(|_| model.sequence().unwrap()).collect::<Vec<_>>();
        let (mut at, mut found) = (0, Vec::new());
        for (call, length) in splits(120, 4).into_iter().enumerate() {
            let end = POSITIONS.min(at + length);
            if at == end {
                break;
            }
            let of_others = (1..8).map(|other| tokens(1 + (call * 7 + other * 5) % 40, other)).collect::<Vec<_>>();
            let given = [&own[at..end]].into_iter().chain(of_others.iter().map(Vec::as_slice));
            let mut parts = Vec::new();
            for (index, (sequence, tokens)) in sequences.iter_mut().zip(given).enumerate() {
                parts.push(Part::new(sequence, tokens, if index == 0 { Wanted::All } else { Wanted::None }));
            }
            parts.rotate_left(call % 8);
            found.extend(model.forward(&mut parts).unwrap().into_values());
            at = end;
        }
        same_bits(&found, &alone, &format!("{options:?}"));
    }
}
