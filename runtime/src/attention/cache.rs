//! Cached keys and values.

use std::sync::Arc;

use quantloom_kernels::abi::PANEL_ROWS;

use super::encoding::Encoding;
use super::page::{Head, Page, Side};
use super::product::Product;
use super::{Heads, KvType, SPAN};
use crate::error::{Error, Result};
use crate::registry::Isa;

/// The keys and values of a sequence in one layer, appended position by position. What a position holds depends on nothing but what
/// was appended at it. Clones share their pages, until one of them writes to a page.
#[derive(Clone, Debug)]
pub struct KvCache {
    heads: Heads,
    pub(super) keys: Side,
    pub(super) values: Side,
    pub(super) len: usize,
    pub(super) of_heads: Vec<Head>,
}

impl KvCache {
    /// An empty cache. It takes memory by pages of 512 positions.
    ///
    /// # Errors
    /// [`Error::Attention`] if there are no such heads, or values cannot be stored so: [`KvType::Q8`] is for keys.
    pub fn new(heads: Heads, keys: KvType, values: KvType) -> Result<Self> {
        heads.check()?;
        let (keys, values) = (Side::of_keys(keys, heads.size)?, Side::of_values(values, heads.size)?);
        let of_heads = (0..heads.key).map(|_| Head::default()).collect();
        Ok(Self { heads, keys, values, len: 0, of_heads })
    }

    /// The heads.
    #[must_use]
    pub fn heads(&self) -> Heads {
        self.heads
    }

    /// How keys and values are stored.
    #[must_use]
    pub fn types(&self) -> (KvType, KvType) {
        (self.keys.kv_type, self.values.kv_type)
    }

    /// That attention to it has kernels: those of an instruction set, or of the best that has any.
    ///
    /// # Errors
    /// [`Error::NoKernel`] if there are none that read its keys or its values, or the processor lacks the instruction set.
    pub fn expect_kernels(&self, isa: Option<&'static Isa>) -> Result<()> {
        [&self.keys, &self.values].into_iter().try_for_each(|side| Product::new(side, 1, isa).map(drop))
    }

