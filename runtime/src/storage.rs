//! The bytes of a file: mapped, or in memory.

use std::io::{self, ErrorKind};
use std::ops::Deref;
use std::path::Path;

use memmap2::Mmap;

use crate::files;

/// The smallest page there is. Where pages are larger, one may be dropped too early and read again.
#[cfg(unix)]
const PAGE: usize = 4096;

#[derive(Debug)]
pub(crate) enum Storage {
    Mapped(Mmap),
    Memory(Vec<u8>),
}

impl Storage {
    /// Maps a file.
    pub fn map(path: &Path) -> io::Result<Self> {
        let file = files::open(path).map_err(|cause| match cause.kind() {
            ErrorKind::InvalidInput => io::Error::new(ErrorKind::InvalidInput, "not a regular file; name a model file"),
            _ => cause,
        })?;
        // SAFETY: the mapping is read-only. Overwriting the file while it is open would break the promise, as for every reader
        // that maps its input; what writes models replaces files instead.
        unsafe { Mmap::map(&file) }.map(Self::Mapped)
    }

    /// Lets the operating system drop the pages of `part`, if it lies in a mapping. The page in which `part` ends stays: what
    /// follows is usually read next, and releases it.
    #[cfg(unix)]
    pub fn release(&self, part: &[u8]) {
        let Self::Mapped(map) = self else { return };
        let whole = map.as_ptr_range();
        let part = part.as_ptr_range();
        if part.start < whole.start || part.end > whole.end {
            return;
        }
        let start = part.start.addr() - whole.start.addr();
        let mut end = part.end.addr() - whole.start.addr();
        if part.end < whole.end {
            end -= end % PAGE;
        }
        if start < end {
            let advice = memmap2::UncheckedAdvice::DontNeed;
            // SAFETY: the mapping is of a file, shared and read-only: a page that is dropped comes back with the same bytes.
            // A hint that is refused costs memory, not correctness.
            let _ = unsafe { map.unchecked_advise_range(advice, start, end - start) };
        }
    }

    /// Does nothing: there is no such hint here.
    #[cfg(not(unix))]
    pub fn release(&self, _part: &[u8]) {}
}

impl Deref for Storage {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Memory(bytes) => bytes,
        }
    }
}
