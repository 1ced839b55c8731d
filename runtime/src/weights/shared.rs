//! Bytes that weights are in: memory of their own, or a part of a mapped file.

use std::ops::{Deref, Range};
use std::sync::Arc;

use crate::buffer::Buffer;
use crate::error::{Error, Result};
use crate::storage::Storage;

/// A part of bytes that all of its clones keep alive.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    owner: Owner,
    range: Range<usize>,
}

#[derive(Clone, Debug)]
enum Owner {
    Buffer(Arc<Buffer>),
    File(Arc<Storage>),
}

impl Shared {
    /// The bytes of `range` of a file; `None` if it does not have them.
    pub fn of_file(file: &Arc<Storage>, range: Range<usize>) -> Option<Self> {
        file.get(range.clone())?;
        Some(Self { owner: Owner::File(Arc::clone(file)), range })
    }

    /// A copy of some bytes, in memory of its own.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn copy(bytes: &[u8]) -> Result<Self> {
        let mut buffer = Buffer::zeroed(bytes.len()).map_err(|_| Error::OutOfMemory { bytes: bytes.len() })?;
        buffer.bytes_mut().copy_from_slice(bytes);
        Ok(buffer.into())
    }

    /// A range of it.
    ///
    /// # Panics
    /// If it does not have those bytes.
    pub fn part(self, range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= self.range.len(), "{range:?} of {} bytes", self.range.len());
        Self { range: self.range.start + range.start..self.range.start + range.end, ..self }
    }

    /// The same bytes at a place that is a multiple of `alignment`, which a buffer's is: a copy, if they are not at one.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn aligned(self, alignment: usize) -> Result<Self> {
        if self.as_ptr().addr().is_multiple_of(alignment) { Ok(self) } else { Self::copy(&self) }
    }
}

impl From<Buffer> for Shared {
    fn from(buffer: Buffer) -> Self {
        let range = 0..buffer.bytes().len();
        Self { owner: Owner::Buffer(Arc::new(buffer)), range }
    }
}

impl Deref for Shared {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let all: &[u8] = match &self.owner {
            Owner::Buffer(buffer) => buffer.bytes(),
            Owner::File(file) => file,
        };
        &all[self.range.clone()]
    }
}
