//! What tokens stand for: the bytes of each.

use super::vocabulary::{Kind, Vocabulary};

/// The sign for a space in the tokens of tokenizers that have no signs for bytes.
pub const SPACE: char = '\u{2581}';

/// Which characters the tokens of a model are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writing {
    /// One character for each of the 256 bytes.
    Bytes,
    /// Plain text, with [`SPACE`] for spaces; bytes that have no token are written `<0x0A>`.
    Plain,
}

/// The bytes of each token.
#[derive(Debug)]
pub struct Pieces {
    bytes: Vec<u8>,
    /// Where the bytes of each token end.
    ends: Vec<usize>,
}

impl Pieces {
    /// Those of the tokens of a model. Control tokens have their names, for who asks for them.
    pub fn of(vocabulary: &Vocabulary, writing: Writing) -> Self {
        let mut pieces = Self { bytes: Vec::new(), ends: Vec::with_capacity(vocabulary.texts.len()) };
        for (text, kind) in vocabulary.texts.iter().zip(&vocabulary.kinds) {
            match (kind, writing) {
                (Kind::Byte, _) if byte_of_name(text).is_some() => pieces.bytes.extend(byte_of_name(text)),
                (Kind::Normal | Kind::Unused, Writing::Bytes) => text.chars().for_each(|c| push_byte(&mut pieces.bytes, c)),
                (Kind::Normal | Kind::Unused, Writing::Plain) => {
                    pieces.bytes.extend_from_slice(text.replace(SPACE, " ").as_bytes());
                }
                (Kind::Byte | Kind::Unknown | Kind::Control | Kind::UserDefined, _) => {
                    pieces.bytes.extend_from_slice(text.as_bytes());
                }
            }
            pieces.ends.push(pieces.bytes.len());
        }
        pieces
    }

    /// How many tokens there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// The bytes of a token: none for one that the vocabulary does not have.
    pub fn get(&self, id: u32) -> &[u8] {
        let id = id as usize;
        let start = id.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        self.ends.get(id).map_or(&[], |&end| &self.bytes[start..end])
    }
}

/// Whether a byte is written as the character of that number: printable ones of Latin-1 are.
fn is_itself(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff)
}

/// The character that each byte is written as. Those that are not printable have, in their order, the characters from 256 on.
pub fn alphabet() -> [char; 256] {
    let mut others = '\u{100}'..;
    let mut next = || others.next().unwrap_or(char::REPLACEMENT_CHARACTER);
    std::array::from_fn(|byte| match byte as u8 {
        byte if is_itself(byte) => char::from(byte),
        _ => next(),
    })
}

/// Adds the byte that a character stands for; a character that stands for none is itself.
fn push_byte(bytes: &mut Vec<u8>, c: char) {
    let others = || (0..=u8::MAX).filter(|&byte| !is_itself(byte));
    let number = u32::from(c);
    let byte = match u8::try_from(number) {
        Ok(byte) => Some(byte).filter(|&byte| is_itself(byte)),
        Err(_) => others().nth((number - 256) as usize),
    };
    match byte {
        Some(byte) => bytes.push(byte),
        None => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

/// The byte that a token such as `<0x0A>` names.
fn byte_of_name(name: &str) -> Option<u8> {
    let digits = name.strip_prefix("<0x")?.strip_suffix('>')?;
    let is_one = digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_one.then(|| u8::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_has_a_character_of_its_own_and_comes_back() {
        let alphabet = alphabet();
        assert_eq!([alphabet[b'a' as usize], alphabet[b' ' as usize], alphabet[0], alphabet[0xad]], ['a', 'Ġ', 'Ā', 'Ń']);
        for (byte, c) in (0..=u8::MAX).zip(alphabet) {
            let mut bytes = Vec::new();
            push_byte(&mut bytes, c);
            assert_eq!(bytes, [byte]);
        }
        let mut bytes = Vec::new();
        " \u{2581}".chars().for_each(|c| push_byte(&mut bytes, c));
        assert_eq!(bytes, " \u{2581}".as_bytes(), "no characters of the alphabet");
    }

    #[test]
    fn names_of_bytes_are_read_strictly() {
        assert_eq!(byte_of_name("<0x0A>"), Some(10));
        for other in ["<0xA>", "<0x00A>", "<0x+1>", "0x0A", "<0xZZ>"] {
            assert_eq!(byte_of_name(other), None, "{other}");
        }
    }
}
