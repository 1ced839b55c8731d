//! How much of everything a multiplication does.

use std::ops::Range;

use quantloom_kernels::abi::{Operations, Schedule};
use serde::{Deserialize, Serialize};

use super::Problem;
use crate::machine::Caches;
use crate::matmul::blocking::Work;
use crate::registry::Kernel;

/// The terms that reading is made of, by their places in [`Terms::array`].
const MEMORY: Range<usize> = 0..1;
/// The terms that computing is made of.
const ARITHMETIC: Range<usize> = 2..7;
/// Most threads that make a difference.
const MOST_THREADS: usize = 1 << 16;
/// Part of the first-level cache that keeps a segment of a tile from one column group to the next: the rest is activations, sums, and
/// what was asked for ahead.
const KEPT: f64 = 0.25;

/// How much a multiplication does, on the thread that does most; or, as [`Coefficients`], nanoseconds for one of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// Bytes of weights that are asked for ahead of their use.
    pub streamed: f64,
    /// Bytes of weights that are waited for.
    pub exposed: f64,
    /// Vector instructions: see [`Operations::broadcasts`].
    pub broadcasts: f64,
    /// Vector instructions: see [`Operations::vectors`].
    pub vectors: f64,
    /// Vector instructions: see [`Operations::products`].
    pub products: f64,
    /// Vector instructions: see [`Operations::others`].
    pub others: f64,
    /// Bytes of weights that one more column group brings into the first-level cache again.
    pub refetched: f64,
    /// Activations that are brought into the layout of the kernel, columns that fill up a group included.
    pub prepared: f64,
    /// The call itself: 1.
    pub call: f64,
}

/// What one of each term takes, in nanoseconds.
pub type Coefficients = Terms;

impl Terms {
    /// Of a kernel and a problem. Nothing but the call, if there is nothing to multiply.
    #[must_use]
    pub fn of(kernel: &Kernel, problem: &Problem, caches: &Caches) -> Self {
        let nothing = Self { call: 1.0, ..Self::default() };
        let Problem { n, k, batch, .. } = *problem;
        if n == 0 || k == 0 || batch == 0 {
            return nothing;
        }
        let threads = problem.threads.clamp(1, MOST_THREADS);
        let work = Work::new(kernel, n, k, batch.div_ceil(kernel.cols), threads);
        let blocking = work.blocking(caches);
        let counts = &kernel.counts;
        let [groups, tiles, segments] = [work.groups, work.tiles, work.segments].map(|count| count as f64);
        let units = k.div_ceil(counts.weights) as f64;
        let blocks = work.groups.div_ceil(blocking.groups_a_block) as f64;
        // Chunks even out what threads do, down to a tile and a block of column groups.
        let share = |whole: f64| (whole / threads as f64).ceil();
        let passes = groups.min(blocking.groups_a_block as f64);
        let (read, chunks, pairs) = (share(tiles), share(tiles * blocks), share(tiles * groups).max(passes));

        let bytes = counts.bytes as f64 * units;
        let segment_bytes = bytes / segments;
        let ahead = match kernel.schedule {
            Schedule::Direct => counts.ahead as f64,
            Schedule::Panel => counts.ahead as f64 * passes,
        };
        let streamed = (ahead / segment_bytes).min(1.0);
        let beyond = match kernel.schedule {
            Schedule::Direct => (segment_bytes - KEPT * caches.l1d as f64).max(0.0),
            Schedule::Panel => 0.0,
        };
        let times = |of: fn(&Operations) -> usize| {
            let [unit, unpacking, sums] = [counts.unit, counts.unpacking, counts.sums].map(|operations| of(&operations) as f64);
            units * (pairs * unit + chunks * unpacking) + segments * pairs * sums
        };
        Self {
            streamed: read * bytes * streamed,
            exposed: read * bytes * (1.0 - streamed),
            broadcasts: times(|operations| operations.broadcasts),
            vectors: times(Operations::vectors),
            products: times(|operations| operations.products),
            others: times(Operations::others),
            refetched: (pairs - chunks).max(0.0) * segments * beyond,
            prepared: share(groups) * kernel.cols as f64 * units * counts.weights as f64,
            ..nothing
        }
    }

    /// The terms, in the order of the fields.
    #[must_use]
    pub const fn array(&self) -> [f64; Self::COUNT] {
        let Self { streamed, exposed, broadcasts, vectors, products, others, refetched, prepared, call } = *self;
        [streamed, exposed, broadcasts, vectors, products, others, refetched, prepared, call]
    }

    /// Terms in that order.
    #[must_use]
    pub const fn from_array(terms: [f64; Self::COUNT]) -> Self {
        let [streamed, exposed, broadcasts, vectors, products, others, refetched, prepared, call] = terms;
        Self { streamed, exposed, broadcasts, vectors, products, others, refetched, prepared, call }
    }

    /// How many there are.
    pub const COUNT: usize = 9;

    /// Of coefficients: whether each is 0 or above, and not all 0.
    pub(super) fn is_sound(&self) -> bool {
        let costs = self.array();
        costs.iter().all(|cost| cost.is_finite() && *cost >= 0.0) && costs.iter().any(|cost| *cost > 0.0)
    }

    /// Of coefficients: what so much takes, in nanoseconds.
    #[must_use]
    pub fn time(&self, terms: &Terms) -> f64 {
        self.slopes(terms).iter().zip(self.array()).zip(terms.array()).map(|((slope, cost), much)| slope * cost * much).sum()
    }

    /// Of coefficients: how much of each term's own cost the time grows by when that cost does. 1 for what nothing overlaps; for reading and
    /// computing, which overlap, the share that they have of the root of their squares.
    #[must_use]
    pub fn slopes(&self, terms: &Terms) -> [f64; Self::COUNT] {
        let (cost, much) = (self.array(), terms.array());
        let sum = |range: Range<usize>| range.map(|term| cost[term] * much[term]).sum::<f64>();
        let (memory, arithmetic) = (sum(MEMORY), sum(ARITHMETIC));
        let both = memory.hypot(arithmetic);
        let share = |part: f64| if both > 0.0 { part / both } else { 1.0 };
        let mut slopes = [1.0; Self::COUNT];
        slopes[MEMORY].fill(share(memory));
        slopes[ARITHMETIC].fill(share(arithmetic));
        slopes
    }
}
