//! Sequences that begin alike, whose pages are held once.

use quantloom::attention::SPAN;

use crate::error::Result;
use crate::model::LanguageModel;
use crate::sequence::Sequence;

/// Sequences that are kept for those which begin as they do: a prompt that many begin with is read once and held once. It changes no bit of what
/// follows.
///
/// ```
/// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/models/rustbook.gguf");
/// use quantloom_models::{LanguageModel, Options, Part, Prefixes, Wanted};
///
/// let model = LanguageModel::open(path, &Options::default())?;
/// let mut prefixes = Prefixes::default();
/// for question in [[724, 474, 13, 1135, 1794], [724, 474, 13, 1135, 310]] {
///     let mut sequence = prefixes.begin(&model, &question)?;
///     assert_eq!(sequence.len(), if prefixes.is_empty() { 0 } else { 4 });
///     let rest = &question[sequence.len()..];
///     model.forward(&mut [Part::new(&mut sequence, rest, Wanted::Last)])?;
///     prefixes.keep(&mut sequence);
/// }
/// # Ok::<(), quantloom_models::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Prefixes {
    kept: Vec<Sequence>,
}

impl Prefixes {
    /// Keeps what a sequence has by now. Where its pages are the same as those of one that was kept before, both hold these from now on.
    /// One that is only the beginning of a kept one is not kept besides.
    pub fn keep(&mut self, sequence: &mut Sequence) {
        // What a call failed with cannot be gone on from.
        if sequence.spent {
            return;
        }
        let of_model = self.kept.iter().filter(|kept| kept.is_of_model_of(sequence));
        let nearest = of_model.max_by_key(|kept| common(kept.tokens(), sequence.tokens()));
        if let Some(nearest) = nearest {
            sequence.share(nearest);
            if nearest.tokens().starts_with(sequence.tokens()) {
                return;
            }
        }
        self.kept.retain(|kept| !(kept.is_of_model_of(sequence) && sequence.tokens().starts_with(kept.tokens())));
        self.kept.push(sequence.clone());
    }

    /// A sequence that has as many of the first tokens as a kept one of this model begins with, but not the last: its logits are yet to be
    /// computed. Where keys are in blocks, and the kept one goes on for long otherwise, it has whole pages of 512 of them.
    ///
    /// # Errors
    /// As [`LanguageModel::sequence`], or if memory is short.
    pub fn begin(&self, model: &LanguageModel, tokens: &[u32]) -> Result<Sequence> {
        let tokens = &tokens[..tokens.len().saturating_sub(1)];
        let of_model = self.kept.iter().filter(|kept| model.owns(kept));
        let Some(nearest) = of_model.max_by_key(|kept| common(kept.tokens(), tokens)) else { return model.sequence() };
        let (mut sequence, known) = (nearest.clone(), common(nearest.tokens(), tokens));
        if sequence.truncate(known).is_err() {
            sequence.truncate(known / SPAN * SPAN)?;
        }
        Ok(sequence)
    }

    /// Sequences that are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether none is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Forgets the oldest, so that at most so many are left.
    pub fn forget(&mut self, left: usize) {
        self.kept.drain(..self.kept.len().saturating_sub(left));
    }
}

/// How many tokens two begin with alike.
fn common(one: &[u32], other: &[u32]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}
