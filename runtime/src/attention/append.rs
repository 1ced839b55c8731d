//! From projections to attention in one pass: norms, rotation, and the cache.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use quantloom_kernels::abi::rows::Rows;

use super::cache::KvCache;
use super::page::Side;
use super::rope::{Angles, Pairs};
use super::{Heads, each, expect, positions};
use crate::buffer::Buffer;
use crate::error::{Error, Result};
use crate::machine::StandardFloats;
use crate::pool::Pool;
use crate::registry;

/// What becomes of queries and keys between projections and attention; `Preparation::default()` leaves them as they are.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Preparation<'a> {
    /// The weights of the RMSNorm of each query head, and what is added to mean squares.
    pub query_norm: Option<(&'a [f32], f32)>,
    /// The same of keys.
    pub key_norm: Option<(&'a [f32], f32)>,
    /// The angles that both are then rotated by.
    pub rotation: Option<&'a Angles>,
}

impl<'a> Preparation<'a> {
    /// Norms query heads.
    #[must_use]
    pub fn query_norm(self, weights: &'a [f32], eps: f32) -> Self {
        Self { query_norm: Some((weights, eps)), ..self }
    }

    /// Norms key heads.
    #[must_use]
    pub fn key_norm(self, weights: &'a [f32], eps: f32) -> Self {
        Self { key_norm: Some((weights, eps)), ..self }
    }

    /// Rotates queries and keys.
    #[must_use]
    pub fn rotation(self, angles: &'a Angles) -> Self {
        Self { rotation: Some(angles), ..self }
    }

    /// Whether heads of that size at some positions can be prepared so.
    fn check(&self, size: usize, positions: &Range<usize>) -> Result<()> {
        for (weights, _) in [self.query_norm, self.key_norm].into_iter().flatten() {
            expect("the weights of a norm of heads", weights.len(), size)?;
        }
        let Some(angles) = self.rotation.filter(|_| !positions.is_empty()) else { return Ok(()) };
        let has = angles.positions();
        if has.start > positions.start || has.end < positions.end {
            let detail =
                format!("the table has the angles of positions {has:?}, and {positions:?} are appended; make one of these");
            return Err(Error::Attention { detail });
        }
        if angles.dims() > size {
            let detail = format!("angles for {} values of a head, and heads have {size}; make a table of fewer", angles.dims());
            return Err(Error::Attention { detail });
        }
        Ok(())
    }
}

impl KvCache {
    /// Appends positions: `queries` `[positions][query heads][size]` are normed and rotated in place, `keys` and `values`
    /// `[positions][key heads][size]` on their way into the cache. It does not matter how positions are divided among calls.
    ///
    /// # Errors
    /// [`Error::Shape`] if these are not the values of whole positions, and of as many; [`Error::Attention`] if the preparation does not
    /// fit; [`Error::BadValue`] if a key or value is not finite, or not when it is stored; [`Error::OutOfMemory`]. Then nothing is
    /// changed.
    pub fn append(
        &mut self,
        queries: &mut [f32],
        keys: &[f32],
        values: &[f32],
        preparation: &Preparation<'_>,
        pool: &Pool,
    ) -> Result<()> {
        let _floats = StandardFloats::set();
        let heads = self.heads();
        let count = positions("the keys", keys, heads.key_values())?;
        expect("the values", values.len(), keys.len())?;
        expect("the queries", queries.len(), count * heads.query_values())?;
        let added = self.len()..self.len() + count;
        preparation.check(heads.size, &added)?;
        if count == 0 {
            return Ok(());
        }
        let pass = Pass { rows: registry::best_isa().rows(), preparation, heads, first: added.start, pool };
        let of_keys = pass.store(&self.keys, "the keys", keys, |given, head, position| {
            pass.prepare(given, head, preparation.key_norm, position);
        })?;
        let of_values = pass.store(&self.values, "the values", values, |given, head, _| head.copy_from_slice(given))?;
        self.reserve(added.end)?;
        let row_bytes = (self.keys.row_bytes(), self.values.row_bytes());
        let stored = of_keys.bytes().chunks_exact(count * row_bytes.0).zip(of_values.bytes().chunks_exact(count * row_bytes.1));
        let (sides, of_heads) = ((&self.keys, &self.values), self.of_heads.iter_mut());
        each(of_heads.zip(stored), pool.threads(), pool, |_, (head, rows)| head.write(sides.0, sides.1, added.clone(), rows));
        if preparation.query_norm.is_some() || preparation.rotation.is_some() {
            each(queries.chunks_exact_mut(heads.query_values()), pool.threads(), pool, |index, position| {
                let given = position.to_vec();
                for (given, head) in given.chunks_exact(heads.size).zip(position.chunks_exact_mut(heads.size)) {
                    pass.prepare(given, head, preparation.query_norm, added.start + index);
                }
            });
        }
        self.set_len(added.end);
        Ok(())
    }
}

/// What is the same for all heads of a call.
struct Pass<'a> {
    rows: &'static Rows,
    preparation: &'a Preparation<'a>,
    heads: Heads,
    /// The first position.
    first: usize,
    pool: &'a Pool,
}

impl Pass<'_> {
    /// A head as it is given, normed and rotated.
    fn prepare(&self, given: &[f32], head: &mut [f32], norm: Option<(&[f32], f32)>, position: usize) {
        // SAFETY: the rows are those of an available instruction set.
        unsafe {
            match norm {
                Some((weights, eps)) => (self.rows.rms_norm)(given, weights, eps, head),
                None => head.copy_from_slice(given),
            }
            if let Some(angles) = self.preparation.rotation {
                let (cos, sin) = angles.of(position);
                (self.rows.rotate)(head, cos, sin, angles.pairs == Pairs::Neighbours);
            }
        }
    }

    /// The stored rows of `values` `[positions][key heads][size]`, as `[key heads][positions]`; `prepare` makes what is stored of a head
    /// from what is given of it, and its position.
    fn store(
        &self,
        side: &Side,
        what: &str,
        values: &[f32],
        prepare: impl Fn(&[f32], &mut [f32], usize) + Sync,
    ) -> Result<Buffer> {
        let Heads { key, size, .. } = self.heads;
        let (count, row_bytes) = (values.len() / self.heads.key_values(), side.row_bytes());
        let bytes = key * count * row_bytes;
        let mut stored = Buffer::zeroed(bytes).map_err(|_| Error::OutOfMemory { bytes })?;
        // The first of the heads, in the order of the values, that is not finite.
        let wrong = AtomicUsize::new(usize::MAX);
        each(stored.bytes_mut().chunks_exact_mut(count * row_bytes), self.pool.threads(), self.pool, |head, bytes| {
            let mut row = vec![0.0; side.size];
            for (index, bytes) in bytes.chunks_exact_mut(row_bytes).enumerate() {
                let place = index * key + head;
                prepare(&values[place * size..][..size], &mut row[..size], self.first + index);
                if !side.encoding.encode(self.rows, &row, bytes) {
                    wrong.fetch_min(place, Ordering::Relaxed);
                }
            }
        });
        let place = wrong.into_inner();
        let Some(head) = values.chunks_exact(size).nth(place) else { return Ok(stored) };
        let wanted = "finite, as it is stored, too";
        Err(Error::BadValue { what: what.to_owned(), index: place * size + largest(head), wanted })
    }
}

/// The place of the largest magnitude, or of what is not a number.
fn largest(values: &[f32]) -> usize {
    let magnitude = |value: f32| value.to_bits() & !(1 << 31);
    (0..values.len()).max_by_key(|&index| magnitude(values[index])).unwrap_or_default()
}
