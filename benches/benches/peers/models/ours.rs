//! Ours.

use std::path::Path;

use quantloom_bench::record::OURS;
use quantloom_models::text::{Specials, Tokenizer};
use quantloom_models::{LanguageModel, Logits, Options, Part, Sequence, Wanted};

use super::Runner;
use crate::contender::Result;

/// A model, and a sequence of it.
pub struct Ours {
    model: LanguageModel,
    sequence: Sequence,
    logits: Logits,
}

impl Ours {
    pub fn open(path: &Path, options: Options) -> Result<Self> {
        let model = LanguageModel::open(path, &options)?;
        let sequence = model.sequence()?;
        Ok(Self { model, sequence, logits: Logits::default() })
    }

    pub fn tokens(&self, text: &str) -> Result<Vec<u32>> {
        Ok(Tokenizer::of(self.model.file())?.encode(text, Specials::AsText)?)
    }

    pub fn vocabulary(&self) -> usize {
        self.model.vocabulary()
    }
}

impl Runner for Ours {
    fn name(&self) -> &str {
        OURS
    }

    fn clear(&mut self) -> Result<()> {
        self.sequence.clear();
        Ok(())
    }

    fn take(&mut self, tokens: &[u32]) -> Result<&[f32]> {
        self.logits = self.model.forward(&mut [Part::new(&mut self.sequence, tokens, Wanted::Last)])?;
        Ok(self.logits.last())
    }
}
