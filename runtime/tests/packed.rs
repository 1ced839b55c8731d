//! Packed copies of models: the same products from them, all that is wrong with them said, and nothing that makes a reader panic.

mod support;

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use quantloom::gguf::{BlockShape, Gguf};
use quantloom::matmul::{Request, matmul};
use quantloom::measure::{activations, synthetic};
use quantloom::model::{Kind, Load, Model};
use quantloom::pool::Pool;
use quantloom::registry;
use quantloom::tune::{self, Mode};
use quantloom::weights::{Layout, Weights};
use support::{Writer, array, files, kind, string, testdata, value};
use tempfile::TempDir;

fn product(weights: &Weights) -> Vec<u32> {
    let x = activations(3, weights.k()).unwrap();
    let mut y = vec![f32::NAN; 3 * weights.n()];
    matmul(weights, &x, 3, &mut y, &Request::default(), Pool::global()).unwrap();
    y.into_iter().map(f32::to_bits).collect()
}

/// Packs a model to a folder.
fn packed(model: &Model, folder: &TempDir) -> PathBuf {
    let path = folder.path().join("model.packed");
    model.pack(&path, Pool::global(), &mut |_| {}).unwrap();
    path
}

/// Compares everything in a model with its packed copy; how many matrices there were.
fn compare(path: &Path) -> usize {
    let folder = TempDir::new().unwrap();
    let model = Model::open(path).unwrap();
    let copy = Model::open(packed(&model, &folder)).unwrap();
    assert!(copy.is_packed() && !model.is_packed());
    for (key, value) in model.file().metadata().iter().filter(|(key, _)| key != "general.alignment") {
        assert_eq!(copy.file().value(key), Some(value), "{key}");
    }
    let mut matrices = 0;
    for tensor in model.file().tensors() {
        let other = copy.file().tensor(&tensor.name).unwrap();
        assert_eq!(other.dims, tensor.dims);
        if let Kind::Packed(_) = copy.kind(other).unwrap() {
            let of = |model: &Model, tensor| product(&model.weights(tensor, Layout::Packed, Pool::global()).unwrap());
            assert!(of(&copy, other) == of(&model, tensor), "{}", tensor.name);
            matrices += 1;
        } else {
            let shape = match model.kind(tensor).unwrap() {
                Kind::Blocks(_, shape) => shape,
                _ => BlockShape::F32,
            };
            assert!(copy.file().bytes(other, shape).unwrap() == model.file().bytes(tensor, shape).unwrap());
        }
    }
    matrices
}

#[test]
fn packed_copies_hold_the_same_weights() {
    for path in files("models") {
        assert!(compare(&path) > 0, "{}", path.display());
    }
    // One of every format that GGUF files have.
    assert!(files("golden").iter().map(|path| compare(path)).sum::<usize>() >= 28);
}

/// A model with a matrix in each of two formats and a vector.
fn small() -> Vec<u8> {
    let bytes = |kind: u32| synthetic(registry::format_by_gguf(kind).unwrap(), 20, 64).unwrap();
    Writer::default()
        .text("general.name", "small")
        .tensor("one", &[64, 20], kind::Q4_0, &bytes(kind::Q4_0))
        .floats("vector", &[4], &[1.0, 2.0, 3.0, 4.0])
        .tensor("two", &[64, 20], kind::Q8_0, &bytes(kind::Q8_0))
        .build()
}

/// The packed copy of that.
fn small_copy() -> Vec<u8> {
    let folder = TempDir::new().unwrap();
    let model = Model::new(Gguf::from_bytes("small.gguf", small()).unwrap()).unwrap();
    fs::read(packed(&model, &folder)).unwrap()
}

/// Does all that can be done with a file of these bytes; what it is told if it is refused.
fn exercise(bytes: Vec<u8>) -> Result<usize, String> {
    let model = Gguf::from_bytes("small.packed", bytes).and_then(Model::new).map_err(|error| error.to_string())?;
    let mut products = 0;
    for tensor in model.file().tensors() {
        for layout in Layout::ALL {
            if let Ok(weights) = model.weights(tensor, layout, Pool::global())
                && weights.n() * weights.k() <= 1 << 16
            {
                product(&weights);
                products += 1;
            }
        }
    }
    Ok(products)
}

