//! Which tokens are joined to larger ones, and in which order: by a list, or by scores.

use quantloom::gguf::Gguf;

use super::vocabulary::{self, AGAIN, MERGES, Vocabulary};
use super::{quoted, wrong};
use crate::error::Result;

/// Pairs in the order of their precedence.
pub type Merges = Vec<(String, String)>;

/// Those that the file lists. Those that would make a control token of a text are left out.
///
/// # Errors
/// [`Error::Model`] if one of the tokens is not there.
pub fn listed(file: &Gguf, vocabulary: &Vocabulary) -> Result<Merges> {
    let mut merges = Vec::new();
    for (place, pair) in vocabulary::merges(file)?.iter().enumerate() {
        // A token may begin with a space.
        let cut = pair.char_indices().skip(1).find(|&(_, c)| c == ' ');
        let Some((left, right)) = cut.map(|(at, _)| (&pair[..at], &pair[at + 1..])) else {
            let pair = quoted(pair);
            return Err(wrong(
                file,
                &format!("key {MERGES:?}: value {place}, {pair}, is not two tokens with a space between; {AGAIN}"),
            ));
        };
        let mut text = true;
        for token in [left, right, &[left, right].concat()] {
            let Some(&id) = vocabulary.ids.get(token) else {
                let (pair, token) = (quoted(pair), quoted(token));
                let detail = format!("key {MERGES:?}: value {place}, {pair}, needs {token}, which is no token; {AGAIN}");
                return Err(wrong(file, &detail));
            };
            text &= vocabulary.is_text(id);
        }
        if text {
            merges.push((left.to_owned(), right.to_owned()));
        }
    }
    Ok(merges)
}

/// Bytes of a token that is divided, and of all merges that come of it, at most: many times those of any vocabulary. What is beyond
/// would take hours, or all memory, and a file of some megabytes may ask for it.
const LONGEST: usize = 1024;
const MOST_BYTES: usize = 1 << 28;

/// Those that scores amount to: every way to divide a token into two, tokens with higher scores first, then those listed earlier, then
/// those divided earlier.
///
/// # Errors
/// [`Error::Model`] if there are no scores, or tokens are too long, or divided in too many ways.
pub fn scored(file: &Gguf, vocabulary: &Vocabulary) -> Result<Merges> {
    let scores = vocabulary::scores(file, vocabulary.texts.len())?;
    let mut order: Vec<_> = (0..vocabulary.texts.len()).filter(|&id| vocabulary.is_text(id as u32)).collect();
    // Stable: of equal scores, what is listed earlier comes first.
    order.sort_by(|&a, &b| scores[b].partial_cmp(&scores[a]).unwrap_or(std::cmp::Ordering::Equal));
    let is_text = |token: &str| vocabulary.ids.get(token).is_some_and(|&id| vocabulary.is_text(id));
    let (mut merges, mut bytes) = (Vec::new(), 0);
    for id in order {
        let text = &vocabulary.texts[id];
        if text.len() > LONGEST {
            let (text, found) = (quoted(text), text.len());
            return Err(wrong(file, &format!("token {id}, {text}, is of {found} bytes, and may be of {LONGEST}; {AGAIN}")));
        }
        let parts = text.char_indices().skip(1).map(|(at, _)| text.split_at(at));
        let parts = parts.filter(|&(left, right)| is_text(left) && is_text(right));
        for (left, right) in parts {
            merges.push((left.to_owned(), right.to_owned()));
            bytes += text.len();
        }
        if bytes > MOST_BYTES {
            return Err(wrong(file, &format!("its tokens are parts of each other in too many ways to be merged; {AGAIN}")));
        }
    }
    Ok(merges)
}
