//! Caches as bytes, which another process or another machine may go on from: what is stored is a function of what was appended, and what is
//! read gives the same bits as what was written.

use std::io::{self, Write};

use quantloom_kernels::abi::PANEL_ROWS;

use super::SPAN;
use super::cache::KvCache;
use super::encoding::Encoding;
use super::page::Page;
use crate::error::{Error, Result};

impl KvCache {
    /// Bytes that so many positions are stored in: those of full pages, and of the last page as much as is written to.
    /// `None`: more than there can be.
    #[must_use]
    pub fn stored_bytes(&self, positions: usize) -> Option<usize> {
        let page = self.keys.page_bytes() + self.values.page_bytes();
        let rest = self.parts(positions % SPAN);
        let of_head = page.checked_mul(positions / SPAN)?.checked_add(rest.0 + rest.1 + self.unfinished(positions))?;
        of_head.checked_mul(self.of_heads.len())
    }

    /// Writes all positions, head by head.
    ///
    /// # Errors
    /// As `out`.
    pub fn write_to(&self, out: &mut impl Write) -> io::Result<()> {
        for head in &self.of_heads {
            for (place, page) in head.pages.iter().enumerate().take(self.len.div_ceil(SPAN)) {
                let used = self.parts((self.len - place * SPAN).min(SPAN));
                out.write_all(&page.keys.bytes()[..used.0])?;
                for panel in page.values.bytes().chunks_exact(self.values.panel_bytes) {
                    out.write_all(&panel[..used.1 / self.values.panels])?;
                }
            }
            let unfinished = self.unfinished(self.len);
            out.write_all(&head.recent[head.recent.len() - unfinished..])?;
        }
        Ok(())
    }

    /// Reads so many positions that [`KvCache::write_to`] wrote, of a cache of the same heads and types, in place of those that it has.
    ///
    /// # Errors
    /// [`Error::Attention`] if they are not stored in so many bytes; [`Error::OutOfMemory`]. Then the cache has no positions.
    pub fn read(&mut self, positions: usize, bytes: &[u8]) -> Result<()> {
        self.clear();
        if self.stored_bytes(positions) != Some(bytes.len()) {
            let detail = format!("{positions} positions are not stored in {} bytes; store them again", bytes.len());
            return Err(Error::Attention { detail });
        }
        self.reserve(positions)?;
        let unfinished = self.unfinished(positions);
        let mut rest = bytes;
        let mut take = |count: usize| {
            let (taken, after) = rest.split_at(count);
            rest = after;
            taken
        };
        for place in 0..self.of_heads.len() {
            for page in 0..positions.div_ceil(SPAN) {
                let used = self.parts((positions - page * SPAN).min(SPAN));
                let Page { keys, values } = self.of_heads[place].page(page);
                keys.bytes_mut()[..used.0].copy_from_slice(take(used.0));
                for panel in values.bytes_mut().chunks_exact_mut(self.values.panel_bytes) {
                    let used = used.1 / self.values.panels;
                    panel[..used].copy_from_slice(take(used));
                }
            }
            self.of_heads[place].recent.extend_from_slice(take(unfinished));
        }
        self.set_len(positions);
        Ok(())
    }

    /// The bytes of the first so many positions of a page: of its keys, which are its first ones, and of its values, of each panel as many.
    fn parts(&self, positions: usize) -> (usize, usize) {
        let lines = positions * self.values.line_bytes();
        (positions.div_ceil(PANEL_ROWS) * self.keys.panel_bytes, lines * self.values.panels)
    }

