//! A call: which parts it has, who computes them, and how they come together.

use std::ops::Range;
use std::sync::LazyLock;

use quantloom_kernels::abi::rows::Stats;

use super::cache::KvCache;
use super::part::{Call, Part};
use super::product::Product;
use super::{SPAN, each, expect, positions};
use crate::error::{Error, Result};
use crate::machine::{Caches, StandardFloats};
use crate::pool::Pool;
use crate::registry::{self, Isa, Numerics};

/// Parts a thread at least, where there is so much work.
const PARTS_A_THREAD: usize = 4;

/// What attention computes.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Attention<'a> {
    /// What products of queries and keys are multiplied by.
    pub scale: f32,
    /// Scores s become `cap * tanh(s / cap)`.
    pub softcap: Option<f32>,
    /// Positions that a query sees: its own, and those just before it. All, if `None`.
    pub window: Option<usize>,
    /// A score for each query head whose key has no value.
    pub sinks: Option<&'a [f32]>,
    /// The instruction set; `None`: the best that this processor has.
    pub isa: Option<&'static Isa>,
    /// Threads to use at most; 0: all of the pool.
    pub threads: usize,
}

impl<'a> Attention<'a> {
    /// Of heads of `size` values, with the scale `1 / sqrt(size)`: every query sees all positions up to its own.
    #[must_use]
    pub fn new(size: usize) -> Self {
        let scale = 1.0 / (size as f32).sqrt();
        Self { scale, softcap: None, window: None, sinks: None, isa: None, threads: 0 }
    }

    /// With another scale.
    #[must_use]
    pub const fn scale(self, scale: f32) -> Self {
        Self { scale, ..self }
    }

    /// With a softcap.
    #[must_use]
    pub fn softcap(self, cap: impl Into<Option<f32>>) -> Self {
        Self { softcap: cap.into(), ..self }
    }

    /// With a window of so many positions.
    #[must_use]
    pub fn window(self, window: impl Into<Option<usize>>) -> Self {
        Self { window: window.into(), ..self }
    }

    /// With a sink for each query head.
    #[must_use]
    pub fn sinks(self, sinks: impl Into<Option<&'a [f32]>>) -> Self {
        Self { sinks: sinks.into(), ..self }
    }

    /// On an instruction set.
    #[must_use]
    pub fn isa(self, isa: impl Into<Option<&'static Isa>>) -> Self {
        Self { isa: isa.into(), ..self }
    }

    /// On so many threads at most; on all of the pool with 0.
    #[must_use]
    pub const fn threads(self, threads: usize) -> Self {
        Self { threads, ..self }
    }

    /// The positions that the query at a position sees.
    pub(super) fn sees(&self, position: usize) -> Range<usize> {
        let end = position + 1;
        self.window.map_or(0, |window| end.saturating_sub(window))..end
    }

    /// Attention of queries at neighbouring positions, from `first` on, to the positions of a cache: `queries` and `out` are `[positions][query
    /// heads][size]`. Kernels are those that the cards of processor and kernels begin with. The result of each query depends on that query and on the positions that it sees alone, to the last bit.
    ///
    /// # Errors
    /// [`Error::Shape`] if these are not the values of whole positions, and of as many, or the cache has not the position of each query yet;
    /// [`Error::Attention`] if scale, softcap or window have no meaning; [`Error::NotFinite`] if a query cannot be quantised, where keys are
    /// stored in blocks; [`Error::NoKernel`] if the processor lacks the instruction set.
    pub fn attend(&self, cache: &KvCache, queries: &[f32], first: usize, out: &mut [f32], pool: &Pool) -> Result<()> {
        let _floats = StandardFloats::set();
        let heads = cache.heads();
        let count = positions("the queries", queries, heads.query_values())?;
        expect("the output", out.len(), queries.len())?;
        self.check(cache, first, count)?;
        let isa = self.isa.unwrap_or_else(registry::best_isa);
        let threads = if self.threads == 0 { pool.threads() } else { self.threads.min(pool.threads()) };
        let plan = Plan::new(self, cache, first, count, threads);
        let columns = plan.positions * heads.group();
        let scores = Product::new(&cache.keys, columns, self.isa)?;
        let totals = Product::new(&cache.values, columns, self.isa)?;
        if scores.numerics() == Numerics::Int8
            && let Some(index) = queries.iter().position(|query| !query.is_finite())
        {
            return Err(Error::NotFinite { index });
        }
        let call = Call { cache, attention: self, queries, first, scores, totals, rows: isa.rows() };
        let stride = columns * heads.size;
        let (mut values, mut stats) = (vec![0.0; plan.parts.len() * stride], vec![Stats::NONE; plan.parts.len() * columns]);
        let places = values.chunks_mut(stride.max(1)).zip(stats.chunks_mut(columns.max(1)));
        each(plan.parts.iter().zip(places), threads, pool, |_, (part, (values, stats))| {
            let columns = part.positions.len() * heads.group();
            call.part(part, &mut values[..columns * heads.size], &mut stats[..columns]);
        });
        each(out.chunks_exact_mut(heads.query_values()), threads, pool, |position, out| {
            let (tile, row) = (position / plan.positions, position % plan.positions);
            let mut total = vec![0.0; heads.size];
            for (head, out) in out.chunks_exact_mut(heads.size).enumerate() {
                let column = row * heads.group() + head % heads.group();
                let mut of_head = Stats::NONE;
                for part in plan.of_columns(head / heads.group(), tile) {
                    let span = &values[part * stride..][column * heads.size..][..heads.size];
                    // SAFETY: the rows are those of an available instruction set.
                    unsafe { (call.rows.merge)(&mut total, &mut of_head, span, stats[part * columns + column]) };
                }
                let sink = self.sinks.map(|sinks| Stats { max: sinks[head], sum: 1.0 });
                // SAFETY: as above.
                unsafe {
                    if let Some(sink) = sink {
                        (call.rows.merge)(&mut total, &mut of_head, &[], sink);
                    }
                    (call.rows.finish)(&total, of_head, out);
                }
            }
        });
        Ok(())
    }

