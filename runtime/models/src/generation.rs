//! Generation: tokens that follow a prompt, one after the other.

use std::ops::ControlFlow;

use crate::error::Result;
use crate::forward::{Part, Wanted};
use crate::model::LanguageModel;
use crate::sequence::Sequence;
use crate::text::{Decoder, Sampling, Tokenizer};

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
/// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/models/rustbook-Q4_K_M.gguf");
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
/// assert!(text.starts_with(' '));
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
    /// Logits of the last position that the sequence has.
    logits: Vec<f32>,
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
        let decoder = tokenizer.decoder();
        let tokens = prompt.to_vec();
        Ok(Self { model, tokenizer, decoder, sampling, sequence, tokens, logits, left: usize::MAX, end: None })
    }

    /// Ends after so many tokens, if the model does not before.
    #[must_use]
    pub fn limit(self, tokens: usize) -> Self {
        Self { left: tokens, ..self }
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
        // The sequence lacks the token that was chosen last.
        let lacking = &self.tokens[self.sequence.len()..];
        if !lacking.is_empty() {
            if self.tokens.len() > self.model.context() {
                return Ok(ControlFlow::Break(End::Context));
            }
            self.logits = self.model.forward(&mut [Part::new(&mut self.sequence, lacking, Wanted::Last)])?.into_values();
        }
        // A model may have more logits than tokens, which make rows a round number.
        let known = &self.logits[..self.logits.len().min(self.tokenizer.tokens())];
        let token = self.sampling.choose(known, &self.tokens, self.tokens.len() as u64)?;
        if self.tokenizer.ends().contains(&token) {
            return Ok(ControlFlow::Break(End::Answered));
        }
        self.tokens.push(token);
        self.left -= 1;
        Ok(ControlFlow::Continue(token))
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