    /// Bytes of the stored rows of keys that are packed again with those that follow.
    fn unfinished(&self, positions: usize) -> usize {
        let again = matches!(self.keys.encoding, Encoding::Blocks(_));
        if again { positions % PANEL_ROWS * self.keys.row_bytes() } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attention::{Heads, KvType, Preparation};
    use crate::pool::Pool;

    const HEADS: Heads = Heads { query: 2, key: 2, size: 40 };

    fn cache(keys: KvType) -> KvCache {
        let values = if keys == KvType::Q8 { KvType::F16 } else { keys };
        KvCache::new(HEADS, keys, values).unwrap()
    }

    /// Appends positions up to `end`, each with values of its own.
    fn fill(cache: &mut KvCache, end: usize) {
        let values = (cache.len() * 80..end * 80).map(|at| ((at * 37) % 101) as f32 / 7.0 - 6.0).collect::<Vec<_>>();
        let negated = values.iter().map(|value| -value).collect::<Vec<_>>();
        let mut queries = vec![0.0; values.len()];
        cache.append(&mut queries, &values, &negated, &Preparation::default(), Pool::global()).unwrap();
    }

    fn bytes(cache: &KvCache) -> Vec<u8> {
        let mut bytes = Vec::new();
        cache.write_to(&mut bytes).unwrap();
        assert_eq!(cache.stored_bytes(cache.len()), Some(bytes.len()));
        bytes
    }

    /// All bytes of pages, those that nothing was written to included.
    fn pages(cache: &KvCache) -> Vec<u8> {
        let pages = cache.of_heads.iter().flat_map(|head| &head.pages);
        pages.flat_map(|page| [page.keys.bytes(), page.values.bytes()].concat()).collect()
    }

    #[test]
    fn what_was_stored_goes_on_as_if_it_had_never_been() {
        for keys in KvType::ALL {
            for positions in [0, 1, 15, 16, 37, 511, 512, 513, 1100] {
                let (mut cold, mut read) = (cache(keys), cache(keys));
                fill(&mut cold, positions);
                fill(&mut read, 3);
                read.read(positions, &bytes(&cold)).unwrap();
                assert_eq!(read.len(), positions);
                assert!(pages(&read) == pages(&cold), "{keys}, {positions}");
                // What guesses take back, and what follows.
                for cache in [&mut cold, &mut read] {
                    fill(cache, positions + 15);
                    cache.truncate(positions).unwrap();
                    fill(cache, positions + 21);
                }
                assert!(pages(&read) == pages(&cold) && bytes(&read) == bytes(&cold), "{keys}, {positions} and on");
            }
        }
    }

    #[test]
    fn how_positions_were_appended_is_not_seen() {
        for keys in KvType::ALL {
            let (mut one, mut other) = (cache(keys), cache(keys));
            fill(&mut one, 533);
            for end in [9, 10, 300, 550] {
                fill(&mut other, end);
            }
            for left in [540, 533] {
                other.truncate(left).unwrap();
            }
            assert!(bytes(&one) == bytes(&other), "{keys}");
        }
    }

    #[test]
    fn other_sizes_are_refused() {
        let mut read = cache(KvType::F16);
        let mut stored = cache(KvType::F16);
        fill(&mut stored, 20);
        let bytes = bytes(&stored);
        for (positions, bytes) in
            [(20, &bytes[1..]), (19, &bytes), (20, &[bytes.clone(), vec![0]].concat()), (usize::MAX, &bytes)]
        {
            let error = read.read(positions, bytes).unwrap_err();
            assert!(matches!(error, Error::Attention { .. }) && read.is_empty(), "{error}");
        }
    }

    #[test]
    fn clones_share_pages_until_one_writes() {
        for keys in KvType::ALL {
            let mut one = cache(keys);
            fill(&mut one, 700);
            assert_eq!(one.shared_bytes(), 0);
            let before = pages(&one);
            let mut other = one.clone();
            assert_eq!((one.shared_bytes(), other.shared_bytes()), (one.bytes(), one.bytes()));
            fill(&mut other, 720);
            assert!(pages(&one) == before && one.shared_bytes() == one.bytes() / 2, "{keys}");
            other.truncate(715).unwrap();
            let mut third = other.clone();
            third.truncate(704).unwrap();
            assert_eq!(other.shared_bytes(), other.bytes() / 2, "what is made zero is copied first");
            let mut cold = cache(keys);
            fill(&mut cold, 715);
            assert!(pages(&other) == pages(&cold), "{keys}");
        }
    }

    #[test]
    fn what_is_the_same_is_held_once() {
        for keys in KvType::ALL {
            let (mut one, mut other) = (cache(keys), cache(keys));
            fill(&mut one, 600);
            fill(&mut other, 530);
            let before = pages(&other);
            other.share(&one);
            assert_eq!((one.shared_bytes(), other.shared_bytes()), (one.bytes() / 2, other.bytes() / 2), "{keys}");
            assert!(pages(&other) == before, "{keys}");
            let mut of_other_heads = KvCache::new(Heads { size: 80, query: 1, key: 1 }, keys, other.types().1).unwrap();
            fill(&mut of_other_heads, 530);
            of_other_heads.share(&one);
            assert_eq!(of_other_heads.shared_bytes(), 0);
        }
    }
}
