//! A packed copy of a model, changed. What its layouts are known by depends on the build: the input is a list of changes of a copy that
//! is made here, each of five bytes and more: where, how many bytes go, how many of the input come in their place.
#![no_main]

use std::sync::LazyLock;
use std::{fs, iter};

use libfuzzer_sys::fuzz_target;
use quantloom::gguf::{BlockShape, Gguf, GgufWriter, NewTensor, Value};
use quantloom::measure::synthetic;
use quantloom::model::Model;
use quantloom_fuzz::{FORMATS, Folder, POOL, right, use_file};

/// A packed copy with a matrix of each format that has kernels, and something beside them.
static COPY: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let formats = FORMATS.iter().map(|(format, _)| *format).filter(|format| format.packed.is_some());
    let stored = formats.filter_map(|format| Some((format, format.gguf?, BlockShape::of(format)?)));
    let mut tensors = vec![NewTensor { name: "norm".to_owned(), dims: vec![4], kind: 0, bytes: 16 }];
    let mut bytes = vec![0; 16];
    for (format, kind, _) in stored {
        let (n, k) = (3, format.block_weights);
        let weights = synthetic(format, n, k).expect("some weights");
        tensors.push(NewTensor { name: format.name.to_owned(), dims: vec![k as u64, n as u64], kind, bytes: weights.len() });
        bytes.extend(weights);
    }
    let folder = Folder::temporary();
    let [model, copy] = ["model", "copy"].map(|name| folder.file(name, &[]));
    let metadata = [("general.architecture".to_owned(), Value::String("llama".to_owned()))];
    let mut writer = GgufWriter::create(&model, &metadata, &tensors).expect("a file");
    writer.write(&bytes).expect("room for it");
    writer.finish().expect("room for it");
    Model::open(&model).and_then(|model| model.pack(&copy, &POOL, &mut |_| {})).expect("a packed copy");
    fs::read(copy).expect("the packed copy")
});

/// The changes that an input stands for, made.
fn changed(mut input: &[u8]) -> Vec<u8> {
    let mut bytes = COPY.clone();
    let changes = iter::from_fn(|| {
        let (&[low, high, short, long, fresh], rest) = input.split_first_chunk()?;
        let (fresh, rest) = rest.split_at_checked(fresh.into())?;
        input = rest;
        // The places of what a file lists are small: most changes are there.
        let at = usize::from(u16::from_le_bytes([low, high]));
        Some((at, usize::from(short) | usize::from(long & 0x7f) << 8, fresh))
    });
    for (at, gone, fresh) in changes {
        let start = at.min(bytes.len());
        let end = (start + gone).min(bytes.len());
        bytes.splice(start..end, fresh.iter().copied());
    }
    bytes
}

fuzz_target!(init: LazyLock::force(&COPY), |input: &[u8]| {
    if let Some(file) = right(Gguf::from_bytes("file.packed", changed(input))) {
        use_file(&Folder::temporary(), file);
    }
});
