//! The oracle against ggml's own decode, bit for bit.
//!
//! The repository holds four golden files; `QUANTLOOM_GOLDEN` names a folder with more.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::gguf::Gguf;
use quantloom_spec::eval::{decode_blocks, weight};
use quantloom_spec::model::Format;

fn folder() -> PathBuf {
    std::env::var_os("QUANTLOOM_GOLDEN").map_or_else(|| common::root().join("../testdata/golden"), PathBuf::from)
}

fn gguf_files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "gguf"));
    files.sort();
    files
}

#[test]
fn decodes_as_ggml_does() {
    let files = gguf_files(&folder());
    assert!(files.len() >= 4);
    let formats = common::spec().formats;
    for file in files {
        let stem = file.file_stem().unwrap();
        let (_, format) = formats.iter().find(|(path, _)| path.file_stem() == Some(stem)).unwrap();
        let golden = Gguf::parse(fs::read(&file).unwrap());
        for name in ["quantized", "random"] {
            compare(format, &golden, name);
        }
    }
}

fn compare(format: &Format, golden: &Gguf, name: &str) {
    let (blocks, tensor) = (format.blocks().unwrap(), &golden.tensors[name]);
    assert_eq!(Some(tensor.kind), format.gguf);
    let weights = tensor.shape.iter().product::<u64>() as usize;
    let bytes = golden.bytes(name, weights / blocks.weights * blocks.bytes);
    let decoded = decode_blocks(format, bytes);
    assert_eq!(decoded.len(), weights, "{} {name}", format.name);
    let wanted = golden.bits(&format!("{name}.f32")).into_iter().map(f32::from_bits);
    let differs = decoded.into_iter().zip(wanted).enumerate().find(|(_, (found, wanted))| found.to_bits() != wanted.to_bits());
    if let Some((position, (found, wanted))) = differs {
        let read = weight(format, &bytes[position / blocks.weights * blocks.bytes..], position % blocks.weights);
        panic!("{} {name}: weight {position} is {found:e} and should be {wanted:e}: {read:?}", format.name);
    }
    println!("{} {name}: {weights} weights, none differ", format.name);
}

#[test]
fn parts_make_the_weight() {
    let format = common::format("q4_K");
    let mut block = [0; 144];
    block[..4].copy_from_slice(&[0x00, 0x3C, 0x00, 0x40]);
    block[4] = 3;
    block[8] = 5;
    block[16] = 0x79;
    let first = weight(&format, &block, 0);
    assert_eq!((first.code.own, first.level()), (9.0, 9.0));
    assert_eq!((first.zero, first.sign), (None, None));
    let (scale, min) = (first.scale.unwrap(), first.min.unwrap());
    assert_eq!((scale.own, scale.outer, scale.get()), (3.0, Some(1.0), 3.0));
    assert_eq!((min.own, min.outer, min.get()), (-5.0, Some(2.0), -10.0));
    assert_eq!(first.value(), 17.0);
}
