//! A small real model, held to an evaluation in f64 over the dequantised weights, and to itself.

use crate::common::{exact, greedy, int8, logits, mean_nll, nmse, same_bits, testdata};
use quantloom::attention::KvType;
use quantloom::registry::{self, Numerics};
use quantloom_models::{LanguageModel, Options, Part, Wanted};
use serde_json::Value;

/// What is known of a prompt to a file of the model.
struct Known {
    file: String,
    prompt: String,
    tokens: Vec<u32>,
    mean_nll: f64,
    last_logits: Vec<f64>,
    greedy: Vec<u32>,
    /// The mean error of the logits of all positions in the engine that most people use.
    peer_nmse: f64,
}

fn known() -> Vec<Known> {
    let text = std::fs::read_to_string(testdata("reference.json")).unwrap();
    let reference: Value = serde_json::from_str(&text).unwrap();
    let ids = |list: &Value| list.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect::<Vec<_>>();
    let mut all = Vec::new();
    for (file, prompts) in reference.as_object().unwrap() {
        for (prompt, of) in prompts.as_object().unwrap() {
            all.push(Known {
                file: file.clone(),
                prompt: prompt.clone(),
                tokens: ids(&of["tokens"]),
                mean_nll: of["mean_nll"].as_f64().unwrap(),
                last_logits: of["last_logits"].as_array().unwrap().iter().map(|logit| logit.as_f64().unwrap()).collect(),
                greedy: ids(&of["greedy"]),
                peer_nmse: of["peer_nmse"].as_f64().unwrap(),
            });
        }
    }
    assert_eq!(all.len(), 4);
    all
}

fn open(file: &str, options: &Options) -> LanguageModel {
    LanguageModel::open(testdata(file), options).unwrap()
}

#[test]
fn a_small_model_is_run_exactly_unless_somebody_says_otherwise() {
    let (tokens, of) = (long(), |options: &Options| logits(&open(FILE, options), &long()[..40], &[]));
    assert!(tokens.len() > 40);
    let exact = of(&Options::default().numerics(Numerics::Exact));
    assert_eq!(of(&Options::default()), exact);
    assert_ne!(of(&int8()), exact);
}

#[test]
fn exact_products_come_to_what_f64_does() {
    for known in known() {
        let model = open(&known.file, &exact());
        let what = format!("{}, {}", known.file, known.prompt);
        let all = logits(&model, &known.tokens, &[]);
        let last = all[all.len() - model.vocabulary()..].iter().map(|logit| f64::from(*logit));
        let error = nmse(last, &known.last_logits);
        assert!(error <= 1e-9, "{what}: {error:e}");
        let mean = mean_nll(&all, &known.tokens, model.vocabulary());
        assert!((mean - known.mean_nll).abs() < 1e-5, "{what}: {mean}, not {}", known.mean_nll);
        assert_eq!(greedy(&model, &known.tokens, known.greedy.len()), known.greedy, "{what}");
    }
}

/// At one position the error is anything between 0.6 and 1.7 times that elsewhere: all of both prompts are taken together.
#[test]
fn quantised_activations_cost_no_more_than_they_do_elsewhere() {
    for of_a_file in known().chunk_by(|a, b| a.file == b.file) {
        let (mut here, mut elsewhere, mut positions) = (0.0, 0.0, 0);
        for known in of_a_file {
            let vocabulary = open(&known.file, &exact()).vocabulary();
            let [right, all] =
                [exact(), int8().kv(KvType::F32)].map(|options| logits(&open(&known.file, &options), &known.tokens, &[]));
            let f64s = |row: &[f32]| row.iter().map(|logit| f64::from(*logit)).collect::<Vec<_>>();
            let rows = all.chunks(vocabulary).zip(right.chunks(vocabulary));
            here += rows.map(|(found, right)| nmse(f64s(found), &f64s(right))).sum::<f64>();
            elsewhere += known.peer_nmse * known.tokens.len() as f64;
            positions += known.tokens.len();
            let mean = mean_nll(&all, &known.tokens, vocabulary);
            assert!(
                (mean / known.mean_nll - 1.0).abs() < 3e-3,
                "{}, {}: {mean}, not {}",
                known.file,
                known.prompt,
                known.mean_nll
            );
        }
        let ratio = here / elsewhere;
        assert!(positions > 200 && (0.5..=1.05).contains(&ratio), "{}: {ratio} times the error elsewhere", of_a_file[0].file);
    }
}

/// The tokens of a prompt that is longer than a batch.
fn long() -> Vec<u32> {
    known().into_iter().max_by_key(|known| known.tokens.len()).unwrap().tokens
}

const FILE: &str = "rustbook-Q4_K_M.gguf";

/// Logits of all positions, one token at a time.
fn wanted(options: Options, tokens: &[u32]) -> Vec<f32> {
    logits(&open(FILE, &options.batch(1).threads(1)), tokens, &[])
}

#[test]
fn batches_threads_and_splits_change_no_bit() {
    let tokens = long();
    let most: &[usize] = &[2, 7, 63, 64, 200];
    for (options, batches) in
        [(int8(), most), (exact(), &[7, 64, 200]), (int8().kv(KvType::Q8), &[63, 200]), (int8().kv(KvType::Bf16), &[64])]
    {
        let wanted = wanted(options, &tokens);
        for (index, batch) in batches.iter().enumerate() {
            let threads = 2 - index % 2;
            let model = open(FILE, &options.batch(*batch).threads(threads));
            same_bits(&logits(&model, &tokens, &[]), &wanted, &format!("{options:?}, batch {batch}, {threads} threads"));
        }
        let model = open(FILE, &options.threads(2));
        for splits in [vec![5, 1, 1, 90, 3, 17], vec![127, 64, 2], vec![208]] {
            same_bits(&logits(&model, &tokens, &splits), &wanted, &format!("{options:?}, {splits:?}"));
        }
    }
}

