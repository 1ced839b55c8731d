//! A small real model, held to an evaluation in f64 over the dequantised weights, and to itself.

mod common;

use common::{exact, greedy, logits, mean_nll, nmse, same_bits, testdata};
use quantloom::attention::KvType;
use quantloom::registry;
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
    /// The error of the last logits in the engine that most people use.
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

/// Where one number is rounded the other way, all errors behind it are others: the error of one position is one draw. So it is the mean
/// of their ratios that is compared, and each is of the same size.
#[test]
fn quantised_activations_are_no_worse_than_elsewhere() {
    let (mut product, mut count) = (1.0, 0);
    for known in known() {
        let model = open(&known.file, &Options::default().kv(KvType::F32));
        let what = format!("{}, {}", known.file, known.prompt);
        let all = logits(&model, &known.tokens, &[]);
        let last = all[all.len() - model.vocabulary()..].iter().map(|logit| f64::from(*logit));
        let ratio = nmse(last, &known.last_logits) / known.peer_nmse;
        assert!(ratio < 2.0, "{what}: {ratio} times the error elsewhere");
        (product, count) = (product * ratio, count + 1);
        let mean = mean_nll(&all, &known.tokens, model.vocabulary());
        assert!((mean / known.mean_nll - 1.0).abs() < 3e-3, "{what}: {mean}, not {}", known.mean_nll);
    }
    let mean = product.powf(1.0 / f64::from(count));
    assert!(mean <= 1.05, "{mean} times the error elsewhere");
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
    for (options, batches) in [
        (Options::default(), most),
        (exact(), &[7, 64, 200]),
        (Options::default().kv(KvType::Q8), &[63, 200]),
        (Options::default().kv(KvType::Bf16), &[64]),
    ] {
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
    for options in [Options::default(), exact(), Options::default().kv(KvType::Q8)] {
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
    for options in [Options::default().batch(50), exact()] {
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
    let (tokens, model) = (long(), open(FILE, &Options::default().batch(32)));
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
        for options in [Options::default(), exact()] {
            let model = LanguageModel::open(&packed, &options).unwrap();
            same_bits(&logits(&model, tokens, &[]), &logits(&open(file, &options), tokens, &[]), file);
        }
    }
}

#[test]
fn what_cannot_be_taken_is_refused_and_changes_nothing() {
    let (tokens, model, other) = (long(), open(FILE, &Options::default()), open(FILE, &Options::default()));
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
