//! Some queries of one key head against some spans.

use std::cell::RefCell;
use std::ops::Range;

use quantloom_kernels::abi::rows::{Rows, Stats};

use super::cache::KvCache;
use super::page::Page;
use super::product::Product;
use super::{Attention, SPAN};
use crate::buffer::Buffer;

/// What is the same for all parts of a call.
pub struct Call<'a> {
    pub cache: &'a KvCache,
    pub attention: &'a Attention<'a>,
    /// `[positions][query heads][size]`.
    pub queries: &'a [f32],
    /// The position of the first query.
    pub first: usize,
    pub scores: Product<'a>,
    pub totals: Product<'a>,
    pub rows: &'static Rows,
}

/// Some queries of one key head, and the spans that they are held against. Its columns are the query heads of the key head at each of
/// the positions.
#[derive(Clone, Debug)]
pub struct Part {
    pub head: usize,
    /// Counted from the first query.
    pub positions: Range<usize>,
    pub spans: Range<usize>,
}

/// Memory that a thread uses again and again.
#[derive(Default)]
struct Scratch {
    queries: Buffer,
    weights: Buffer,
    sums: Vec<f32>,
    columns: Vec<f32>,
    of_span: Vec<Stats>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl Call<'_> {
    /// The positions of a span that the query at a position sees, counted from the beginning of the span.
    fn visible(&self, position: usize, span: usize) -> Range<usize> {
        let (begin, end) = (span * SPAN, (span + 1) * SPAN);
        let seen = self.attention.sees(position);
        seen.start.clamp(begin, end) - begin..seen.end.clamp(begin, end) - begin
    }

    /// Computes a part: the totals of its columns, `[columns][size]`, and what they are relative to.
    pub fn part(&self, part: &Part, totals: &mut [f32], stats: &mut [Stats]) {
        SCRATCH.with_borrow_mut(|scratch| {
            self.queries(part, scratch);
            stats.fill(Stats::NONE);
            for span in part.spans.clone() {
                let page = &self.cache.of_heads[part.head].pages[span];
                self.span(part, span, page, scratch, totals, stats);
            }
        });
    }

    /// Brings the queries of a part into the layout of the kernel.
    fn queries(&self, part: &Part, scratch: &mut Scratch) {
        let heads = self.cache.heads();
        let (group, size, k) = (heads.group(), heads.size, self.cache.keys.size);
        let columns = part.positions.len() * group;
        self.scores.reserve(columns, k, &mut scratch.queries);
        let query = |column: usize| {
            let place = (part.positions.start + column / group) * heads.query + part.head * group + column % group;
            &self.queries[place * size..][..size]
        };
        let cols = self.scores.cols();
        for (index, first) in (0..columns).step_by(cols).enumerate() {
            scratch.columns.clear();
            for column in first..columns.min(first + cols) {
                scratch.columns.extend_from_slice(query(column));
                scratch.columns.resize((column - first + 1) * k, 0.0);
            }
            self.scores.fill(index, &scratch.columns, k, &mut scratch.queries);
        }
    }

    /// Holds the queries of a part against one span, and adds what comes of it.
    fn span(&self, part: &Part, span: usize, page: &Page, scratch: &mut Scratch, totals: &mut [f32], stats: &mut [Stats]) {
        let (group, size) = (self.cache.heads().group(), self.cache.heads().size);
        let columns = part.positions.len() * group;
        let visible = |column: usize| self.visible(self.first + part.positions.start + column / group, span);
        // Later queries see later positions.
        let seen = visible(0).start..visible(columns - 1).end;
        if seen.is_empty() {
            return;
        }
        let Scratch { queries, weights, sums, columns: rows, of_span } = scratch;
        let height = self.scores.rows();
        let tiles = seen.start / height..seen.end.div_ceil(height);
        self.scores.run(&page.keys, tiles.clone(), (columns, self.cache.keys.size), queries, sums);
        // What is beyond weighs nothing.
        let keys = self.totals.enough(tiles.end * height, SPAN);
        self.totals.reserve(columns, keys, weights);
        of_span.clear();
        let cols = self.totals.cols();
        // Of whole tiles; nothing of what is in it is read.
        let totals_height = self.totals.rows();
        rows.resize(rows.len().max(cols * keys).max(size.next_multiple_of(totals_height)), 0.0);
        let of_columns = &mut rows[..cols * keys];
        for (index, first) in (0..columns).step_by(cols).enumerate() {
            let of_group = first..columns.min(first + cols);
            for (column, row) in of_group.clone().zip(of_columns.chunks_exact_mut(keys)) {
                let places = row[tiles.start * height..tiles.end * height].chunks_exact_mut(height);
                for (place, scores) in places.zip(self.scores.column(sums, column, columns)) {
                    place.copy_from_slice(scores);
                }
                let Attention { scale, softcap, .. } = *self.attention;
                // SAFETY: the rows are those of an available instruction set.
                of_span.push(unsafe { (self.rows.softmax)(row, visible(column), scale, softcap) });
            }
            of_columns[of_group.len() * keys..].fill(0.0);
            self.totals.fill(index, of_columns, keys, weights);
        }
        self.totals.run(&page.values, 0..size.div_ceil(totals_height), (columns, keys), weights, sums);
        for (column, ((total, stats), of_span)) in totals.chunks_exact_mut(size).zip(stats).zip(&*of_span).enumerate() {
            for (row, of_tile) in rows.chunks_exact_mut(totals_height).zip(self.totals.column(sums, column, columns)) {
                row.copy_from_slice(of_tile);
            }
            // SAFETY: the rows are those of an available instruction set.
            unsafe { (self.rows.merge)(total, stats, &rows[..size], *of_span) };
        }
    }
}
