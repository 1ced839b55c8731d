//! Checksums behind the data of a file: one of what the file lists, and one of each tensor, with what it is padded with.
//!
//! Their writer knows them last, so they are last: 64 bits of XXH3 each, in the order of the file; how many they are; the checksum of all
//! that; and eight letters by which they are found. Numbers are little-endian. Readers that know nothing of them find bytes behind the
//! last tensor.

use std::fmt;

use xxhash_rust::xxh3::{Xxh3Default, xxh3_64};

/// The letters.
const MARK: [u8; 8] = *b"QL-XXH3\n";
/// Bytes of a number.
const NUMBER: usize = size_of::<u64>();

/// The checksums of a file that is being written.
#[derive(Default)]
pub(super) struct Sums {
    done: Vec<u64>,
    current: Xxh3Default,
}

impl fmt::Debug for Sums {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sums").field("done", &self.done).finish_non_exhaustive()
    }
}

impl Sums {
    /// Takes in bytes that were written.
    pub fn add(&mut self, bytes: &[u8]) {
        self.current.update(bytes);
    }

    /// Ends what has a checksum of its own.
    pub fn cut(&mut self) {
        self.done.push(self.current.digest());
        self.current.reset();
    }

    /// What is written behind the data.
    pub fn text(&self) -> Vec<u8> {
        let numbers = self.done.iter().copied().chain([self.done.len() as u64]);
        let mut text = numbers.flat_map(u64::to_le_bytes).collect::<Vec<_>>();
        text.extend(xxh3_64(&text).to_le_bytes());
        text.extend(MARK);
        text
    }
}

/// The checksums of a file.
#[derive(Debug)]
pub(super) struct Checksums<'f> {
    /// Where they start: the end of the data.
    pub start: usize,
    numbers: &'f [[u8; NUMBER]],
}

impl<'f> Checksums<'f> {
    /// Those of a file, if it has any.
    pub fn of(file: &'f [u8]) -> Option<Self> {
        let body = file.strip_suffix(&MARK)?;
        let (body, own) = body.split_last_chunk::<NUMBER>()?;
        let (body, count) = body.split_last_chunk::<NUMBER>()?;
        let bytes = usize::try_from(u64::from_le_bytes(*count)).ok()?.checked_mul(NUMBER)?;
        let start = body.len().checked_sub(bytes)?;
        let all = &file[start..file.len() - MARK.len() - NUMBER];
        let (numbers, _) = body[start..].as_chunks();
        (xxh3_64(all).to_le_bytes() == *own).then_some(Self { start, numbers })
    }

    /// How many they are.
    pub fn count(&self) -> usize {
        self.numbers.len()
    }

    /// Whether bytes are those that checksum `place` was made of.
    pub fn holds(&self, place: usize, bytes: &[u8]) -> bool {
        self.numbers.get(place).is_some_and(|number| *number == xxh3_64(bytes).to_le_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_found_again_and_no_flip_of_theirs_is() {
        let mut sums = Sums::default();
        for part in [&b"head"[..], b"", b"a tensor"] {
            let (one, other) = part.split_at(part.len() / 2);
            sums.add(one);
            sums.add(other);
            sums.cut();
        }
        let mut file = [&b"heada tensor"[..], &sums.text()].concat();
        let found = Checksums::of(&file).unwrap();
        assert_eq!((found.start, found.count()), (12, 3));
        assert!(found.holds(0, b"head") && found.holds(1, b"") && found.holds(2, b"a tensor"));
        assert!(!found.holds(0, b"heab") && !found.holds(2, b"") && !found.holds(3, b""));
        for place in 12..file.len() {
            for bit in 0..8 {
                file[place] ^= 1 << bit;
                assert!(Checksums::of(&file).is_none(), "bit {bit} of byte {place}");
                file[place] ^= 1 << bit;
            }
        }
        for end in 0..file.len() {
            assert!(Checksums::of(&file[..end]).is_none());
        }
        // They never change: copies from before are read.
        assert_eq!(sums.done[1], 0x2d06_8005_38d3_94c2);
    }
}
