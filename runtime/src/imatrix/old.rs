//! The older form of importance matrices, `imatrix.dat`: entries of a name, how many calls there were, and a sum for each column; then how
//! many calls there were in all, and the name of the text that was read.

use std::collections::HashSet;

use crate::error::quoted;

/// Bytes of the shortest entry: an empty name, calls, one sum.
const LEAST_ENTRY: usize = 4 * size_of::<i32>();

/// Bytes that the name of a matrix may take.
const LONGEST_NAME: usize = 65_535;

/// What a file has on a matrix.
#[derive(Debug)]
struct Entry {
    name: String,
    /// Means of squares, matrix after matrix if some are stacked.
    means: Vec<f32>,
}

/// The entries of a file, in its order.
#[derive(Debug)]
pub(super) struct Entries(Vec<Entry>);

/// A reader of little-endian numbers.
struct Reader<'b> {
    rest: &'b [u8],
    /// Bytes of the file.
    whole: usize,
}

impl<'b> Reader<'b> {
    /// An error at the next byte; `detail` says what is wrong there.
    fn wrong<T>(&self, detail: &str) -> Result<T, String> {
        let at = self.whole - self.rest.len();
        Err(format!("at byte {at}: {detail}; it is no importance matrix, or damaged: make it anew, or name another file"))
    }

    fn take(&mut self, count: usize, what: &str) -> Result<&'b [u8], String> {
        match self.rest.split_at_checked(count) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => self.wrong(&format!("{what} of {count} bytes, but {} are left", self.rest.len())),
        }
    }

    fn number(&mut self, what: &str) -> Result<i32, String> {
        let bytes = self.take(size_of::<i32>(), what)?;
        Ok(bytes.iter().rev().fold(0, |number, byte| number << 8 | i32::from(*byte)))
    }

    /// A count of things of `each` bytes at least, which the file has room for.
    fn count(&mut self, what: &str, least: usize, each: usize) -> Result<usize, String> {
        let count = self.number("a count")?;
        let room = self.rest.len() / each;
        match usize::try_from(count) {
            Ok(count) if (least..=room).contains(&count) => Ok(count),
            _ => self.wrong(&format!("a count of {count} {what} before it, where {least} to {room} can be")),
        }
    }

    fn entry(&mut self) -> Result<Entry, String> {
        let length = self.count("bytes of a name", 0, 1)?;
        let name = match std::str::from_utf8(self.take(length, "a name")?) {
            Ok(name) if length <= LONGEST_NAME => name.to_owned(),
            _ => return self.wrong("a name that is not UTF-8, or too long"),
        };
        let calls = self.number("a number of calls")?;
        let count = self.count("sums", 1, size_of::<f32>())?;
        let sums = self.take(count * size_of::<f32>(), "sums")?.as_chunks().0.iter().copied().map(f32::from_le_bytes);
        // Without calls, what is there is taken as it is.
        let means = if calls > 0 { sums.map(|sum| sum / calls as f32).collect() } else { sums.collect() };
        Ok(Entry { name, means })
    }
}

impl Entries {
    /// The entries of a file. The error ends with a remedy.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let mut from = Reader { rest: bytes, whole: bytes.len() };
        let count = from.count("matrices", 1, LEAST_ENTRY)?;
        let mut entries = Vec::new();
        let mut seen = HashSet::new();
        for _ in 0..count {
            let entry = from.entry()?;
            if !seen.insert(entry.name.clone()) {
                return from.wrong(&format!("matrix {} is there twice", quoted(&entry.name)));
            }
            entries.push(entry);
        }
        // The first such files end here.
        if !from.rest.is_empty() {
            from.number("a number of calls")?;
            let length = from.count("bytes of the name of a text", 0, 1)?;
            from.take(length, "the name of a text")?;
        }
        if from.rest.is_empty() { Ok(Self(entries)) } else { from.wrong(&format!("{} bytes are left", from.rest.len())) }
    }

    /// The names of its matrices.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|entry| entry.name.as_str())
    }

    /// The means for a matrix, if the file has it.
    pub fn means(&self, name: &str) -> Option<&[f32]> {
        self.0.iter().find(|entry| entry.name == name).map(|entry| entry.means.as_slice())
    }
}
