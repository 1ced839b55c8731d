//! Sequences that are saved, loaded, copied and shared: the bits that follow are those of a sequence that was never anything else.

use quantloom::attention::KvType;
use quantloom_models::{LanguageModel, Options, Part, Prefixes, Sequence, Wanted};
use tempfile::TempDir;

use crate::bits::{quantised, tokens};
use crate::common::{exact, int8, logits, same_bits, testdata};

/// Gives a sequence some tokens; the logits of all of them.
fn feed(model: &LanguageModel, sequence: &mut Sequence, tokens: &[u32]) -> Vec<f32> {
    model.forward(&mut [Part::new(sequence, tokens, Wanted::All)]).unwrap().into_values()
}

/// A sequence with some tokens.
fn fed(model: &LanguageModel, tokens: &[u32]) -> Sequence {
    let mut sequence = model.sequence().unwrap();
    feed(model, &mut sequence, tokens);
    sequence
}

/// How keys and values may be cached.
fn all_options() -> [Options; 4] {
    [int8(), int8().kv(KvType::Q8), int8().kv(KvType::Bf16), exact()]
}

#[test]
fn a_loaded_sequence_goes_on_as_a_cold_one() {
    let folder = TempDir::new().unwrap();
    let (path, file) = (quantised(&folder, false), folder.path().join("pages"));
    let all = tokens(560, 0);
    for options in all_options() {
        let model = LanguageModel::open(&path, &options).unwrap();
        let cold = logits(&model, &all, &[]);
        for positions in [0, 7, 512, 530] {
            let rows = model.vocabulary() * positions;
            let sequence = match positions {
                0 => model.sequence().unwrap(),
                _ => fed(&model, &all[..positions]),
            };
            model.save(&sequence, &file).unwrap();
            // Another model of the same file, on other threads and by other batches.
            let other = LanguageModel::open(&path, &options.threads(1).batch(9)).unwrap();
            let mut loaded = other.load(&file).unwrap();
            assert_eq!(loaded.tokens(), &all[..positions]);
            assert_eq!(other.store(&loaded).unwrap(), std::fs::read(&file).unwrap());
            same_bits(&feed(&other, &mut loaded, &all[positions..]), &cold[rows..], &format!("{options:?}, {positions}"));
        }
    }
}

#[test]
fn what_is_not_a_saved_sequence_of_the_model_is_refused() {
    let folder = TempDir::new().unwrap();
    let (path, file) = (quantised(&folder, false), folder.path().join("pages"));
    let model = LanguageModel::open(&path, &int8()).unwrap();
    let sequence = fed(&model, &tokens(40, 0));
    let bytes = model.store(&sequence).unwrap();
    let refused = |model: &LanguageModel, bytes: &[u8], wanted: &str| {
        let error = model.restore(bytes).unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}, not {wanted}");
        std::fs::write(&file, bytes).unwrap();
        let of_file = model.load(&file).unwrap_err().to_string();
        assert!(of_file.contains("pages: ") && of_file.ends_with(&error), "{of_file}");
    };
    for cut in [0, 5, 7] {
        refused(&model, &bytes[..cut], "it holds no saved sequence; name a file");
    }
    refused(&model, &std::fs::read(&path).unwrap(), "it holds no saved sequence");
    for cut in [8, 60, 100, bytes.len() - 1] {
        refused(&model, &bytes[..cut], "it is damaged or was cut short");
    }
    for flipped in [8, 24, 56, 64, 300, bytes.len() - 20, bytes.len() - 1] {
        let mut bytes = bytes.clone();
        bytes[flipped] ^= 1;
        refused(&model, &bytes, "it is damaged or was cut short");
    }
    let mut later = bytes.clone();
    later[7] = 2;
    refused(&model, &later, "saved by another version of quantloom");
    for options in [exact(), int8().kv(KvType::Q8), int8().kv(KvType::F32)] {
        let other = LanguageModel::open(&path, &options).unwrap();
        refused(&other, &bytes, "it was computed as int8, keys f16, values f16, and the model is run as ");
    }
    let other = LanguageModel::open(testdata("rustbook-Q4_0.gguf"), &int8()).unwrap();
    refused(&other, &bytes, "it is of another model than ");
    // Whoever makes bytes with a right checksum is not believed either.
    let forged = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = bytes[..bytes.len() - 16].to_vec();
        change(&mut bytes);
        let sum = xxhash_rust::xxh3::xxh3_128(&bytes).to_le_bytes();
        [bytes, sum.to_vec()].concat()
    };
    refused(&model, &forged(&|bytes| bytes[56..64].fill(0xff)), "positions, which is more than the model or the file has");
    refused(&model, &forged(&|bytes| bytes[56] = 41), "bytes are not those of 41 positions");
    refused(&model, &forged(&|bytes| bytes[64..68].fill(0xff)), "it has a token 4294967295, and the vocabulary has 70");
    refused(&model, &forged(&|bytes| bytes.truncate(30)), "it is damaged or was cut short");
    refused(&model, &forged(&|bytes| bytes.truncate(70)), "which is more than the model or the file has");
    // What is there stays, and the model itself is never written over.
    let before = std::fs::read(&path).unwrap();
    assert!(model.save(&sequence, &path).is_err());
    assert!(other.save(&sequence, &file).unwrap_err().to_string().contains("of another model"));
    assert!(std::fs::read(&path).unwrap() == before);
    assert!(model.load(folder.path().join("none")).unwrap_err().to_string().contains("none"));
}

