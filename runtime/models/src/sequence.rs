//! Sequences: the positions that a model has seen, and what it keeps of them.

use std::sync::Arc;

use quantloom::attention::KvCache;

/// A sequence of tokens that a model continues. Its memory grows by pages of 512 positions.
#[derive(Debug)]
pub struct Sequence {
    /// The model that it is of.
    pub(crate) model: Arc<()>,
    /// One for each layer that attends.
    pub(crate) caches: Vec<KvCache>,
    pub(crate) len: usize,
    /// Whether a call failed when some layers had taken its tokens.
    pub(crate) spent: bool,
}

impl Sequence {
    /// Positions that it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes that it keeps.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.caches.iter().map(KvCache::bytes).sum()
    }

    /// Forgets all positions.
    pub fn clear(&mut self) {
        self.caches.iter_mut().for_each(KvCache::clear);
        (self.len, self.spent) = (0, false);
    }
}
