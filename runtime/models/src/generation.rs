//! Generation: tokens that follow a prompt, one after the other.

use std::collections::VecDeque;
use std::ops::ControlFlow;

use crate::error::Result;
use crate::forward::{Part, Wanted};
use crate::model::LanguageModel;
use crate::sequence::Sequence;
use crate::text::{Decoder, Sampling, Tokenizer};

/// Tokens that may be guessed at once: positions that every cache can take back.
const GUESSES: usize = 15;

/// Tokens that must have been there before for what followed them to be a guess.
const KNOWN: usize = 2;

/// A token that was generated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generated {
    /// Its number.
    pub token: u32,
    /// What it adds to the text: whole characters, perhaps none. A token may end within a character, which then comes with a later one.
    pub text: String,
}

/// Why a generation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The model ended its answer.
    Answered,
    /// There are as many tokens as were asked for.
    Limit,
    /// The model has no more positions.
    Context,
    /// Something went wrong.
    Failed,
}

/// The text that follows a prompt, token by token, as an iterator. It is a function of the model, its options, the prompt and the sampling
/// alone. What a character at the end lacks is not given.
///
/// ```
/// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/models/rustbook.gguf");
/// use quantloom_models::text::{Sampling, Tokenizer};
/// use quantloom_models::{Generation, LanguageModel, Options};
///
/// let model = LanguageModel::open(path, &Options::default())?;
/// let tokenizer = Tokenizer::of(model.file())?;
/// let prompt = tokenizer.prompt("In Rust, ownership is")?;
/// let mut text = String::new();
/// for generated in Generation::new(&model, &tokenizer, &prompt, Sampling::default())?.limit(8) {
///     text += &generated?.text;
/// }
/// assert!(!text.is_empty() && !text.contains('\u{fffd}'));
/// # Ok::<(), quantloom_models::Error>(())
/// ```
#[derive(Debug)]
pub struct Generation<'m> {
    model: &'m LanguageModel,
    tokenizer: &'m Tokenizer,
    decoder: Decoder<'m>,
    sampling: Sampling,
    sequence: Sequence,
    /// The prompt, and what followed it; the sequence lacks the last.
    tokens: Vec<u32>,
    /// Logits from which the next tokens are chosen: of one position, or of several, where tokens were guessed.
    logits: VecDeque<Vec<f32>>,
    /// Tokens that were guessed, and that the sequence has.
    guessed: VecDeque<u32>,
    /// How many guesses stood.
    stood: usize,
    /// So many tokens may be guessed at once.
    lookup: usize,
    /// Tokens that are still asked for.
    left: usize,
    end: Option<End>,
}

impl<'m> Generation<'m> {
    /// Reads a prompt. What follows ends where the model ends it, or its context does: see [`Generation::limit`].
    ///
    /// # Errors
    /// As [`LanguageModel::forward`]: for no tokens, and for more than the context of the model.
    pub fn new(model: &'m LanguageModel, tokenizer: &'m Tokenizer, prompt: &[u32], sampling: Sampling) -> Result<Self> {
        let mut sequence = model.sequence()?;
        let logits = model.forward(&mut [Part::new(&mut sequence, prompt, Wanted::Last)])?.into_values();
        Ok(Self {
            model,
            tokenizer,
            decoder: tokenizer.decoder(),
            sampling,
            sequence,
            tokens: prompt.to_vec(),
            logits: VecDeque::from([logits]),
            guessed: VecDeque::new(),
            stood: 0,
            lookup: 0,
            left: usize::MAX,
            end: None,
        })
    }

    /// Ends after so many tokens, if the model does not before.
    #[must_use]
    pub fn limit(self, tokens: usize) -> Self {
        Self { left: tokens, ..self }
    }

    /// Guesses up to so many tokens, at most 15, from what followed the last tokens where they were before, and has the model check them
    /// together. It changes the speed and nothing else: a guess stands if it is the token that is chosen all the same.
    #[must_use]
    pub fn lookup(self, tokens: usize) -> Self {
        Self { lookup: tokens.min(GUESSES), ..self }
    }

