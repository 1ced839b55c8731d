//! Sequences: the positions that a model has seen, and what it keeps of them.

use std::sync::Arc;

use quantloom::attention::KvCache;

use crate::error::Result;

/// A sequence of tokens that a model continues. Its memory grows by pages of 512 positions. Clones share pages until one of them writes to a
/// page: what follows in one changes nothing in another.
///
/// ```
/// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/models/rustbook.gguf");
/// use quantloom_models::{LanguageModel, Options, Part, Wanted};
///
/// let model = LanguageModel::open(path, &Options::default())?;
/// let mut prompt = model.sequence()?;
/// model.forward(&mut [Part::new(&mut prompt, &[724, 474, 13, 1135], Wanted::None)])?;
/// let mut other = prompt.clone();
/// assert_eq!(other.shared_bytes(), prompt.bytes());
///
/// let logits = model.forward(&mut [Part::new(&mut prompt, &[1794], Wanted::Last)])?;
/// model.forward(&mut [Part::new(&mut other, &[7, 8, 9], Wanted::None)])?;
/// other.truncate(4)?;
/// assert_eq!(model.forward(&mut [Part::new(&mut other, &[1794], Wanted::Last)])?, logits);
/// # Ok::<(), quantloom_models::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Sequence {
    /// The model that it is of.
    pub(crate) model: Arc<()>,
    /// One for each layer that attends.
    pub(crate) caches: Vec<KvCache>,
    pub(crate) tokens: Vec<u32>,
    /// Whether a call failed when some layers had taken its tokens.
    pub(crate) spent: bool,
}

impl Sequence {
    /// Positions that it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// The tokens of its positions.
    #[must_use]
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// Bytes that it keeps.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.caches.iter().map(KvCache::bytes).sum()
    }

    /// Bytes of those that others have a part in.
    #[must_use]
    pub fn shared_bytes(&self) -> usize {
        self.caches.iter().map(KvCache::shared_bytes).sum()
    }

    /// Holds pages once that are the same as those of another sequence: see [`KvCache::share`].
    pub fn share(&mut self, other: &Self) {
        self.caches.iter_mut().zip(&other.caches).for_each(|(cache, other)| cache.share(other));
    }

    /// Takes positions back, so that `len` are left.
    ///
    /// # Errors
    /// As [`KvCache::truncate`]: where keys are in blocks, no more than 16 can be taken back. Then nothing is changed.
    pub fn truncate(&mut self, len: usize) -> Result<()> {
        // Of all layers or of none: what one refuses, no other has done.
        self.caches.iter_mut().try_for_each(|cache| cache.prepare_truncate(len))?;
        self.caches.iter_mut().try_for_each(|cache| cache.truncate(len))?;
        self.tokens.truncate(len);
        Ok(())
    }

    /// Forgets all positions.
    pub fn clear(&mut self) {
        self.caches.iter_mut().for_each(KvCache::clear);
        self.tokens.clear();
        self.spent = false;
    }

    /// Whether another is of the same model, and both can be continued.
    pub(crate) fn is_of_model_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.model, &other.model) && !self.spent && !other.spent
    }
}

#[cfg(test)]
mod tests {
    use quantloom::attention::{Heads, KvType, Preparation};
    use quantloom::pool::Pool;

    use super::*;

    #[test]
    fn positions_are_taken_back_in_all_layers_or_in_none() {
        let heads = Heads { query: 1, key: 1, size: 64 };
        let rows = (0..40 * 64).map(|value| (value % 53) as f32 - 20.0).collect::<Vec<_>>();
        let cache = |keys| {
            let mut cache = KvCache::new(heads, keys, KvType::F16).unwrap();
            cache.append(&mut rows.clone(), &rows, &rows, &Preparation::default(), Pool::global()).unwrap();
            cache
        };
        // The last refuses what the first could do: its keys are in blocks.
        let caches = vec![cache(KvType::F16), cache(KvType::F32), cache(KvType::Q8)];
        let mut sequence = Sequence { model: Arc::default(), caches, tokens: (0..40).collect(), spent: false };
        let lengths = |sequence: &Sequence| sequence.caches.iter().map(KvCache::len).collect::<Vec<_>>();
        assert!(sequence.truncate(7).is_err());
        assert_eq!((lengths(&sequence), sequence.len()), (vec![40; 3], 40));
        sequence.truncate(33).unwrap();
        assert_eq!((lengths(&sequence), sequence.len()), (vec![33; 3], 33));
    }
}
