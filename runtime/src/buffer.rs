//! Memory that kernels read and write: aligned, zeroed, on large pages where that pays.

use std::io;

use memmap2::MmapMut;
use quantloom_kernels::abi::ALIGNMENT;

/// A large page; from this size on, fewer page-table misses are worth a mapping of its own.
const LARGE: usize = 2 << 20;

/// Zeroed bytes that start at a multiple of [`ALIGNMENT`].
#[derive(Debug)]
pub struct Buffer(Memory);

#[derive(Debug)]
enum Memory {
    Lines { lines: Vec<Line>, len: usize },
    Mapping { mapping: MmapMut, len: usize },
}

impl Default for Buffer {
    fn default() -> Self {
        Self(Memory::Lines { lines: Vec::new(), len: 0 })
    }
}

/// A cache line.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
struct Line([u8; ALIGNMENT]);

impl Buffer {
    /// `len` zeros.
    ///
    /// # Errors
    /// The system has not got that much memory.
    pub fn zeroed(len: usize) -> io::Result<Self> {
        if len < LARGE {
            return Ok(Self::lines(len));
        }
        // Linux lets a mapping begin at a large page if it has whole ones.
        let pages = len.checked_next_multiple_of(LARGE).ok_or(io::ErrorKind::OutOfMemory)?;
        let mapping = MmapMut::map_anon(pages)?;
        // The last page is a large one if it is filled by half: what is beyond would be memory that nobody uses.
        #[cfg(target_os = "linux")]
        let _ = mapping.advise_range(memmap2::Advice::HugePage, 0, (len + LARGE / 2) / LARGE * LARGE); // only a hint: some systems have none
        Ok(Self(Memory::Mapping { mapping, len }))
    }

    /// `len` zeros, which are to be used again and again: no mapping of their own.
    #[must_use]
    pub fn lines(len: usize) -> Self {
        Self(Memory::Lines { lines: vec![Line([0; ALIGNMENT]); len.div_ceil(ALIGNMENT)], len })
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match &self.0 {
            Memory::Lines { lines, len } => &bytemuck::cast_slice(lines)[..*len],
            Memory::Mapping { mapping, len } => &mapping[..*len],
        }
    }

    /// The bytes, to write.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        match &mut self.0 {
            Memory::Lines { lines, len } => &mut bytemuck::cast_slice_mut(lines)[..*len],
            Memory::Mapping { mapping, len } => &mut mapping[..*len],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_and_large_buffers_are_aligned_zeroed_and_writable() {
        for len in [0, 1, 63, 64, 65, LARGE - 1, LARGE, LARGE + 1] {
            let mut buffer = Buffer::zeroed(len).unwrap();
            assert_eq!(buffer.bytes().len(), len);
            assert!(buffer.bytes().iter().all(|&byte| byte == 0));
            assert_eq!(buffer.bytes().as_ptr() as usize % ALIGNMENT, 0);
            buffer.bytes_mut().fill(7);
            assert!(buffer.bytes().iter().all(|&byte| byte == 7));
        }
    }
}
