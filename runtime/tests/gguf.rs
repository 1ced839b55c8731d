//! The GGUF reader on right files, and what it says of wrong ones; the writer.

mod support;

use std::fs;

use quantloom::Error;
use quantloom::gguf::{Array, BlockShape, Gguf, GgufWriter, NewTensor, Value};
use support::{Writer, array, files, kind, sample, string, value};
use tempfile::TempDir;

fn open(bytes: Vec<u8>) -> Result<Gguf, Error> {
    Gguf::from_bytes("file.gguf", bytes)
}

/// The message for a file that must be refused: one line.
fn refused(file: Writer) -> String {
    let message = open(file.build()).expect_err("refused").to_string();
    assert!(message.starts_with("file.gguf: at byte "), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
    message
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().copied().map(f32::from_le_bytes).collect()
}

#[test]
fn metadata_has_its_types() {
    let file = open(sample()).unwrap();
    assert_eq!((file.version(), file.alignment()), (3, 64));
    assert_eq!(file.metadata()[0].0, "general.architecture");
    assert_eq!(file.value("general.architecture").unwrap().as_str(), Some("sample"));
    assert_eq!(file.value("general.alignment").unwrap().as_u64(), Some(64));
    assert_eq!(file.value("sample.small"), Some(&Value::I8(-3)));
    assert_eq!(file.value("sample.small").unwrap().as_u64(), None);
    assert_eq!(file.value("sample.truth").unwrap().as_bool(), Some(true));
    assert_eq!(file.value("sample.ratio").unwrap().as_f64(), Some(0.5));
    assert_eq!(file.value("sample.none"), None);
    let words = Array::String(vec!["one".into(), "two".into()]);
    assert_eq!(file.value("sample.words").unwrap().as_array(), Some(&words));
    let nested = Array::Array(vec![Array::U8(vec![1, 2]), words]);
    assert_eq!(file.value("sample.nested"), Some(&Value::Array(nested)));
}

#[test]
fn every_value_type_is_read() {
    for kind in (0..=12).filter(|&kind| kind != value::ARRAY) {
        let one = if kind == value::STRING { string("text") } else { vec![1; width(kind)] };
        let file = Writer::default()
            .entry("one", kind, &one)
            .entry("many", value::ARRAY, &array(kind, 3, &one.repeat(3)))
            .entry("none", value::ARRAY, &array(kind, 0, &[]));
        let file = open(file.build()).unwrap();
        let length = |key| file.value(key).unwrap().as_array().unwrap().len();
        assert_eq!((length("many"), length("none")), (3, 0), "type {kind}");
    }
}

fn width(kind: u32) -> usize {
    match kind {
        0 | 1 | 7 => 1,
        2 | 3 => 2,
        4..=6 => 4,
        _ => 8,
    }
}

#[test]
fn tensors_have_their_shapes_and_bytes() {
    let file = open(sample()).unwrap();
    let names: Vec<_> = file.tensors().iter().map(|tensor| tensor.name.as_str()).collect();
    assert_eq!(names, ["plain", "blocks", "scalar"]);
    let plain = file.tensor("plain").unwrap();
    assert_eq!((plain.k(), plain.rows(), plain.kind), (3, 2, kind::F32));
    let bytes = file.bytes(plain, BlockShape::F32).unwrap();
    assert_eq!(floats(bytes), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let blocks = file.tensor("blocks").unwrap();
    assert_eq!(file.bytes(blocks, BlockShape { header: 0, weights: 32, bytes: 18 }).unwrap(), [0x5a; 72]);
    let scalar = file.tensor("scalar").unwrap();
    assert_eq!((scalar.k(), scalar.rows()), (1, 1));
    assert_eq!(floats(file.bytes(scalar, BlockShape::F32).unwrap()), [7.0]);
}

#[test]
fn an_empty_axis_makes_an_empty_tensor() {
    let file = open(Writer::default().floats("none", &[0, 5], &[]).build()).unwrap();
    let none = file.tensor("none").unwrap();
    assert!(file.bytes(none, BlockShape::F32).unwrap().is_empty());
}

#[test]
fn version_2_is_read() {
    let file = open(Writer::default().version(2).text("key", "value").build()).unwrap();
    assert_eq!((file.version(), file.metadata().len()), (2, 1));
}

#[test]
fn an_unknown_tensor_gets_a_hint() {
    let file = open(sample()).unwrap();
    let message = |name| file.tensor(name).unwrap_err().to_string();
    assert_eq!(message("blcks"), r#"file.gguf: no tensor "blcks"; did you mean "blocks"?"#);
    assert!(message("else").ends_with("; name one that the file has"));
}

#[test]
fn other_files_are_refused() {
    let message = open(b"PK\x03\x04 and more".to_vec()).unwrap_err().to_string();
    assert_eq!(message, "file.gguf: at byte 0: not a GGUF file, as it does not start with \"GGUF\"; name one that does");
    let header = br#"{"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}"#;
    let tensors = [&(header.len() as u64).to_le_bytes()[..], header, &[0; 4]].concat();
    for (bytes, what) in [(tensors, "a safetensors file"), (br#"{ "weight_map": {} }"#.to_vec(), "a JSON file")] {
        let message = open(bytes).unwrap_err().to_string();
        assert!(message.contains(&format!("{what}, not a GGUF file; open ")), "{message}");
        assert!(message.ends_with(", or convert the model to GGUF"), "{message}");
    }
    assert!(open(vec![]).is_err());
    assert!(refused(Writer::default().version(1)).contains("version 1 is not supported"));
    assert!(refused(Writer::default().version(4)).contains("version 4 is not supported"));
    assert!(refused(Writer::default().version(3u32.swap_bytes())).contains("big-endian"));
}

#[test]
fn wrong_metadata_is_refused() {
    let entry = |kind, bytes: &[u8]| refused(Writer::default().entry("some.key", kind, bytes));
    let contains = |message: String, part: &str| {
        assert!(message.contains(r#"key "some.key""#), "{message}");
        assert!(message.contains(part), "{message}");
    };
    contains(entry(13, &[0; 8]), "type 13");
    contains(entry(value::BOOL, &[2]), "truth value of 2");
    contains(entry(value::STRING, &u64::MAX.to_le_bytes()), "room for");
    contains(entry(value::ARRAY, &array(12, 1 << 61, &[])), "room for");
    contains(entry(value::ARRAY, &array(99, 0, &[])), "type 99");
    let nested = (0..8).fold(array(value::U8, 0, &[]), |inner, _| array(value::ARRAY, 1, &inner));
    contains(entry(value::ARRAY, &nested), "arrays within each other");
    let twice = Writer::default().text("a", "x").text("a", "y");
    assert!(refused(twice).contains(r#"key "a": listed twice"#));
}

#[test]
fn a_wrong_alignment_is_refused() {
    let refused = |alignment: u32| {
        let bytes = alignment.to_le_bytes();
        refused(Writer::default().entry("general.alignment", value::U32, &bytes))
    };
    for alignment in [0, 1, 4, 24, 33, 1 << 31] {
        assert!(refused(alignment).contains("power of two"), "{alignment}");
    }
    let text = Writer::default().text("general.alignment", "32");
    assert!(open(text.build()).is_err());
}

#[test]
fn wrong_tensors_are_refused() {
    let listed = |dims: &[u64], offset| refused(Writer::default().listed("t", dims, 0, offset));
    assert!(listed(&[1; 5], 0).contains(r#"tensor "t": 5 axes"#));
    assert!(listed(&[1 << 40, 1 << 40], 0).contains("too many weights"));
    assert!(listed(&[0, 1 << 40, 1 << 40], 0).contains("too many weights"));
    assert!(listed(&[1], 7).contains("not a multiple of the alignment, 32"));
    assert!(listed(&[1], 64).contains("cut short"));
    assert!(listed(&[1], u64::MAX - 31).contains("cut short"));
    let twice = Writer::default().floats("t", &[1], &[0.0]).floats("t", &[1], &[0.0]);
    assert!(refused(twice).contains(r#"tensor "t": listed twice"#));
}

#[test]
fn bytes_that_are_not_there_are_refused() {
    let file = Writer::default().listed("large", &[32, 1 << 30], kind::NONE, 0).build();
    let file = open(file).unwrap();
    let large = file.tensor("large").unwrap();
    let message = |shape| file.bytes(large, shape).unwrap_err().to_string();
    assert!(message(BlockShape { header: 0, weights: 32, bytes: 34 }).contains("the file ends at"));
    assert!(message(BlockShape { header: 0, weights: 32, bytes: usize::MAX }).contains("whole blocks"));
    assert!(message(BlockShape { header: 0, weights: 0, bytes: 1 }).contains("whole blocks"));
    assert_eq!(
        message(BlockShape { header: 0, weights: 256, bytes: 1 }),
        r#"file.gguf: tensor "large": rows of 32 weights are not whole blocks of 256; convert the model again"#
    );
}

#[test]
fn control_characters_do_not_reach_the_message() {
    let name = "a\nb\u{1b}[31m";
    let message = refused(Writer::default().listed(name, &[1; 5], 0, 0));
    assert!(message.contains(r#""a\nb\u{1b}[31m""#), "{message}");
}

#[test]
fn a_missing_file_and_a_folder_are_reported() {
    let message = |path: &str| Gguf::open(path).unwrap_err().to_string();
    assert!(message("no/such.gguf").starts_with("no/such.gguf: "));
    assert!(message(env!("CARGO_MANIFEST_DIR")).ends_with("not a regular file; name a model file"));
}

#[test]
fn released_bytes_are_still_there() {
    for path in files("golden") {
        let file = Gguf::open(&path).unwrap();
        let bytes = file.bytes(file.tensor("source").unwrap(), BlockShape::F32).unwrap();
        let before = bytes.to_vec();
        for part in bytes.chunks(5000) {
            file.release(part);
        }
        file.release(&before);
        file.release(&[]);
        assert_eq!(bytes, before, "{}", path.display());
    }
}

#[test]
fn golden_files_are_whole() {
    for path in files("golden") {
        let file = Gguf::open(&path).unwrap();
        let number = |key| file.value(key).unwrap().as_u64().unwrap() as usize;
        let stored = BlockShape { header: 0, weights: number("golden.block_elements"), bytes: number("golden.block_bytes") };
        for (name, k, rows, shape) in [
            ("source", 512, 16, BlockShape::F32),
            ("quantized", 512, 16, stored),
            ("quantized.f32", 512, 16, BlockShape::F32),
            ("random", 512, 4, stored),
            ("activations", 512, 5, BlockShape::F32),
            ("matmul.exact", 16, 5, BlockShape::F32),
        ] {
            let tensor = file.tensor(name).unwrap();
            assert_eq!((tensor.k(), tensor.rows()), (k, rows), "{name}");
            let bytes = file.bytes(tensor, shape).unwrap();
            assert_eq!(bytes.len(), k / shape.weights * rows * shape.bytes, "{name}");
        }
    }
}

#[test]
fn models_are_whole() {
    for path in files("models") {
        let file = Gguf::open(&path).unwrap();
        assert_eq!(file.value("general.architecture").unwrap().as_str(), Some("llama"));
        let tokens = file.value("tokenizer.ggml.tokens").unwrap().as_array().unwrap();
        assert_eq!(tokens.len(), 2048);
        let norm = file.tensor("output_norm.weight").unwrap();
        let norm = floats(file.bytes(norm, BlockShape::F32).unwrap());
        assert_eq!(norm.len(), 256);
        assert!(norm.iter().all(|v| v.is_finite()));
    }
}

#[test]
fn what_is_written_is_what_was_read() {
    let bytes = sample();
    let file = Gguf::from_bytes("sample", bytes.clone()).unwrap();
    let shape = |kind: u32| if kind == kind::Q4_0 { BlockShape { header: 0, weights: 32, bytes: 18 } } else { BlockShape::F32 };
    let data = file.tensors().iter().map(|tensor| file.bytes(tensor, shape(tensor.kind)).unwrap()).collect::<Vec<_>>();
    let tensors = file.tensors().iter().zip(&data).map(|(tensor, data)| NewTensor {
        name: tensor.name.clone(),
        dims: tensor.dims.clone(),
        kind: tensor.kind,
        bytes: data.len(),
    });
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("copy.gguf");
    let mut writer = GgufWriter::create(&path, file.metadata(), &tensors.collect::<Vec<_>>()).unwrap();
    for byte in data.concat() {
        writer.write(&[byte]).unwrap();
    }
    assert!(!path.exists());
    writer.finish().unwrap();
    let copy = fs::read(&path).unwrap();
    // The last tensor is padded too, as llama.cpp's writer does.
    assert_eq!(copy[..bytes.len()], bytes);
    assert_eq!(copy.len(), bytes.len().next_multiple_of(64));
}

#[test]
fn a_file_without_all_its_bytes_is_none() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.gguf");
    let tensor = NewTensor { name: "a".to_owned(), dims: vec![2], kind: kind::F32, bytes: 8 };
    let mut writer = GgufWriter::create(&path, &[], std::slice::from_ref(&tensor)).unwrap();
    writer.write(&[0; 7]).unwrap();
    assert!(writer.finish().unwrap_err().to_string().contains("7 bytes given, 8 needed"));
    let mut writer = GgufWriter::create(&path, &[], &[tensor]).unwrap();
    assert!(writer.write(&[0; 9]).is_err());
    drop(writer);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