/// The copy with one text replaced by another of its length.
fn replaced(from: &[u8], to: &[u8]) -> String {
    let mut bytes = small_copy();
    let at = bytes.windows(from.len()).position(|window| window == from).unwrap();
    bytes[at..at + to.len()].copy_from_slice(to);
    exercise(bytes).unwrap_err()
}

#[test]
fn copies_for_other_builds_are_refused() {
    assert_eq!(exercise(small_copy()), Ok(2));
    assert!(replaced(b"Q4_0", b"Q4_9").contains("in which \"Q4_9\" is laid out otherwise; pack the model again"));
    // The name of the next format: its layout is another.
    assert!(replaced(b"Q4_0", b"Q8_0").contains("in which \"Q8_0\" is laid out otherwise"));
    let version = [&b"quantloom.packed.version"[..], &4_u32.to_le_bytes(), &2_u32.to_le_bytes()].concat();
    for other in [0_u32, 3, u32::MAX] {
        let other = [&b"quantloom.packed.version"[..], &4_u32.to_le_bytes(), &other.to_le_bytes()].concat();
        assert!(replaced(&version, &other).contains("another version of quantloom (not version 1 or 2); pack the model again"));
    }
    assert!(replaced(b"quantloom.packed.layouts", b"quantloom.packed.layoutz").contains("pack the model again"));
}

/// Moves the tensor `two` of a packed copy.
fn moved(mut copy: Vec<u8>, offset: u64) -> Vec<u8> {
    // After the name come the axes, the type, and then the offset.
    let name = [&3_u64.to_le_bytes()[..], b"two"].concat();
    let at = copy.windows(name.len()).position(|window| window == name).unwrap() + name.len() + 4 + 2 * 8 + 4;
    copy[at..at + 8].copy_from_slice(&offset.to_le_bytes());
    copy
}

#[test]
fn tensors_within_each_other_are_refused() {
    let same = exercise(moved(small_copy(), 0)).unwrap_err();
    assert!(same.contains("where tensor \"two\" starts too; the file is damaged"), "{same}");

    // How far a packed tensor reaches is known once its format is.
    let bytes = synthetic(registry::format_by_gguf(kind::Q4_0).unwrap(), 64, 256).unwrap();
    let file = Writer::default().tensor("one", &[256, 64], kind::Q4_0, &bytes).tensor("two", &[256, 64], kind::Q4_0, &bytes);
    let folder = TempDir::new().unwrap();
    let model = Model::new(Gguf::from_bytes("large.gguf", file.build()).unwrap()).unwrap();
    let copy = fs::read(packed(&model, &folder)).unwrap();
    assert_eq!(exercise(copy.clone()), Ok(2));
    let within = exercise(moved(copy, 4096)).unwrap_err();
    assert!(within.contains("reach into tensor \"two\", which starts 4096 bytes on"), "{within}");
    assert!(within.ends_with("; the file is damaged: pack the model again"), "{within}");
}

#[test]
fn a_copy_is_not_packed_again_and_has_no_stored_form() {
    let folder = TempDir::new().unwrap();
    let model = Model::new(Gguf::from_bytes("small.packed", small_copy()).unwrap()).unwrap();
    let error = model.pack(folder.path().join("again"), Pool::global(), &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("packed already"), "{error}");
    let error = model.weights(model.file().tensor("one").unwrap(), Layout::Stored, Pool::global()).unwrap_err();
    assert!(error.to_string().contains("open the model that it was packed from"), "{error}");
    assert!(fs::read_dir(folder.path()).unwrap().next().is_none(), "something was left behind");
}