    fn check(&self, cache: &KvCache, first: usize, count: usize) -> Result<()> {
        let wrong = |detail: String| Err(Error::Attention { detail });
        let last = first.saturating_add(count);
        if count > 0 && last > cache.len() {
            return Err(Error::Shape { what: "the cache", unit: "positions", found: cache.len(), wanted: last });
        }
        if !self.scale.is_finite() {
            return wrong(format!("a scale of {}; it is finite, such as 1 / sqrt(size)", self.scale));
        }
        if let Some(cap) = self.softcap.filter(|cap| !(cap.is_finite() && *cap > 0.0)) {
            return wrong(format!("a softcap of {cap}; it is positive and finite, or there is none"));
        }
        if self.window == Some(0) {
            return wrong("a window of 0 positions; a query sees its own at least".to_owned());
        }
        if let Some(sinks) = self.sinks {
            expect("the sinks", sinks.len(), cache.heads().query)?;
            if let Some(index) = sinks.iter().position(|sink| !sink.is_finite()) {
                return Err(Error::BadValue { what: "the sinks".to_owned(), index, wanted: "finite" });
            }
        }
        match self.isa.filter(|isa| !isa.is_available()) {
            Some(isa) => Err(Error::MissingIsa { name: isa.name.to_owned(), best: registry::best_isa().name.to_owned() }),
            None => Ok(()),
        }
    }
}

/// The parts of a call, by key head and by tile of positions; the parts of one of those in the order of their spans.
struct Plan {
    /// Positions of a tile.
    positions: usize,
    tiles: usize,
    parts: Vec<Part>,
    /// Where the parts of each key head and tile begin, and the end.
    begins: Vec<usize>,
}

impl Plan {
    /// Tiles of as many positions as keep scores and weights of a span in the second-level cache; spans in one part each, if there are not
    /// parts enough for all threads otherwise.
    fn new(attention: &Attention<'_>, cache: &KvCache, first: usize, count: usize, threads: usize) -> Self {
        static CACHES: LazyLock<Caches> = LazyLock::new(Caches::detect);
        let heads = cache.heads();
        let column_bytes = 2 * SPAN * size_of::<f32>();
        let columns = CACHES.l2 / 2 / column_bytes;
        let positions = (columns / heads.group()).clamp(1, count.max(1));
        let tiles = count.div_ceil(positions);
        let divides = threads > 1 && heads.key * tiles < PARTS_A_THREAD * threads;
        let (mut parts, mut begins) = (Vec::new(), vec![0]);
        for head in 0..heads.key {
            for tile in 0..tiles {
                let of_tile = tile * positions..count.min((tile + 1) * positions);
                let (begin, end) = (attention.sees(first + of_tile.start).start, attention.sees(first + of_tile.end - 1).end);
                let spans = begin / SPAN..end.div_ceil(SPAN);
                let each = if divides { 1 } else { spans.len() };
                parts.extend(spans.clone().step_by(each).map(|span| Part {
                    head,
                    positions: of_tile.clone(),
                    spans: span..spans.end.min(span + each),
                }));
                begins.push(parts.len());
            }
        }
        Self { positions, tiles, parts, begins }
    }

    /// The parts of a key head and a tile.
    fn of_columns(&self, head: usize, tile: usize) -> Range<usize> {
        let index = head * self.tiles + tile;
        self.begins[index]..self.begins[index + 1]
    }
}