#[test]
fn instruction_sets_change_no_bit() {
    let tokens = &long()[..80];
    for options in [int8(), exact(), int8().kv(KvType::Q8)] {
        let wanted = wanted(options, tokens);
        for isa in registry::isas().iter().copied().filter(|isa| isa.is_available()) {
            let model = open(FILE, &options.isa(isa));
            same_bits(&logits(&model, tokens, &[]), &wanted, &format!("{options:?} on {}", isa.name));
        }
    }
}

#[test]
fn others_in_a_call_change_no_bit() {
    let tokens = long();
    for options in [int8().batch(50), exact()] {
        let model = open(FILE, &options);
        let alone = logits(&model, &tokens[..100], &[]);
        let mut sequences = (0..8).map(|_| model.sequence().unwrap()).collect::<Vec<_>>();
        // The others are of other lengths, and somewhere else.
        for (index, sequence) in sequences.iter_mut().enumerate().skip(1) {
            model.forward(&mut [Part::new(sequence, &tokens[..3 * index], Wanted::None)]).unwrap();
        }
        let mut found = Vec::new();
        for own in [&tokens[..60], &tokens[60..61], &tokens[61..100]] {
            let others = |index: usize| &tokens[7 * index..9 * index + 1];
            let mut parts = Vec::new();
            for (index, sequence) in sequences.iter_mut().enumerate() {
                let (tokens, wanted) = if index == 0 { (own, Wanted::All) } else { (others(index), Wanted::None) };
                parts.push(Part::new(sequence, tokens, wanted));
            }
            parts.rotate_left(3);
            found.extend(model.forward(&mut parts).unwrap().into_values());
        }
        same_bits(&found, &alone, &format!("{options:?}"));
    }
}

#[test]
fn logits_are_those_of_the_rows_that_are_asked_for() {
    let (tokens, model) = (long(), open(FILE, &int8().batch(32)));
    let all = logits(&model, &tokens, &[]);
    let rows = all.chunks_exact(model.vocabulary()).collect::<Vec<_>>();
    let (mut one, mut other, mut third) = (model.sequence().unwrap(), model.sequence().unwrap(), model.sequence().unwrap());
    let mut parts = [
        Part::new(&mut one, &tokens[..40], Wanted::Last),
        Part::new(&mut other, &tokens[..70], Wanted::None),
        Part::new(&mut third, &tokens[..3], Wanted::All),
    ];
    let found = model.forward(&mut parts).unwrap();
    assert_eq!(found.rows().len(), 4);
    assert!(found.rows().eq([rows[39], rows[0], rows[1], rows[2]]));
    assert_eq!((one.len(), other.len(), third.len()), (40, 70, 3));
    // No logits are wanted.
    let found = model.forward(&mut [Part::new(&mut other, &tokens[70..71], Wanted::None)]).unwrap();
    assert_eq!((found.rows().len(), found.last()), (0, &[][..]));
}

#[test]
fn a_packed_copy_gives_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let packed = folder.path().join("packed.gguf");
    let tokens = &long()[..50];
    for file in [FILE, "rustbook-Q4_0.gguf"] {
        let stored = quantloom::model::Model::open(testdata(file)).unwrap();
        stored.pack(&packed, quantloom::pool::Pool::global(), &mut |_| {}).unwrap();
        for options in [int8(), exact()] {
            let model = LanguageModel::open(&packed, &options).unwrap();
            same_bits(&logits(&model, tokens, &[]), &logits(&open(file, &options), tokens, &[]), file);
        }
    }
}

#[test]
fn what_cannot_be_taken_is_refused_and_changes_nothing() {
    let (tokens, model, other) = (long(), open(FILE, &int8()), open(FILE, &int8()));
    let mut sequence = model.sequence().unwrap();
    model.forward(&mut [Part::new(&mut sequence, &tokens, Wanted::None)]).unwrap();
    let beyond = vec![1; model.context() - tokens.len() + 1];
    for (tokens, wanted) in [
        (&[][..], "a token at least"),
        (&[2048], "no token 2048: the vocabulary has 2048"),
        (&beyond[..], "257 positions are beyond the model's context of 256"),
    ] {
        let error = model.forward(&mut [Part::new(&mut sequence, tokens, Wanted::Last)]).unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}");
    }
    let error = other.forward(&mut [Part::new(&mut sequence, &[1], Wanted::Last)]).unwrap_err().to_string();
    assert!(error.contains("another model"), "{error}");
    let mut fresh = model.sequence().unwrap();
    let wanted = model.forward(&mut [Part::new(&mut fresh, &[&tokens[..], &[5]].concat(), Wanted::Last)]).unwrap();
    let found = model.forward(&mut [Part::new(&mut sequence, &[5], Wanted::Last)]).unwrap();
    same_bits(found.last(), wanted.last(), "after errors");
    // The context can be filled.
    model.forward(&mut [Part::new(&mut sequence, &beyond[..beyond.len() - 2], Wanted::None)]).unwrap();
    assert_eq!(sequence.len(), model.context());
    sequence.clear();
    let found = model.forward(&mut [Part::new(&mut sequence, &tokens, Wanted::Last)]).unwrap();
    assert_eq!(sequence.len(), tokens.len());
    let alone = logits(&model, &tokens, &[]);
    same_bits(found.last(), &alone[alone.len() - model.vocabulary()..], "a cleared sequence");
}
