//! Short names for long texts: folders are named by them, entries are checked by them.

use std::fmt;
use std::str::FromStr;

use quantloom_kernels::abi::fnv;
use serde::{Deserialize, Serialize};

/// 64 bits that stand for a text or a piece of generated code, written as 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Digest(pub u64);

impl Digest {
    /// The digest of some texts in order: FNV-1a, which stays the same from one build to the next.
    #[must_use]
    pub fn of(parts: &[&str]) -> Self {
        // No text contains 0xff, so that moving a letter from one part to the next makes a difference.
        Self::of_bytes(parts.iter().flat_map(|part| part.bytes().chain([0xff])))
    }

    /// The digest of bytes.
    #[must_use]
    pub fn of_bytes(bytes: impl IntoIterator<Item = u8>) -> Self {
        Self(fnv::of_bytes(bytes))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for Digest {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digest = u64::from_str_radix(text, 16).map(Self).map_err(|_| "not a digest")?;
        // One spelling only: the digits that `Display` writes.
        if digest.to_string() == text { Ok(digest) } else { Err("not a digest as it is written here") }
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

impl TryFrom<String> for Digest {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_fnv() {
        let empty = Digest::of(&[]);
        assert_eq!(empty.to_string(), "cbf29ce484222325");
        assert_ne!(Digest::of(&["ab", "c"]), Digest::of(&["a", "bc"]));
        assert_ne!(Digest::of(&["a"]), Digest::of(&["a", ""]));
    }

    #[test]
    fn digests_have_one_spelling() {
        let digest = Digest::of(&["text"]);
        assert_eq!(digest.to_string().parse(), Ok(digest));
        for wrong in ["", "1", "+000000000000000", "CBF29CE484222325", "cbf29ce4842223255", "cbf29ce48422232g"] {
            assert!(wrong.parse::<Digest>().is_err(), "{wrong}");
        }
    }
}
