//! FNV-1a: a hash of 64 bits that stays the same from one compiler, build and machine to the next.

/// The hash of bytes.
#[must_use]
pub fn of_bytes(bytes: impl IntoIterator<Item = u8>) -> u64 {
    const START: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    bytes.into_iter().fold(START, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME))
}

/// The hash of a text.
#[must_use]
pub fn of_text(text: &str) -> u64 {
    of_bytes(text.bytes())
}

#[cfg(test)]
mod tests {
    use super::of_text;

    /// The test vectors of those who published it.
    #[test]
    fn it_is_fnv_1a() {
        assert_eq!(of_text(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(of_text("a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(of_text("foobar"), 0x8594_4171_f739_67e8);
    }
}
