//! A reader over bytes that never goes past their end, and what it says when it should.

use crate::error::quoted;

/// Where the bytes are wrong, and how.
#[derive(Debug)]
pub(super) struct Fault {
    at: usize,
    place: Option<String>,
    detail: String,
}

impl Fault {
    /// Something wrong at byte `at`; `detail` ends with a remedy.
    pub fn new(at: usize, detail: impl Into<String>) -> Self {
        Self { at, place: None, detail: detail.into() }
    }

    /// Names the key or tensor that is being read, unless an inner call has.
    pub fn within(mut self, what: &str, name: &str) -> Self {
        self.place.get_or_insert_with(|| format!(", {what} {}", quoted(name)));
        self
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let place = self.place.as_deref().unwrap_or_default();
        write!(f, "at byte {}{place}: {}", self.at, self.detail)
    }
}

/// The remedy for contents that no writer produces.
pub(super) const DAMAGED: &str = "the file is damaged: fetch or convert it again";

/// Bytes that the lists of a file may take: many times those of the largest vocabulary. What is read from them takes a few times as
/// much memory, whatever a file says of itself.
const MOST: usize = 256 << 20;

/// Bytes that a key or the name of a tensor may take.
const LONGEST_NAME: usize = 65_535;

/// Bytes and the place of the next one to read.
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Whether the file goes on behind the bytes.
    limited: bool,
}

impl<'a> Cursor<'a> {
    /// Starts at the first byte of a file, and goes no further than its lists may.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes: bytes.get(..MOST).unwrap_or(bytes), at: 0, limited: bytes.len() > MOST }
    }

    /// Place of the next byte.
    pub fn at(&self) -> usize {
        self.at
    }

    /// The next `count` bytes.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], Fault> {
        let left = &self.bytes[self.at..];
        let taken = left.get(..count).ok_or_else(|| self.short(count as u64))?;
        self.at += count;
        Ok(taken)
    }

    /// The next `N` bytes, for `from_le_bytes`.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let (array, _) = self.bytes[self.at..].split_first_chunk().ok_or_else(|| self.short(N as u64))?;
        self.at += N;
        Ok(*array)
    }

    /// The next four bytes as a number.
    pub fn u32(&mut self) -> Result<u32, Fault> {
        self.array().map(u32::from_le_bytes)
    }

    /// The next eight bytes as a number.
    pub fn u64(&mut self) -> Result<u64, Fault> {
        self.array().map(u64::from_le_bytes)
    }

    /// A count of `things` of which each takes `each` bytes or more, so that the bytes left bound what a caller may allocate.
    pub fn count(&mut self, things: &str, each: usize) -> Result<usize, Fault> {
        let start = self.at;
        let count = self.u64()?;
        let most = (self.bytes.len() - self.at) / each;
        match usize::try_from(count) {
            Ok(count) if count <= most => Ok(count),
            _ => {
                let room =
                    if self.limited { format!("the {MOST} bytes that lists may take have") } else { "the file has".to_owned() };
                let detail = format!(
                    "a count of {count} {things}, but {room} room for {most}; it is damaged or cut short: fetch it again"
                );
                Err(Fault::new(start, detail))
            }
        }
    }

    /// Memory for `count` things that were counted by [`Cursor::count`].
    pub fn room<T>(&self, count: usize) -> Result<Vec<T>, Fault> {
        let mut room = Vec::new();
        match room.try_reserve_exact(count) {
            Ok(()) => Ok(room),
            Err(_) => Err(Fault::new(
                self.at,
                format!("no memory for the {count} that are counted here; close other programs, or fetch the file again"),
            )),
        }
    }

    /// A length and as many bytes.
    pub fn bytes(&mut self) -> Result<&'a [u8], Fault> {
        let length = self.count("bytes", 1)?;
        self.take(length)
    }

    /// A length and as many bytes of UTF-8: a name, which is not long.
    pub fn name(&mut self) -> Result<&'a str, Fault> {
        let start = self.at;
        let bytes = self.bytes()?;
        if bytes.len() > LONGEST_NAME {
            let detail = format!("a name of {} bytes, more than {LONGEST_NAME}; {DAMAGED}", bytes.len());
            return Err(Fault::new(start, detail));
        }
        let place = |valid: usize| self.at - bytes.len() + valid;
        std::str::from_utf8(bytes)
            .map_err(|e| Fault::new(place(e.valid_up_to()), format!("a name that is not UTF-8; {DAMAGED}")))
    }

    fn short(&self, count: u64) -> Fault {
        let left = self.bytes.len() - self.at;
        let detail = if self.limited {
            format!("{count} bytes expected and {left} left of the {MOST} that lists may take; {DAMAGED}")
        } else {
            format!("{count} bytes expected and {left} left; the file was cut short: fetch it again")
        };
        Fault::new(self.at, detail)
    }
}
