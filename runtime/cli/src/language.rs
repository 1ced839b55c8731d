//! Language models, for the commands that run them.

use std::path::Path;
use std::time::{Duration, Instant};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use quantloom::attention::KvType;
use quantloom::files;
use quantloom::model::Model;
use quantloom::registry::{self, Numerics};
use quantloom::tune::{Outcome, Status};
use quantloom_models::text::Tokenizer;
use quantloom_models::{Error, LanguageModel, Options};
use quantloom_spec::text::shown;

use super::Failure;
use super::args::{class, thread_count};
use super::failure::{advised, tell};
use super::report::numbers::count;
use super::source;

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

    /// Opens a model, and warns of what is doubtful about its file.
    ///
    /// # Errors
    /// As [`LanguageModel::open`].
    pub fn open(&self, path: &Path) -> Result<LanguageModel, Failure> {
        self.model(source::model(path)?)
    }

    /// The language model in an open file.
    ///
    /// # Errors
    /// As [`LanguageModel::new`].
    pub fn model(&self, file: Model) -> Result<LanguageModel, Failure> {
        Ok(LanguageModel::new(file, &self.options()?)?)
    }
}

/// The tokens of texts as a model is given them; where it has none for a part of one, the user is warned, once.
///
/// # Errors
/// A text that cannot be cut.
pub fn tokens<'t>(tokenizer: &Tokenizer, texts: impl IntoIterator<Item = &'t str>) -> Result<Vec<Vec<u32>>, Failure> {
    let (mut all, mut covered) = (Vec::new(), true);
    for text in texts {
        covered = covered && tokenizer.covers(text)?;
        all.push(tokenizer.prompt(text)?);
    }
    if !covered {
        tell("warning: the model has no tokens for a part of the text, and does not see it");
    }
    Ok(all)
}

/// The tokens of one text.
///
/// # Errors
/// As [`tokens`].
pub fn prompt(tokenizer: &Tokenizer, text: &str) -> Result<Vec<u32>, Failure> {
    Ok(tokens(tokenizer, [text])?.concat())
}

/// The text in a file.
///
/// # Errors
/// A file that cannot be read, or is not in UTF-8.
pub fn text_of(file: &Path) -> Result<String, Failure> {
    let bytes = files::read(file).map_err(quantloom::Error::io(file))?;
    String::from_utf8(bytes).map_err(|_| Failure::Input(format!("{}: it is no text in UTF-8; convert it", shown(file))))
}

/// Chooses kernels for a model that is used here for the first time, and says so in a line. It changes no bit of what follows.
///
/// # Errors
/// As [`LanguageModel::tune`].
pub fn tune(model: &LanguageModel) -> Result<(), Failure> {
    let begun = Instant::now();
    let outcomes = model.tune()?;
    outcomes.iter().flat_map(|outcome| &outcome.warnings).for_each(|warning| tell(&format!("warning: {warning}")));
    let statuses = outcomes.iter().map(|outcome: &Outcome| outcome.status).collect::<Vec<_>>();
    if let Some(line) = tuned(&statuses, begun.elapsed()) {
        tell(&line);
    }
    Ok(())
}

/// What the tuner did, if it measured anything.
fn tuned(statuses: &[Status], time: Duration) -> Option<String> {
    let of = |wanted: Status| statuses.iter().filter(|status| **status == wanted).count();
    let [kept, unsteady, left] = [Status::Tuned, Status::Unsteady, Status::Untuned].map(of);
    if kept + unsteady == 0 {
        return None;
    }
    let chosen = count(kept + unsteady, "problem", "problems");
    let unsteady =
        if unsteady == 0 { String::new() } else { format!("; of {unsteady} only for now, for the machine is restless") };
    let left = if left == 0 { String::new() } else { format!("; {left} are left for the next time") };
    let seconds = time.as_secs_f64();
    Some(format!("note: new here: chose the fastest kernels for {chosen} of this model in {seconds:.1} s{unsteady}{left}"))
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Quantloom(error) => error.into(),
            Error::Step { .. } => Self::input(advised(&error.to_string())),
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

#[cfg(test)]
mod tests {
    use quantloom::tune::Status::{Busy, Known, Tuned, Unsteady, Untuned};

    use super::*;
    use quantloom::matmul::Source;

    #[test]
    fn what_was_measured_is_said_and_what_was_known_is_not() {
        let line = |statuses: &[Status]| tuned(statuses, Duration::from_millis(1240));
        let begins = "note: new here: chose the fastest kernels for ";
        assert_eq!(line(&[Tuned, Known(Source::Cache)]), Some(format!("{begins}1 problem of this model in 1.2 s")));
        let both =
            "2 problems of this model in 1.2 s; of 1 only for now, for the machine is restless; 2 are left for the next time";
        assert_eq!(line(&[Unsteady, Untuned, Tuned, Untuned]), Some(format!("{begins}{both}")));
        for nothing in [&[][..], &[Known(Source::Cache), Known(Source::Memory)], &[Busy, Untuned]] {
            assert_eq!(line(nothing), None);
        }
    }
}