#[test]
fn a_copy_goes_its_own_way() {
    let folder = TempDir::new().unwrap();
    let path = quantised(&folder, false);
    let (common, ways) = (tokens(520, 0), [tokens(20, 1), tokens(30, 2)]);
    for options in all_options() {
        let model = LanguageModel::open(&path, &options).unwrap();
        let mut one = fed(&model, &common);
        let mut other = one.clone();
        assert_eq!(other.shared_bytes(), one.bytes());
        // By turns, in one call and each alone.
        let mut found = [Vec::new(), Vec::new()];
        let parts = &mut [Part::new(&mut one, &ways[0][..9], Wanted::None), Part::new(&mut other, &ways[1][..4], Wanted::None)];
        model.forward(parts).unwrap();
        found[1].extend(feed(&model, &mut other, &ways[1][4..]));
        found[0].extend(feed(&model, &mut one, &ways[0][9..]));
        assert_eq!(one.shared_bytes(), one.bytes() / 2, "the full page");
        for (way, (found, begin)) in ways.iter().zip(found.iter().zip([9, 4])) {
            let cold = logits(&model, &[&common[..], way].concat(), &[]);
            same_bits(found, &cold[(common.len() + begin) * model.vocabulary()..], &format!("{options:?}"));
        }
    }
}

#[test]
fn a_prompt_that_many_begin_with_is_held_once() {
    let folder = TempDir::new().unwrap();
    let path = quantised(&folder, false);
    let prompt = tokens(525, 0);
    let asked = |seed| [&prompt[..], &tokens(40, seed)].concat();
    for options in all_options() {
        let model = LanguageModel::open(&path, &options).unwrap();
        let cold = |tokens: &[u32]| logits(&model, tokens, &[]);
        let mut prefixes = Prefixes::default();
        assert!(prefixes.begin(&model, &asked(1)).unwrap().is_empty());
        let mut first = fed(&model, &asked(1));
        prefixes.keep(&mut first);
        // Where keys are in blocks, whole pages: too many positions would have to be taken back.
        let alike = asked(1).iter().zip(asked(2)).take_while(|(one, other)| **one == *other).count();
        let known = if options.kv == KvType::Q8 { 512 } else { alike };
        let mut second = prefixes.begin(&model, &asked(2)).unwrap();
        assert_eq!(second.tokens(), &asked(2)[..known], "{options:?}");
        let found = feed(&model, &mut second, &asked(2)[known..]);
        same_bits(&found, &cold(&asked(2))[known * model.vocabulary()..], &format!("{options:?}"));
        prefixes.keep(&mut second);
        // One that was computed by itself holds what others have, too.
        let mut third = fed(&model, &asked(3));
        assert_eq!(third.shared_bytes(), 0);
        third.share(&second);
        assert_eq!(third.shared_bytes(), third.bytes() / 2);
        prefixes.keep(&mut third);
        assert_eq!(prefixes.len(), 3);
        // A beginning is not kept besides what it is the beginning of, and gives way to it.
        prefixes.keep(&mut fed(&model, &prompt[..30]));
        assert_eq!(prefixes.len(), 3);
        let whole = prefixes.begin(&model, &asked(3)).unwrap();
        assert_eq!(whole.len(), asked(3).len() - 1);
        drop(whole);
        prefixes.keep(&mut fed(&model, &[&asked(3)[..], &[1, 2]].concat()));
        assert_eq!(prefixes.len(), 3);
        prefixes.forget(1);
        assert_eq!((prefixes.len(), prefixes.begin(&model, &asked(3)).unwrap().len()), (1, asked(3).len() - 1));
        let other = LanguageModel::open(&path, &options).unwrap();
        assert!(prefixes.begin(&other, &asked(3)).unwrap().is_empty(), "of another model");
    }
}
