//! How much work is done at a time: what stays in which cache, and what keeps every thread busy.

use std::sync::LazyLock;

use quantloom_kernels::abi::{Kernel, SEGMENT, Schedule};

use super::activations::Groups;
use crate::machine::Caches;
use crate::weights::{Layout, Weights};

/// Weights that one chunk of work reads, so that taking a chunk costs nothing beside it.
const CHUNK_BYTES: usize = 128 << 10;
/// Chunks a thread: the last ones even out what the system took from a thread.
const CHUNKS_A_THREAD: usize = 4;
/// Tiles of a call whose activations do not stay in the first-level cache: they share each segment of them.
const SHARING_TILES: usize = 8;
/// Column groups that use an unpacked segment at least, where columns are split to keep threads busy.
const LEAST_GROUPS: usize = 8;

/// The parts that a multiplication is done in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocking {
    /// Row tiles of one call of the kernel.
    pub tiles_a_call: usize,
    /// Row tiles of a chunk of work.
    pub tiles_a_chunk: usize,
    /// Column groups of a chunk of work.
    pub groups_a_block: usize,
}

impl Blocking {
    /// Of a multiplication by `threads` threads.
    pub fn new(weights: &Weights, kernel: &Kernel, groups: &Groups, threads: usize) -> Self {
        static CACHES: LazyLock<Caches> = LazyLock::new(Caches::detect);
        let work = Work::new(kernel, weights.n(), weights.k(), groups.count(), threads);
        Work { packed_for_call: weights.layout() == Layout::Stored, ..work }.blocking(&CACHES)
    }
}

/// What blocking depends on.
pub struct Work {
    /// Row tiles.
    pub tiles: usize,
    /// Bytes of the packed weights of a tile.
    pub tile_bytes: usize,
    /// Column groups.
    pub groups: usize,
    /// Bytes of the activations of a group.
    pub group_bytes: usize,
    /// Segments of K.
    pub segments: usize,
    /// Bytes of the sums of one tile and group.
    sums_bytes: usize,
    /// A tile that is packed for the call should still be in a cache when it is read.
    packed_for_call: bool,
    least_groups: usize,
    threads: usize,
}

impl Work {
    /// Of packed weights of `n` rows and `k` columns, neither of them 0, and one or more column groups.
    pub fn new(kernel: &Kernel, n: usize, k: usize, groups: usize, threads: usize) -> Self {
        let units = k.div_ceil(kernel.counts.weights);
        Self {
            tiles: n.div_ceil(kernel.rows),
            tile_bytes: kernel.counts.bytes.saturating_mul(units),
            groups,
            group_bytes: kernel.activations.unit_bytes.saturating_mul(units),
            segments: k.div_ceil(SEGMENT),
            sums_bytes: kernel.cols * kernel.rows * size_of::<f32>(),
            packed_for_call: false,
            least_groups: if kernel.schedule == Schedule::Panel { LEAST_GROUPS } else { 1 },
            threads,
        }
    }

    /// The parts for caches of these sizes.
    pub fn blocking(&self, caches: &Caches) -> Blocking {
        let wanted = CHUNKS_A_THREAD * self.threads;
        let groups_a_block = self.groups_a_block(caches, wanted);
        let fair = (self.tiles / wanted).max(1);
        // Half of the first-level cache: weights stream through the other.
        let resident = groups_a_block.saturating_mul(self.group_bytes) <= caches.l1d / 2;
        let sharing = SHARING_TILES.min(caches.l2 / 4 / (groups_a_block * self.sums_bytes)).max(1);
        let tiles_a_call = if resident || self.packed_for_call { 1 } else { sharing.min(fair) };
        let enough = (CHUNK_BYTES / self.tile_bytes / groups_a_block).max(1);
        Blocking { tiles_a_call, tiles_a_chunk: enough.min(fair).max(tiles_a_call), groups_a_block }
    }

    /// As many as leave a segment of their activations in half of the second-level cache, unless threads would be idle.
    fn groups_a_block(&self, caches: &Caches, wanted: usize) -> usize {
        let segment_bytes = self.group_bytes.div_ceil(self.segments);
        let cached = (caches.l2 / 2 / segment_bytes).clamp(1, self.groups);
        let busy = self.groups.div_ceil(wanted.div_ceil(self.tiles));
        cached.min(busy.max(self.least_groups))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CACHES: Caches = Caches { l1d: 32 << 10, l2: 1 << 20, l3: 0, l3_sharers: 1 };

    fn work(tiles: usize, groups: usize, threads: usize) -> Work {
        let (tile_bytes, group_bytes) = (64 << 10, 24 << 10);
        Work {
            tiles,
            tile_bytes,
            groups,
            group_bytes,
            segments: 8,
            sums_bytes: 768,
            packed_for_call: false,
            least_groups: 8,
            threads,
        }
    }

    fn chunks(tiles: usize, groups: usize, threads: usize) -> usize {
        let blocking = work(tiles, groups, threads).blocking(&CACHES);
        tiles.div_ceil(blocking.tiles_a_chunk) * groups.div_ceil(blocking.groups_a_block)
    }

    #[test]
    fn every_thread_finds_work() {
        for threads in [1, 2, 8, 64] {
            assert!(chunks(512, 1, threads) >= 2 * threads, "a tall matrix, one column, {threads} threads");
            assert!(chunks(16, 86, threads) >= 2 * threads, "a low matrix, many columns, {threads} threads");
        }
    }

    #[test]
    fn a_segment_of_activations_stays_in_the_second_level_cache() {
        let blocking = work(512, 1000, 1).blocking(&CACHES);
        assert!(blocking.groups_a_block * (24 << 10) / 8 <= CACHES.l2 / 2);
        assert!(blocking.tiles_a_call * blocking.groups_a_block * 768 <= CACHES.l2 / 4);
        let small = Caches { l2: 256 << 10, ..CACHES };
        assert!(work(512, 1000, 1).blocking(&small).groups_a_block < blocking.groups_a_block);
    }

    #[test]
    fn activations_in_the_first_level_cache_need_not_be_shared() {
        let alone = Work { group_bytes: 8 << 10, ..work(512, 1, 1) };
        assert_eq!(alone.blocking(&CACHES).tiles_a_call, 1);
        assert!(work(512, 1, 1).blocking(&CACHES).tiles_a_call > 1);
    }
}
