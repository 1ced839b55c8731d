//! A model in several files: each part of the input that begins as GGUF files do is one of them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use quantloom::gguf::Gguf;
use quantloom_fuzz::{Folder, right, use_file};

const MAGIC: &[u8] = b"GGUF";
const MOST: usize = 4;

fuzz_target!(|bytes: &[u8]| {
    let mut starts: Vec<usize> = (0..bytes.len()).filter(|&at| bytes[at..].starts_with(MAGIC)).take(MOST).collect();
    let count = starts.len();
    starts.push(bytes.len());
    let folder = Folder::new();
    let part = |number: usize| {
        let name = format!("model-{:05}-of-{count:05}.gguf", number + 1);
        folder.file(&name, &bytes[starts[number]..starts[number + 1]])
    };
    let parts: Vec<_> = (0..count).map(part).collect();
    // From whichever part they are opened, they are one model.
    let opened: Vec<_> = parts.iter().map(|path| right(Gguf::open(path))).collect();
    if let Some([first, .., last]) = opened.into_iter().collect::<Option<Vec<_>>>().as_mut().map(Vec::as_mut_slice) {
        if first.paths().len() == count {
            assert_eq!(first.tensors(), last.tensors());
        }
    }
    if let Some(file) = parts.first().and_then(|path| right(Gguf::open(path))) {
        use_file(&folder, file);
    }
});
