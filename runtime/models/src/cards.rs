//! Which card describes a file.

use std::sync::LazyLock;

use quantloom::gguf::Gguf;
use quantloom::operation;
use quantloom_spec::architecture::{self, Architecture};

use crate::error::{Error, Result};

/// The entry of a file that names its architecture.
const ARCHITECTURE: &str = "general.architecture";

/// Every architecture that there is a card of.
#[must_use]
pub fn architectures() -> &'static [Architecture] {
    static CARDS: LazyLock<Vec<Architecture>> = LazyLock::new(|| {
        let functions = operation::all().iter().filter_map(|operation| operation.epilogue.activation);
        let names = functions.map(|function| function.name).collect::<Vec<_>>();
        architecture::shipped(&names).expect("the cards were checked when they were written")
    });
    &CARDS
}

/// The card of a file, and what the file calls its architecture: its metadata begin with that.
///
/// # Errors
/// [`Error::Model`] if no card describes it.
pub fn of_file(file: &Gguf) -> Result<(&'static Architecture, &str)> {
    let wrong = |detail: String| Error::model(file.path(), detail);
    let value = file.value(ARCHITECTURE).and_then(|value| value.as_str());
    let name = value.ok_or_else(|| wrong(format!("it has no text {ARCHITECTURE:?}; a model to run says what it is")))?;
    let above_0 = |key: &String| {
        let value = file.value(&format!("{name}.{key}"));
        value.is_some_and(|value| value.as_u64() != Some(0))
    };
    let cards = || architectures().iter().filter(|card| card.arch.iter().any(|arch| arch == name));
    let marked = cards().find(|card| card.with.as_ref().is_some_and(above_0));
    let card = marked.or_else(|| cards().find(|card| card.with.is_none()));
    let card = card.ok_or_else(|| {
        let unmarked = architectures().iter().filter(|card| card.with.is_none());
        let known = unmarked.flat_map(|card| card.arch.iter().map(String::as_str)).collect::<Vec<_>>();
        wrong(format!("no card describes the architecture {name:?}; there are cards of {}", known.join(", ")))
    })?;
    Ok((card, name))
}
