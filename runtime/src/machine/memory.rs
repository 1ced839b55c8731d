//! The memory that read bandwidth is measured on.

use std::time::{Duration, Instant};

use memmap2::MmapMut;

/// Pages of at least this size are given out one at a time, on first touch.
const PAGE: usize = 4096;

/// What is touched between two looks at the clock.
const STRETCH: usize = 1 << 21;

/// Memory of one thread, given back when dropped.
pub(super) struct Region {
    map: MmapMut,
    touched: usize,
}

impl Region {
    /// Maps `bytes` of memory, in huge pages where the system has them, and touches it, so that it is real and near this thread.
    /// The first touch can be slow: after `time`, `floor` bytes are enough.
    ///
    /// # Panics
    /// If the system has not even `floor` bytes.
    pub(super) fn new(bytes: usize, floor: usize, time: Duration) -> Self {
        let map = MmapMut::map_anon(bytes).or_else(|_| MmapMut::map_anon(floor));
        let mut map = map.expect("memory to measure bandwidth on");
        #[cfg(target_os = "linux")]
        // Huge pages are a wish: refused, the measurement is a little lower, as it would be for weights.
        let _ = map.advise(memmap2::Advice::HugePage);
        let touched = touch(&mut map, floor, time);
        Self { map, touched }
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
    fn regions_are_touched_as_far_as_time_allows() {
        let whole = Region::new(3 * STRETCH + 5, 0, Duration::MAX);
        assert_eq!(whole.bytes().len(), 3 * STRETCH + 5);
        assert!(whole.bytes().iter().step_by(PAGE).all(|&byte| byte == 1));
        let floor = Region::new(3 * STRETCH, STRETCH + 1, Duration::ZERO);
        assert_eq!(floor.bytes().len(), 2 * STRETCH);
    }
}
