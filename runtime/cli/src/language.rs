//! Language models, for the commands that run them.

use std::path::Path;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use quantloom::attention::KvType;
use quantloom::registry::{self, Numerics};
use quantloom_models::text::Tokenizer;
use quantloom_models::{Error, LanguageModel, Options};

use super::Failure;
use super::args::{class, thread_count};

/// How a model is run.
#[derive(Debug, clap::Args)]
pub struct Run {
    /// Numerics class of products [default: exact for small models, else int8 where a format has it]
    #[arg(long, value_name = "CLASS", value_parser = class())]
    numerics: Option<Numerics>,
    /// How keys and values are cached; the last type is for keys, and goes with values in f16
    #[arg(long, value_name = "TYPE", value_parser = kv(), default_value = KvType::F16.name())]
    kv: KvType,
    /// Instruction set [default: the best of this processor]
    #[arg(long, value_name = "NAME")]
    isa: Option<String>,
    /// Threads [default: as many as the processor runs at once]
    #[arg(long, value_name = "T", value_parser = thread_count, allow_negative_numbers = true)]
    threads: Option<u16>,
}

impl Run {
    /// What to ask of a model.
    ///
    /// # Errors
    /// An instruction set that there is not.
    pub fn options(&self) -> Result<Options, Failure> {
        let isa = self.isa.as_deref().map(registry::isa_by_name).transpose()?;
        let threads = self.threads.map_or(0, usize::from);
        Ok(Options::default().numerics(self.numerics).kv(self.kv).isa(isa).threads(threads))
    }

    /// Opens a model.
    ///
    /// # Errors
    /// As [`LanguageModel::open`].
    pub fn open(&self, path: &Path) -> Result<LanguageModel, Failure> {
        Ok(LanguageModel::open(path, &self.options()?)?)
    }
}

/// The tokens of a text, as a prompt begins.
///
/// # Errors
/// A tokenizer that cannot be read.
pub fn tokens(model: &LanguageModel, text: &str) -> Result<Vec<u32>, Failure> {
    Ok(Tokenizer::of(model.file())?.prompt(text)?)
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Quantloom(error) => error.into(),
            error => Self::input(error),
        }
    }
}

/// What a type of cached numbers is called: as the format that stores them so.
fn kv_name(kv: KvType) -> &'static str {
    match (kv, kv.format()) {
        (KvType::Q8, Ok(format)) => format.name.to_lowercase().leak(),
        _ => kv.name(),
    }
}

/// Reads how keys and values are cached.
fn kv() -> impl TypedValueParser<Value = KvType> {
    PossibleValuesParser::new(KvType::ALL.map(kv_name)).try_map(|name| {
        let kv = KvType::ALL.into_iter().find(|kv| kv_name(*kv) == name);
        kv.ok_or("not a type")
    })
}
