//! A chat template, which a conversation is written with.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use quantloom::gguf::{Array, Gguf, GgufWriter, Value};
use quantloom_fuzz::{Folder, conversation, right};
use quantloom_models::text::{Chat, Tokenizer};

/// Bytes that the text of a conversation may become: what the steps of a template come to.
const MOST: usize = 320 << 20;

/// A tokenizer that needs no template, and the folder of its file.
static TOKENIZER: LazyLock<(Folder, Tokenizer)> = LazyLock::new(|| {
    let folder = Folder::temporary();
    let tokenizer = Tokenizer::of(&file(&folder, None)).expect("a tokenizer that is in order");
    (folder, tokenizer)
});

/// A file with a template, or without.
fn file(folder: &Folder, template: Option<&str>) -> Gguf {
    let text = |text: &str| Value::String(text.to_owned());
    let texts = |texts: &[&str]| Value::Array(Array::String(texts.iter().map(|&text| text.to_owned()).collect()));
    let metadata = [
        ("tokenizer.ggml.model", text("gpt2")),
        ("tokenizer.ggml.pre", text("gpt-2")),
        ("tokenizer.ggml.tokens", texts(&["a", "<s>", "</s>"])),
        ("tokenizer.ggml.merges", texts(&[])),
        ("tokenizer.ggml.bos_token_id", Value::U32(1)),
        ("tokenizer.ggml.eos_token_id", Value::U32(2)),
    ];
    let template = template.map(|template| ("tokenizer.chat_template", text(template)));
    let metadata: Vec<_> = metadata.into_iter().chain(template).map(|(key, value)| (key.to_owned(), value)).collect();
    let path = folder.file("file.gguf", &[]);
    let written = GgufWriter::create(&path, &metadata, &[]).and_then(GgufWriter::finish);
    written.expect("room for a temporary file");
    Gguf::open(path).expect("a file that was just written")
}

fuzz_target!(init: LazyLock::force(&TOKENIZER), |bytes: &[u8]| {
    let Ok(template) = str::from_utf8(bytes) else { return };
    let (folder, tokenizer) = &*TOKENIZER;
    let Some(chat) = right(Chat::of(&file(folder, Some(template)), tokenizer)) else { return };
    for messages in [&conversation()[..], &[]] {
        if let Some(text) = right(chat.prompt(messages)) {
            assert!(text.len() <= MOST, "{} bytes", text.len());
        }
    }
});