/// Three matrices of 70 rows, one behind the other.
#[test]
fn rows_of_a_tensor_are_weights_of_their_own() {
    let format = registry::format_by_name("MXFP4").unwrap();
    let bytes = synthetic(format, 210, 64).unwrap();
    let model = Writer::default().tensor("stack", &[64, 70, 3], format.gguf.unwrap(), &bytes).build();
    let model = Model::new(Gguf::from_bytes("stack.gguf", model).unwrap()).unwrap();
    let folder = TempDir::new().unwrap();
    let copy = Model::open(packed(&model, &folder)).unwrap();
    let rows = |model: &Model, rows: Range<usize>, layout| -> Result<Weights, String> {
        let tensor = model.file().tensor("stack").unwrap();
        model.rows(tensor, rows, layout, Pool::global()).map_err(|error| error.to_string())
    };
    let all = product(&rows(&model, 0..210, Layout::Packed).unwrap());
    let wanted = |rows: Range<usize>| all.chunks(210).flat_map(|column| &column[rows.clone()]).copied().collect::<Vec<_>>();
    for range in [0..70, 70..140, 140..210, 64..210, 128..129, 5..5] {
        for layout in Layout::ALL {
            assert!(product(&rows(&model, range.clone(), layout).unwrap()) == wanted(range.clone()), "{range:?} {layout:?}");
        }
        match rows(&copy, range.clone(), Layout::Packed) {
            Ok(weights) => assert!(range.start % 64 == 0 && product(&weights) == wanted(range.clone()), "{range:?}"),
            Err(why) => assert!(range.start % 64 != 0 && why.contains("open the model that it was packed from"), "{why}"),
        }
    }
    for range in [0..211, 211..211, Range { start: 3, end: 2 }] {
        let why = rows(&model, range, Layout::Packed).unwrap_err();
        assert!(why.starts_with("stack.gguf: ") && why.contains("it has 210 rows"), "{why}");
    }
}

#[test]
fn weights_outlive_the_file_they_are_in() {
    let folder = TempDir::new().unwrap();
    let source = Model::open(testdata("models").join("rustbook-Q4_K_M.gguf")).unwrap();
    let path = packed(&source, &folder);
    let matrices = Model::open(&path).unwrap().matrices(Layout::Packed, Pool::global()).unwrap();
    fs::remove_file(&path).unwrap();
    for (matrix, other) in matrices.iter().zip(source.matrices(Layout::Stored, Pool::global()).unwrap()) {
        assert!(product(&matrix.weights) == product(&other.weights), "{}", matrix.name);
    }
}

#[test]
fn every_truncation_is_survived() {
    let whole = small_copy();
    // The head byte by byte, the weights in larger steps.
    for length in (0..1200).chain((1200..whole.len()).step_by(97)) {
        assert!(exercise(whole[..length].to_vec()).is_err(), "{length} of {}", whole.len());
    }
}

/// Bytes of the checksums of [`small_copy`]: of what is listed and of three tensors, how many they are, their own, and the mark.
const CHECKSUMS: usize = (1 + 3 + 2) * 8 + 8;

/// Compares the bytes of a file with its checksums, and what that is told.
fn verified(bytes: Vec<u8>) -> Result<(), String> {
    Gguf::from_bytes("small.packed", bytes).and_then(|file| file.verify(&mut |_| {})).map_err(|error| error.to_string())
}

#[test]
fn every_flip_is_found_by_the_checksums() {
    let whole = small_copy();
    assert_eq!(verified(whole.clone()), Ok(()));
    // What is listed and the checksums byte by byte, the data in larger steps.
    let sums = whole.len() - CHECKSUMS;
    for place in (0..1200).chain((1200..sums).step_by(7)).chain(sums..whole.len()) {
        let mut bytes = whole.clone();
        bytes[place] ^= 1 << (place % 8);
        assert!(verified(bytes).is_err(), "byte {place} of {}", whole.len());
    }
    // Of a flip in the data, the tensor is named.
    let model = Model::new(Gguf::from_bytes("small.packed", whole.clone()).unwrap()).unwrap();
    let place = |name| {
        let tensor = model.file().tensor(name).unwrap();
        (tensor.offset as usize, model.bytes(tensor).unwrap())
    };
    let (last, bytes) = place("two");
    let data = sums - (last + bytes.next_multiple_of(4096));
    for name in ["one", "vector", "two"] {
        let (offset, bytes) = place(name);
        let first = data + offset;
        for place in [first, first + bytes - 1] {
            let mut bytes = whole.clone();
            bytes[place] ^= 0x10;
            let why = verified(bytes).unwrap_err();
            assert!(why.contains(&format!("tensor {name:?}: its bytes, from {first} to ")), "{why}");
        }
    }
}

