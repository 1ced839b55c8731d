//! The tokens that a GGUF file lists: their texts, what each is for, and which of them mark the beginning and the end.

use std::collections::HashMap;

use quantloom::Result;
use quantloom::gguf::{Array, Gguf, Value};

use super::{quoted, wrong};

/// What a token is for: the numbers of `tokenizer.ggml.token_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A part of texts.
    Normal,
    /// It stands for what there is no token for.
    Unknown,
    /// No text: it begins, ends or divides texts.
    Control,
    /// A part of texts that is never divided.
    UserDefined,
    /// A part of texts that training did not use.
    Unused,
    /// One byte, written `<0x0A>`.
    Byte,
}

/// The tokens of a model.
#[derive(Debug)]
pub struct Vocabulary {
    /// Their texts as the file has them.
    pub texts: Vec<String>,
    /// What they are for.
    pub kinds: Vec<Kind>,
    /// Their places, by their texts. Empty texts are not there.
    pub ids: HashMap<String, u32>,
}

impl Vocabulary {
    /// The tokens of a file.
    ///
    /// # Errors
    /// [`quantloom::Error::Gguf`] if it has none, or they contradict each other.
    pub fn of(file: &Gguf) -> Result<Self> {
        const TOKENS: &str = "tokenizer.ggml.tokens";
        let texts = match array(file, TOKENS)? {
            Some(Array::String(texts)) => texts.clone(),
            Some(_) => return Err(wrong(file, &format!("key {TOKENS:?}: not an array of texts in UTF-8; {AGAIN}"))),
            None => return Err(wrong(file, &format!("it has no tokenizer (no key {TOKENS:?}); take a file with one, or give tokens"))),
        };
        // Ids are of 32 bits, and counts of tokens are added up in 64.
        if texts.is_empty() || texts.len() > MOST {
            let count = texts.len();
            return Err(wrong(file, &format!("key {TOKENS:?}: {count} tokens, and from 1 to {MOST} make a vocabulary; {AGAIN}")));
        }
        let kinds = kinds(file, texts.len())?;
        let mut ids = HashMap::with_capacity(texts.len());
        for (id, text) in (0..).zip(&texts) {
            if text.is_empty() {
                continue;
            }
            if let Some(first) = ids.insert(text.clone(), id) {
                let text = quoted(text);
                return Err(wrong(file, &format!("key {TOKENS:?}: tokens {first} and {id} are both {text}; {AGAIN}")));
            }
        }
        Ok(Self { texts, kinds, ids })
    }

    /// Whether texts may contain a token without asking for it: all but those that are no text, or that stand for one byte.
    pub fn is_text(&self, id: u32) -> bool {
        matches!(self.kinds[id as usize], Kind::Normal | Kind::UserDefined | Kind::Unused)
    }

    /// The token under a key such as `tokenizer.ggml.eos_token_id`, if the file has that.
    ///
    /// # Errors
    /// [`quantloom::Error::Gguf`] if there is no such token.
    pub fn named(&self, file: &Gguf, key: &str) -> Result<Option<u32>> {
        let Some(value) = file.value(key) else { return Ok(None) };
        let id = value.as_u64().and_then(|id| u32::try_from(id).ok()).filter(|&id| (id as usize) < self.texts.len());
        let count = self.texts.len();
        id.map(Some).ok_or_else(|| wrong(file, &format!("key {key:?}: not one of its {count} tokens; {AGAIN}")))
    }
}

/// Tokens that a vocabulary has at most.
const MOST: usize = 1 << 23;

/// What to do about a file whose tokenizer is not in order.
pub const AGAIN: &str = "convert the model again";

/// What each token is for; all are parts of texts if the file does not say.
fn kinds(file: &Gguf, count: usize) -> Result<Vec<Kind>> {
    const TYPES: &str = "tokenizer.ggml.token_type";
    let numbers = match array(file, TYPES)? {
        None => return Ok(vec![Kind::Normal; count]),
        Some(Array::I32(numbers)) => numbers.clone(),
        Some(Array::U32(numbers)) => numbers.iter().map(|&number| number.cast_signed()).collect(),
        Some(_) => return Err(wrong(file, &format!("key {TYPES:?}: not an array of numbers of 32 bits; {AGAIN}"))),
    };
    same_count(file, TYPES, numbers.len(), count)?;
    let kind = |(id, number): (usize, i32)| {
        Ok(match number {
            1 => Kind::Normal,
            2 => Kind::Unknown,
            3 => Kind::Control,
            4 => Kind::UserDefined,
            5 => Kind::Unused,
            6 => Kind::Byte,
            _ => return Err(wrong(file, &format!("key {TYPES:?}: token {id} is of type {number}, and types go from 1 to 6; {AGAIN}"))),
        })
    };
    numbers.into_iter().enumerate().map(kind).collect()
}

/// The scores of tokens.
///
/// # Errors
/// [`quantloom::Error::Gguf`] if they are not as many numbers as there are tokens.
pub fn scores(file: &Gguf, count: usize) -> Result<&[f32]> {
    const SCORES: &str = "tokenizer.ggml.scores";
    match array(file, SCORES)? {
        Some(Array::F32(scores)) => {
            same_count(file, SCORES, scores.len(), count)?;
            match scores.iter().position(|score| score.is_nan()) {
                None => Ok(scores),
                Some(id) => Err(wrong(file, &format!("key {SCORES:?}: that of token {id} is not a number; {AGAIN}"))),
            }
        }
        _ => Err(wrong(file, &format!("key {SCORES:?}: no array of f32, which this tokenizer needs; {AGAIN}"))),
    }
}

/// The merges of pairs, in their order.
///
/// # Errors
/// [`quantloom::Error::Gguf`] if there are none.
pub fn merges(file: &Gguf) -> Result<&[String]> {
    match array(file, MERGES)? {
        Some(Array::String(merges)) => Ok(merges),
        _ => Err(wrong(file, &format!("key {MERGES:?}: no array of texts, which this tokenizer needs; {AGAIN}"))),
    }
}

/// The key of the merges.
pub const MERGES: &str = "tokenizer.ggml.merges";

/// The array under a key.
fn array<'f>(file: &'f Gguf, key: &str) -> Result<Option<&'f Array>> {
    let Some(value) = file.value(key) else { return Ok(None) };
    value.as_array().map(Some).ok_or_else(|| wrong(file, &format!("key {key:?}: not an array; {AGAIN}")))
}

/// The text under a key.
///
/// # Errors
/// [`quantloom::Error::Gguf`] if what is there is no text.
pub fn text<'f>(file: &'f Gguf, key: &str) -> Result<Option<&'f str>> {
    let Some(value) = file.value(key) else { return Ok(None) };
    value.as_str().map(Some).ok_or_else(|| wrong(file, &format!("key {key:?}: not a text in UTF-8; {AGAIN}")))
}

/// The truth value under a key.
///
/// # Errors
/// [`quantloom::Error::Gguf`] if what is there is none.
pub fn flag(file: &Gguf, key: &str) -> Result<Option<bool>> {
    let flag = file.value(key).map(|value| value.as_bool().ok_or(value));
    flag.transpose().map_err(|_: &Value| wrong(file, &format!("key {key:?}: not a truth value; {AGAIN}")))
}

fn same_count(file: &Gguf, key: &str, found: usize, wanted: usize) -> Result<()> {
    if found == wanted {
        return Ok(());
    }
    Err(wrong(file, &format!("key {key:?}: {found} values for {wanted} tokens; {AGAIN}")))
}
