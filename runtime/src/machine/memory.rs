//! The memory that read bandwidth is measured on.

use std::time::{Duration, Instant};

use memmap2::MmapMut;

/// Memory becomes real a page at a time, on first touch; pages have at least this size.
const PAGE: usize = 4096;

/// What is touched between two looks at the clock.
const STRETCH: usize = 1 << 21;

/// Memory for one thread to read, given back when dropped.
#[derive(Debug)]
pub(super) struct Region {
    map: MmapMut,
    /// How far it has been touched.
    touched: usize,
}

impl Region {
    /// Maps `bytes` of memory, in huge pages where the system has them; `floor` bytes if it has no more.
    ///
    /// # Panics
    /// If the system has not even `floor` bytes.
    pub(super) fn new(bytes: usize, floor: usize) -> Self {
        let map = MmapMut::map_anon(bytes).or_else(|_| MmapMut::map_anon(floor));
        let map = map.expect("memory to measure bandwidth on");
        #[cfg(target_os = "linux")]
        // Huge pages are a wish: refused, the measurement is a little lower, as it would be for weights.
        let _ = map.advise(memmap2::Advice::HugePage);
        Self { map, touched: 0 }
    }

    /// Touches the memory, so that it is real, and near this thread. That can be slow: after `time`, `floor` bytes are enough.
    pub(super) fn touch(&mut self, floor: usize, time: Duration) {
        self.touched = touch(&mut self.map, floor, time);
    }

    /// The part that has been touched.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.map[..self.touched]
    }
}

/// Writes to the pages of `memory` in order, to the end or, once `time` is over, to `floor`; returns how far it came.
fn touch(memory: &mut [u8], floor: usize, time: Duration) -> usize {
    let begin = Instant::now();
    let mut touched = 0;
    for stretch in memory.chunks_mut(STRETCH) {
        if touched >= floor && begin.elapsed() >= time {
            break;
        }
        for page in stretch.chunks_mut(PAGE) {
            page[0] = 1;
        }
        touched += stretch.len();
    }
    touched
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg_attr(miri, ignore = "maps memory")]
    fn regions_are_touched_as_far_as_time_allows() {
        let mut region = Region::new(3 * STRETCH + 5, 0);
        assert!(region.bytes().is_empty());
        region.touch(STRETCH + 1, Duration::ZERO);
        assert_eq!(region.bytes().len(), 2 * STRETCH);
        region.touch(0, Duration::MAX);
        assert_eq!(region.bytes().len(), 3 * STRETCH + 5);
        assert!(region.bytes().iter().step_by(PAGE).all(|&byte| byte == 1));
    }
}