#[test]
fn copies_of_earlier_versions_are_read_and_have_no_checksums() {
    let whole = small_copy();
    let mut old = whole[..whole.len() - CHECKSUMS].to_vec();
    let key = b"quantloom.packed.version";
    let at = old.windows(key.len()).position(|window| window == key).unwrap() + key.len() + 4;
    let missing = exercise(old.clone()).unwrap_err();
    assert!(missing.contains("its checksums are missing or damaged") && missing.ends_with("pack the model again"), "{missing}");
    old[at] = 1;
    assert_eq!(exercise(old.clone()), Ok(2));
    let model = Model::new(Gguf::from_bytes("old.packed", old).unwrap()).unwrap();
    assert!(!model.file().has_checksums());
    let why = model.verify(&mut |_| {}).unwrap_err().to_string();
    assert!(why.contains("packed by an earlier version of quantloom, which wrote no checksums; pack the model again"), "{why}");
    let plain = Model::new(Gguf::from_bytes("small.gguf", small()).unwrap()).unwrap();
    let why = plain.verify(&mut |_| {}).unwrap_err().to_string();
    assert!(why.contains("no checksums, which only packed copies have"), "{why}");
}

#[test]
fn what_is_loaded_is_compared_if_that_is_asked_for() {
    let load = |bytes: Vec<u8>, verify| {
        let model = Model::new(Gguf::from_bytes("small.packed", bytes).unwrap()).unwrap();
        tune::choices().set_mode(Mode::Off);
        model.load(&Load::default().verify(verify), Pool::global()).map(|loaded| loaded.matrices.len())
    };
    let whole = small_copy();
    assert_eq!(load(whole.clone(), true).unwrap(), 2);
    let mut damaged = whole;
    let place = damaged.len() - 4096;
    damaged[place] ^= 1;
    assert_eq!(load(damaged.clone(), false).unwrap(), 2);
    assert!(load(damaged, true).unwrap_err().to_string().contains("are not those that were written"));
}

#[test]
fn keys_of_copies_in_a_model_that_is_none_are_left_out() {
    let names = array(value::STRING, 1, &string("Q6_K"));
    let bytes = synthetic(registry::format_by_gguf(kind::Q4_0).unwrap(), 20, 64).unwrap();
    let file = Writer::default().entry("quantloom.packed.formats", value::ARRAY, &names).text("general.name", "odd").tensor(
        "one",
        &[64, 20],
        kind::Q4_0,
        &bytes,
    );
    let folder = TempDir::new().unwrap();
    let model = Model::new(Gguf::from_bytes("odd.gguf", file.build()).unwrap()).unwrap();
    let copy = Model::open(packed(&model, &folder)).unwrap();
    assert!(copy.is_packed() && copy.verify(&mut |_| {}).is_ok());
    assert_eq!(copy.file().value("general.name").and_then(|value| value.as_str()), Some("odd"));
    assert_eq!(copy.matrices(Layout::Packed, Pool::global()).unwrap().len(), 1);
}

/// Of a type that nobody knows but packed copies.
#[test]
fn what_would_be_taken_for_a_packed_tensor_is_not_copied() {
    let bytes = synthetic(registry::format_by_gguf(kind::Q4_0).unwrap(), 20, 64).unwrap();
    let file = Writer::default().tensor("one", &[64, 20], kind::Q4_0, &bytes).tensor("odd", &[64, 20], 0x5150_0000, &bytes);
    let model = Model::new(Gguf::from_bytes("odd.gguf", file.build()).unwrap()).unwrap();
    let folder = TempDir::new().unwrap();
    let message = model.pack(folder.path().join("copy"), Pool::global(), &mut |_| {}).unwrap_err().to_string();
    assert!(message.starts_with("odd.gguf: tensor \"odd\" has the type number 1364197376"), "{message}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn random_flips_are_survived(flips in prop::collection::vec((0_usize..1200, any::<u8>()), 1..6)) {
        let mut bytes = small_copy();
        for (place, byte) in flips {
            bytes[place] = byte;
        }
        drop(exercise(bytes));
    }
}
