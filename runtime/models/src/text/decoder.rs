//! From tokens to text, as they come: whole characters only.

use super::Tokenizer;

/// Puts the text of a sequence together token by token. A token may end within a character: what is given out ends with a whole one.
///
/// ```
/// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/models/rustbook.gguf");
/// use quantloom::gguf::Gguf;
/// use quantloom_models::text::{Specials, Tokenizer};
///
/// let tokenizer = Tokenizer::of(&Gguf::open(path)?)?;
/// let mut decoder = tokenizer.decoder();
/// let mut text = String::new();
/// for token in tokenizer.encode("naïve 🙂", Specials::AsText)? {
///     text += &decoder.push(token);
/// }
/// text += &decoder.finish();
/// assert_eq!(text, "naïve 🙂");
/// # Ok::<(), quantloom_models::Error>(())
/// ```
#[derive(Debug)]
pub struct Decoder<'t> {
    tokenizer: &'t Tokenizer,
    /// The beginning of a character whose end has not come: at most 3 bytes.
    begun: Vec<u8>,
}

impl<'t> Decoder<'t> {
    pub(super) fn new(tokenizer: &'t Tokenizer) -> Self {
        Self { tokenizer, begun: Vec::new() }
    }

    /// What a token adds to the text. Bytes that are no character in UTF-8 are shown as U+FFFD; control tokens add nothing, but end a
    /// character that was begun.
    pub fn push(&mut self, token: u32) -> String {
        if self.tokenizer.is_control(token) {
            return self.finish();
        }
        self.begun.extend_from_slice(self.tokenizer.piece(token));
        let begun = incomplete(&self.begun);
        let rest = self.begun.split_off(self.begun.len() - begun);
        let text = String::from_utf8_lossy(&self.begun).into_owned();
        self.begun = rest;
        text
    }

    /// What is left at the end: U+FFFD if a character was begun, else nothing.
    pub fn finish(&mut self) -> String {
        let text = String::from_utf8_lossy(&self.begun).into_owned();
        self.begun.clear();
        text
    }
}

/// Bytes at the end that may become a character with those that follow.
fn incomplete(bytes: &[u8]) -> usize {
    let last = bytes.utf8_chunks().last().map_or(&[][..], |chunk| chunk.invalid());
    // What is wrong whatever follows has an error length.
    match str::from_utf8(last) {
        Err(error) if error.error_len().is_none() => last.len(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::incomplete;

    #[test]
    fn only_what_may_become_a_character_is_kept() {
        for (bytes, kept) in [
            (&b"abc"[..], 0),
            ("é".as_bytes(), 0),
            (&"é".as_bytes()[..1], 1),
            (&"🙂".as_bytes()[..3], 3),
            (b"a\xf0\x9f", 2),
            (b"\xff", 0),
            (b"\x80\x80", 0),
            (b"\xe2\x82a\xe2", 1),
            (b"\xc0", 0),
            (b"", 0),
        ] {
            assert_eq!(incomplete(bytes), kept, "{bytes:?}");
        }
    }
}