    /// How many of the tokens were guessed before they were chosen: see [`Generation::lookup`].
    #[must_use]
    pub fn stood(&self) -> usize {
        self.stood
    }

    /// Why it ended, when it has.
    #[must_use]
    pub fn ended(&self) -> Option<End> {
        self.end
    }

    /// Chooses the next token, if there is one.
    fn generate(&mut self) -> Result<ControlFlow<End, u32>> {
        if self.left == 0 {
            return Ok(ControlFlow::Break(End::Limit));
        }
        let logits = match self.logits.pop_front() {
            Some(logits) => logits,
            None if self.tokens.len() > self.model.context() => return Ok(ControlFlow::Break(End::Context)),
            None => self.forward()?,
        };
        // A model may have more logits than tokens, which make rows a round number.
        let known = &logits[..logits.len().min(self.tokenizer.tokens())];
        let token = self.sampling.choose(known, &self.tokens, self.tokens.len() as u64)?;
        if self.tokenizer.ends().contains(&token) {
            return Ok(ControlFlow::Break(End::Answered));
        }
        if self.guessed.pop_front() == Some(token) {
            self.stood += 1;
        } else {
            self.sequence.truncate(self.tokens.len())?;
            self.guessed.clear();
            self.logits.clear();
        }
        self.tokens.push(token);
        self.left -= 1;
        Ok(ControlFlow::Continue(token))
    }

    /// Gives the sequence the token that it lacks, and those that are guessed to follow; the logits behind the first.
    fn forward(&mut self) -> Result<Vec<f32>> {
        let room = (self.model.context() - self.tokens.len()).min(self.left - 1).min(self.lookup);
        let guessed = guess(&self.tokens, room);
        let tokens = [&self.tokens[self.sequence.len()..], guessed].concat();
        self.guessed = guessed.iter().copied().collect();
        let logits = self.model.forward(&mut [Part::new(&mut self.sequence, &tokens, Wanted::All)])?;
        let mut rows = logits.rows().map(<[f32]>::to_vec);
        let first = rows.next().unwrap_or_default();
        self.logits = rows.collect();
        Ok(first)
    }
}

impl Iterator for Generation<'_> {
    type Item = Result<Generated>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.end.is_some() {
            return None;
        }
        match self.generate() {
            Ok(ControlFlow::Continue(token)) => Some(Ok(Generated { token, text: self.decoder.push(token) })),
            Ok(ControlFlow::Break(end)) => {
                self.end = Some(end);
                None
            }
            Err(error) => {
                self.end = Some(End::Failed);
                Some(Err(error))
            }
        }
    }
}

/// Up to `count` tokens that followed the last ones where these were last before.
fn guess(tokens: &[u32], count: usize) -> &[u32] {
    let Some(start) = tokens.len().checked_sub(KNOWN) else { return &[] };
    let last = &tokens[start..];
    let before = tokens[..tokens.len() - 1].windows(KNOWN).rposition(|window| window == last);
    before.map_or(&[], |at| &tokens[at + KNOWN..][..count.min(start - at)])
}

#[cfg(test)]
mod tests {
    use super::guess;

    #[test]
    fn what_followed_before_is_guessed() {
        assert_eq!(guess(&[1, 2, 3, 4, 1, 2], 9), [3, 4, 1, 2]);
        assert_eq!(guess(&[1, 2, 3, 1, 2, 4, 1, 2], 2), [4, 1], "the last time counts");
        assert_eq!(guess(&[7, 7, 7], 9), [7]);
        for (tokens, count) in [(&[1, 2, 3][..], 9), (&[1, 2, 3, 1, 2], 0), (&[1], 9), (&[], 9)] {
            assert_eq!(guess(tokens, count), [0; 0], "{tokens:?}");
        }
    }
}
