//! From text to tokens and back: tokenizers, chat templates and the choice of tokens, all from the metadata of a GGUF file.

mod chat;
mod decoder;
mod merges;
mod pieces;
mod pretokenizer;
mod sampling;
mod specials;
mod tokenizer;
mod vocabulary;

use quantloom::gguf::Gguf;

use crate::error::Error;

pub use chat::{Chat, Message};
pub use decoder::Decoder;
pub use sampling::Sampling;
pub use tokenizer::{Specials, Tokenizer};

/// An error about a file; `detail` ends with a remedy.
fn wrong(file: &Gguf, detail: &str) -> Error {
    Error::model(file.path(), detail)
}

/// Longest part of a text that a message shows.
const SHOWN: usize = 40;

/// A text as a message shows it.
fn quoted(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}...", &text[..end]),
    }
}