    /// Positions that were appended.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing was appended.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of all pages.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes_of(|_| true)
    }

    /// Bytes of those pages that others have a part in: clones, and those that [`KvCache::share`] was called with.
    #[must_use]
    pub fn shared_bytes(&self) -> usize {
        self.bytes_of(|page| Arc::strong_count(page) > 1)
    }

    fn bytes_of(&self, counted: impl Fn(&Arc<Page>) -> bool) -> usize {
        let pages = self.of_heads.iter().flat_map(|head| &head.pages).filter(|page| counted(page)).count();
        pages * (self.keys.page_bytes() + self.values.page_bytes())
    }

    /// Holds what is the same as in another cache once: each page whose bytes are those of the other's page at that place becomes that one.
    /// Neither cache notices: what is shared is copied before one of them writes to it.
    pub fn share(&mut self, other: &Self) {
        if self.heads != other.heads || self.types() != other.types() {
            return;
        }
        for (head, others) in self.of_heads.iter_mut().zip(&other.of_heads) {
            for (page, other) in head.pages.iter_mut().zip(&others.pages) {
                if page.keys.bytes() == other.keys.bytes() && page.values.bytes() == other.values.bytes() {
                    *page = Arc::clone(other);
                }
            }
        }
    }

    /// Forgets all positions.
    pub fn clear(&mut self) {
        self.of_heads.fill_with(Head::default);
        self.len = 0;
    }

    /// Takes positions back, so that `len` are left: what follows is as if they had never been appended. Does nothing if there are no more.
    ///
    /// # Errors
    /// As [`KvCache::prepare_truncate`]. Then nothing is changed.
    pub fn truncate(&mut self, len: usize) -> Result<()> {
        self.prepare_truncate(len)?;
        if len >= self.len {
            return Ok(());
        }
        for head in &mut self.of_heads {
            head.truncate(&self.keys, &self.values, len..self.len);
        }
        self.len = len;
        Ok(())
    }

    /// Makes sure that [`KvCache::truncate`] to that length does not fail, until something is appended or pages are shared, and changes
    /// nothing: with that, either all of several caches are truncated or none.
    ///
    /// # Errors
    /// [`Error::Attention`] if keys are in blocks, and more than 16 positions are to be taken back, one after the other or at once;
    /// [`Error::OutOfMemory`] if a page that others have a part in cannot be copied.
    pub fn prepare_truncate(&mut self, len: usize) -> Result<()> {
        let taken = self.len.saturating_sub(len);
        if taken == 0 {
            return Ok(());
        }
        if matches!(self.keys.encoding, Encoding::Blocks(_)) {
            let kept = self.of_heads.first().map_or(0, |head| head.recent.len() / self.keys.row_bytes());
            let again = len % PANEL_ROWS;
            if again > 0 && kept < taken + again {
                let detail = format!(
                    "{taken} positions cannot be taken back where keys are in blocks, only {PANEL_ROWS}; clear the cache"
                );
                return Err(Error::Attention { detail });
            }
        }
        if len.is_multiple_of(SPAN) { Ok(()) } else { self.own(len / SPAN) }
    }

    /// Makes room for positions up to `len`, which nothing is written to yet.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`]. Then nothing is changed.
    pub(super) fn reserve(&mut self, len: usize) -> Result<()> {
        let (keys, values) = (self.keys.page_bytes(), self.values.page_bytes());
        self.reserve_by(len, || Page::zeroed(keys, values))
    }

    /// The same, with new pages that come from elsewhere.
    fn reserve_by(&mut self, len: usize, mut new: impl FnMut() -> Result<Page>) -> Result<()> {
        // All pages are there before the cache gets any.
        let own = self.copies(self.len / SPAN)?;
        let more =
            |head: &Head| (head.pages.len()..len.div_ceil(SPAN)).map(|_| new().map(Arc::new)).collect::<Result<Vec<_>>>();
        let more = self.of_heads.iter().map(more).collect::<Result<Vec<_>>>()?;
        self.take(self.len / SPAN, own);
        self.of_heads.iter_mut().zip(more).for_each(|(head, more)| head.pages.extend(more));
        Ok(())
    }

    /// Makes the page at a place, if there is one, that of nobody else: it is copied where others have a part in it.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`]. Then nothing is changed.
    fn own(&mut self, place: usize) -> Result<()> {
        let copies = self.copies(place)?;
        self.take(place, copies);
        Ok(())
    }

    /// Of each head, a copy of the page at a place, where there is one that others have a part in.
    fn copies(&self, place: usize) -> Result<Vec<Option<Arc<Page>>>> {
        let shared = |head: &Head| head.pages.get(place).filter(|page| Arc::strong_count(page) > 1).cloned();
        let copy = |head: &Head| shared(head).map(|page| page.duplicate().map(Arc::new)).transpose();
        self.of_heads.iter().map(copy).collect()
    }

    /// Takes copies of pages in their place.
    fn take(&mut self, place: usize, copies: Vec<Option<Arc<Page>>>) {
        for (head, copy) in self.of_heads.iter_mut().zip(copies) {
            if let Some(copy) = copy {
                head.pages[place] = copy;
            }
        }
    }

    /// Says that positions up to `len` were written.
    pub(super) fn set_len(&mut self, len: usize) {
        self.len = len;
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use super::*;
    use crate::registry;

    /// Stored rows of some positions of a head, and the side that they are of.
    fn stored(side: &Side, positions: Range<usize>) -> Vec<u8> {
        let mut row = vec![0_u32; side.row_bytes().div_ceil(4)];
        let mut rows = Vec::new();
        for position in positions {
            let row = &mut bytemuck::cast_slice_mut(&mut row)[..side.row_bytes()];
            let values = (0..side.size).map(|index| ((position * 31 + index * 7) % 53) as f32 - 20.0).collect::<Vec<_>>();
            assert!(side.encoding.encode(registry::best_isa().rows(), &values, row));
            rows.extend_from_slice(row);
        }
        rows
    }

    /// Appends positions to a cache of one head.
    fn append(cache: &mut KvCache, positions: Range<usize>) {
        cache.reserve(positions.end).unwrap();
        let rows = [&cache.keys, &cache.values].map(|side| stored(side, positions.clone()));
        cache.of_heads[0].write(&cache.keys, &cache.values, positions.clone(), (&rows[0], &rows[1]));
        cache.set_len(positions.end);
    }

    #[test]
    fn what_is_taken_back_was_never_there() {
        let heads = Heads { query: 1, key: 1, size: 64 };
        for kv_type in KvType::ALL {
            let values = if kv_type == KvType::Q8 { KvType::F16 } else { kv_type };
            let new = || KvCache::new(heads, kv_type, values).unwrap();
            let bytes = |cache: &KvCache| {
                let pages = cache.of_heads[0].pages.iter();
                pages.map(|page| [page.keys.bytes(), page.values.bytes()].concat()).collect::<Vec<_>>()
            };
            for (from, to) in
                [(37, 36), (37, 33), (37, 32), (37, 31), (37, 22), (48, 32), (519, 510), (513, 512), (520, 505), (5, 0)]
            {
                let (mut cache, mut wanted) = (new(), new());
                append(&mut cache, 0..from);
                append(&mut wanted, 0..to);
                cache.truncate(to).unwrap();
                assert!(bytes(&cache) == bytes(&wanted) && cache.len() == to, "{kv_type}, {from} to {to}");
                // And what follows is what would have followed.
                for cache in [&mut cache, &mut wanted] {
                    append(cache, to..to + 1);
                    append(cache, to + 1..to + 20);
                }
                assert!(bytes(&cache) == bytes(&wanted), "{kv_type}, {from} to {to} and on");
            }
            let mut cache = new();
            append(&mut cache, 0..100);
            assert_eq!(cache.truncate(33).is_err(), kv_type == KvType::Q8);
            assert_eq!(cache.len(), if kv_type == KvType::Q8 { 100 } else { 33 });
            cache.truncate(1000).unwrap();
        }
    }

    /// Memory is short at one page or the other: a call that fails takes none of them.
    #[test]
    fn a_cache_without_memory_stays_as_it_was() {
        let mut cache = KvCache::new(Heads { query: 3, key: 3, size: 64 }, KvType::F16, KvType::F16).unwrap();
        let bytes = (cache.keys.page_bytes(), cache.values.page_bytes());
        cache.reserve(1).unwrap();
        cache.set_len(1);
        let clone = cache.clone();
        let held = (cache.bytes(), cache.shared_bytes());
        for most in 0..6 {
            let mut left = most;
            let new = || {
                left = usize::checked_sub(left, 1).ok_or(Error::OutOfMemory { bytes: 1 })?;
                Page::zeroed(bytes.0, bytes.1)
            };
            assert!(cache.reserve_by(3 * SPAN, new).is_err(), "{most}");
            assert_eq!((cache.bytes(), cache.shared_bytes()), held, "{most}");
        }
        cache.reserve(3 * SPAN).unwrap();
        assert_eq!((cache.bytes(), cache.shared_bytes()), (3 * held.0, 0));
        assert_eq!((clone.bytes(), clone.shared_bytes()), (held.0, 0));
    }

    #[test]
    fn what_cannot_be_cached_is_refused() {
        let heads = Heads { query: 8, key: 2, size: 64 };
        assert!(KvCache::new(heads, KvType::Q8, KvType::F16).is_ok());
        for (heads, values) in [
            (Heads { query: 7, ..heads }, KvType::F16),
            (Heads { key: 0, ..heads }, KvType::F16),
            (Heads { query: 0, ..heads }, KvType::F16),
            (Heads { size: 60, ..heads }, KvType::F16),
            (Heads { size: 0, ..heads }, KvType::F16),
            (Heads { size: usize::MAX / 8 * 8, ..heads }, KvType::F16),
            (heads, KvType::Q8),
        ] {
            let error = KvCache::new(heads, KvType::F16, values).unwrap_err();
            assert!(matches!(error, Error::Attention { .. }), "{error}");
        }
    }
}
