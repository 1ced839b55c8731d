//! Attention over cached keys and values, as `docs/numerics.md` defines it: the result of a query depends on that query and on the
//! positions that it sees, to the last bit, and not on the batch, on threads, nor on what was appended with what.
//!
//! ```
//! use quantloom::attention::{Attention, Heads, KvCache, KvType, Pairs, Preparation, Rope};
//! use quantloom::pool::Pool;
//!
//! # fn main() -> quantloom::Result<()> {
//! let heads = Heads { query: 8, key: 2, size: 64 };
//! let mut cache = KvCache::new(heads, KvType::F16, KvType::F16)?;
//! let rope = Rope::new(64, 10_000.0, Pairs::Halves)?;
//!
//! // Three positions at once: what the projections made, [positions][heads][size].
//! let mut queries = vec![0.25; 3 * 8 * 64];
//! let (keys, values) = (vec![0.5; 3 * 2 * 64], vec![1.5; 3 * 2 * 64]);
//! let angles = rope.angles(0..3); // one table for all layers
//! let preparation = Preparation::default().rotation(&angles);
//! cache.append(&mut queries, &keys, &values, &preparation, Pool::global())?;
//!
//! let mut out = vec![0.0; queries.len()];
//! Attention::new(64).attend(&cache, &queries, 0, &mut out, Pool::global())?;
//! assert!(out.iter().all(|value| (value - 1.5).abs() < 1e-6));
//! # Ok(())
//! # }
//! ```

mod append;
mod attend;
mod cache;
mod encoding;
mod page;
mod part;
mod product;
mod rope;
mod stored;

pub use append::Preparation;
pub use attend::Attention;
pub use cache::KvCache;
pub use encoding::KvType;
pub use rope::{Angles, Pairs, Rope, Yarn};

use std::sync::{Mutex, PoisonError};

use crate::error::{Error, Result};
use crate::pool::Pool;

/// Positions of a span, and of a page: a segment, so that values are summed in the order of keys.
pub const SPAN: usize = quantloom_kernels::abi::SEGMENT;

/// The sizes of heads are multiples of it.
const SIZE_MULTIPLE: usize = 8;

/// The heads of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heads {
    /// Heads of queries, and of the output: a multiple of those of keys.
    pub query: usize,
    /// Heads of keys, and of values: each serves as many neighbouring query heads.
    pub key: usize,
    /// Values of a head: a multiple of 8.
    pub size: usize,
}

impl Heads {
    /// Query heads of a key head.
    #[must_use]
    pub fn group(&self) -> usize {
        self.query / self.key
    }

    /// Values of the queries of a position.
    fn query_values(&self) -> usize {
        self.query * self.size
    }

    /// Values of the keys of a position.
    fn key_values(&self) -> usize {
        self.key * self.size
    }

    fn check(&self) -> Result<()> {
        let Self { query, key, size } = *self;
        let wrong = |detail: String| Err(Error::Attention { detail });
        if key == 0 || query == 0 || !query.is_multiple_of(key) {
            return wrong(format!("{query} query heads do not share {key} key heads evenly; check the model's head counts"));
        }
        if size == 0 || !size.is_multiple_of(SIZE_MULTIPLE) {
            return wrong(format!("heads of {size} values are no multiple of {SIZE_MULTIPLE}; fill them up with zeros"));
        }
        if query.checked_mul(size).and_then(|values| values.checked_mul(size_of::<f32>())).is_none() {
            return wrong(format!("{query} heads of {size} values are beyond all memory; check the model's head counts"));
        }
        Ok(())
    }
}

/// How many positions a buffer of values has.
fn positions(what: &'static str, values: &[f32], of_position: usize) -> Result<usize> {
    if values.len().is_multiple_of(of_position) {
        return Ok(values.len() / of_position);
    }
    Err(Error::Shape { what, unit: "values", found: values.len(), wanted: values.len().next_multiple_of(of_position) })
}

/// That a buffer has so many values.
fn expect(what: &'static str, found: usize, wanted: usize) -> Result<()> {
    if found == wanted { Ok(()) } else { Err(Error::Shape { what, unit: "values", found, wanted }) }
}

/// Calls `body` with each item and its number, on so many threads of a pool.
fn each<T: Send>(items: impl Iterator<Item = T>, threads: usize, pool: &Pool, body: impl Fn(usize, T) + Sync) {
    // Each item is taken once, by one thread: the locks are never contended.
    let items = items.map(|item| Mutex::new(Some(item))).collect::<Vec<_>>();
    pool.run_limited(threads, items.len(), |index| {
        if let Some(item) = items[index].lock().unwrap_or_else(PoisonError::into_inner).take() {
            body(index, item);
        }
    });
}
