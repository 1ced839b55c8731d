//! A GGUF file: a model, or a part of one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use quantloom::gguf::Gguf;
use quantloom_fuzz::{Folder, right, use_file};

fuzz_target!(|bytes: &[u8]| {
    if let Some(file) = right(Gguf::from_bytes("file.gguf", bytes.to_vec())) {
        use_file(&Folder::new(), file);
    }
});
