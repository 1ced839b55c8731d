//! How much work is done at a time: what stays in which cache, and what keeps every thread busy.

use std::sync::LazyLock;

use quantloom_kernels::abi::{Kernel, SEGMENT, Schedule};

use super::Launch;
use super::activations::Groups;
use crate::machine::Caches;
use crate::weights::{Layout, Weights};

/// Weights that one chunk of work reads at least, so that taking a chunk costs nothing beside it.
const CHUNK_BYTES: usize = 128 << 10;
/// Chunks a thread at least, where there is so much work.
const CHUNKS_A_THREAD: usize = 4;
/// Each chunk is so small a part of what is left, for each thread: long streams at first, then short ones, which even out what the
/// system took from a thread. Chunks of one size that do so take 5% longer at batch 1.
const SHARE: usize = 2;
/// Tiles of a call whose activations do not stay in the first-level cache: they share each segment of them.
const SHARING_TILES: usize = 8;
/// Touches of activations for a use, at most: more cost more than they save.
const MOST_TOUCHES: usize = 2;
/// Column groups that use an unpacked segment at least, where columns are split to keep threads busy.
const LEAST_GROUPS: usize = 8;

/// The size of a multiplication, and who shares the work: what is asked of predictions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Problem {
    /// Rows of the weights.
    pub n: usize,
    /// Weights of a row.
    pub k: usize,
    /// Columns: rows of activations.
    pub batch: usize,
    /// Threads that share the work; 0 counts as 1.
    pub threads: usize,
}

/// The parts that a multiplication is done in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocking {
    /// Row tiles that a call reads segment by segment in turn.
    pub tiles_a_turn: usize,
    /// Row tiles of one call of the kernel.
    pub tiles_a_call: usize,
    /// Row tiles of the smallest chunk of work.
    pub least_tiles: usize,
    /// Column groups of a chunk of work.
    pub groups_a_block: usize,
    /// How often activations are touched while a tile is read.
    pub touches: usize,
}

impl Blocking {
    /// Of a multiplication by `threads` threads, and the row tiles at which its chunks end.
    pub fn new(weights: &Weights, launch: Launch, groups: &Groups<'_>, threads: usize) -> (Self, Vec<usize>) {
        static CACHES: LazyLock<Caches> = LazyLock::new(Caches::detect);
        let work = Work::new(launch.kernel, weights.n(), weights.k(), groups.count(), threads);
        let packed_for_call = weights.layout() == Layout::Stored;
        let work = Work { packed_for_call, tiles_a_turn: launch.tiles, keep: launch.keep, ..work };
        let blocking = work.blocking(&CACHES);
        let ends = work.ends(blocking.least_tiles);
        (blocking, ends)
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
    /// Tiles that are read in turn, if not 0: otherwise as many as suit the caches.
    tiles_a_turn: usize,
    /// Whether activations are to stay in the first-level cache.
    keep: bool,
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
            tiles_a_turn: 0,
            keep: false,
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
        let kept = (caches.l2 / 4 / (groups_a_block * self.sums_bytes)).max(1);
        let suitable = if resident || self.packed_for_call { 1 } else { SHARING_TILES.min(kept) };
        let tiles_a_turn = if self.tiles_a_turn == 0 { suitable } else { self.tiles_a_turn }.min(fair);
        let enough = (CHUNK_BYTES / self.tile_bytes / groups_a_block).max(1);
        let least_tiles = enough.min(fair).max(tiles_a_turn);
        let tiles_a_call = if self.packed_for_call { 1 } else { kept }.max(tiles_a_turn);
        let touches = if self.keep && tiles_a_turn == 1 { self.touches(groups_a_block, caches) } else { 1 };
        Blocking { tiles_a_turn, tiles_a_call, least_tiles, groups_a_block, touches }
    }

    /// The row tiles at which chunks end, the first longer than the last.
    pub fn ends(&self, least: usize) -> Vec<usize> {
        let mut ends = Vec::new();
        let mut taken = 0;
        while taken < self.tiles {
            let share = (self.tiles - taken) / (SHARE * self.threads);
            taken = self.tiles.min(taken + share.next_multiple_of(least).max(least));
            ends.push(taken);
        }
        ends
    }

    /// As many as keep activations in the first-level cache, if not too many.
    fn touches(&self, groups: usize, caches: &Caches) -> usize {
        let free = (caches.l1d - caches.l1d / 8).saturating_sub(groups.saturating_mul(self.group_bytes));
        let touches = self.tile_bytes.div_ceil(free.max(1)).max(1);
        if groups == 1 && touches <= MOST_TOUCHES { touches } else { 1 }
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
            tiles_a_turn: 0,
            keep: false,
            least_groups: 8,
            threads,
        }
    }

    fn chunks(tiles: usize, groups: usize, threads: usize) -> usize {
        let work = work(tiles, groups, threads);
        let blocking = work.blocking(&CACHES);
        work.ends(blocking.least_tiles).len() * groups.div_ceil(blocking.groups_a_block)
    }

    #[test]
    fn chunks_cover_all_tiles_and_become_shorter() {
        for (tiles, threads, least) in [(1, 1, 1), (7, 2, 1), (256, 2, 4), (255, 64, 8), (100, 3, 200)] {
            let ends = work(tiles, 1, threads).ends(least);
            let lengths = ends.iter().scan(0, |start, &end| Some(end - std::mem::replace(start, end))).collect::<Vec<_>>();
            assert_eq!(ends.last(), Some(&tiles));
            assert!(lengths.is_sorted_by(|one, next| one >= next && *next > 0), "{lengths:?}");
            let whole = &lengths[..lengths.len() - 1];
            assert!(whole.iter().all(|length| length.is_multiple_of(least)), "{lengths:?} in steps of {least}");
        }
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
        assert_eq!(alone.blocking(&CACHES).tiles_a_turn, 1);
        assert!(work(512, 1, 1).blocking(&CACHES).tiles_a_turn > 1);
    }
}
