//! What is wrong with a card, shown where it is wrong.

#[cfg(any(test, not(feature = "snippets")))]
mod lines;
#[cfg(feature = "snippets")]
mod snippets;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

#[cfg(not(feature = "snippets"))]
use lines::render;
#[cfg(feature = "snippets")]
use snippets::render;

use crate::nearest::{listing, nearest};
use crate::text::escaped_except;

/// A run of bytes of a card's text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl Span {
    /// The span from the start of `self` to the end of `last`.
    pub(crate) const fn to(self, last: Self) -> Self {
        Self { start: self.start, end: last.end }
    }

    /// The nearest range that can be cut out of `text`.
    fn range_in(self, text: &str) -> Range<usize> {
        let start = text.floor_char_boundary(self.start);
        let end = text.ceil_char_boundary(self.end);
        start..end.max(start)
    }
}

impl From<Range<usize>> for Span {
    fn from(range: Range<usize>) -> Self {
        Self { start: range.start, end: range.end }
    }
}

/// A card's text and the path it is shown under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// What diagnostics call the file.
    pub path: String,
    /// The whole text.
    pub text: String,
}

impl Source {
    pub(crate) fn shared(path: &str, text: &str) -> Arc<Self> {
        Arc::new(Self { path: path.to_owned(), text: text.to_owned() })
    }
}

/// A place in the card with a few words on it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Label {
    span: Span,
    text: String,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    source: Arc<Source>,
    message: String,
    /// Absent when the whole file is meant.
    place: Option<Label>,
    context: Vec<Label>,
    notes: Vec<String>,
    help: Option<String>,
}

impl Diagnostic {
    pub(crate) fn new(source: Arc<Source>, place: Option<Span>, message: String) -> Self {
        let place = place.map(|span| Label { span, text: String::new() });
        Self { source, message, place, context: Vec::new(), notes: Vec::new(), help: None }
    }

    /// What is wrong, in one line.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The path of the card.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.source.path
    }

    /// Where in the card's text it is wrong; `None` when the whole file is meant.
    #[must_use]
    pub fn span(&self) -> Option<Span> {
        self.place.as_ref().map(|label| label.span)
    }

    /// Says what is wrong with the place itself.
    pub(crate) fn label(&mut self, text: impl Into<String>) -> &mut Self {
        if let Some(place) = &mut self.place {
            place.text = text.into();
        }
        self
    }

    /// Points at a second place of the same card.
    pub(crate) fn also(&mut self, span: Span, text: impl Into<String>) -> &mut Self {
        self.context.push(Label { span, text: text.into() });
        self
    }

    /// Adds a fact that explains the error.
    pub(crate) fn note(&mut self, text: impl Into<String>) -> &mut Self {
        self.notes.push(text.into());
        self
    }

    /// Says how to mend it.
    pub(crate) fn help(&mut self, text: impl Into<String>) -> &mut Self {
        self.help = Some(text.into());
        self
    }

    /// Suggests the known word that `word` was probably meant to be, or lists the `known` ones, called `what`.
    pub(crate) fn suggest<'w>(&mut self, word: &str, what: &str, known: impl IntoIterator<Item = &'w str>) -> &mut Self {
        let known: Vec<&str> = known.into_iter().collect();
        match nearest(word, known.iter().copied()) {
            Some(meant) => self.help(format!("did you mean `{meant}`?")),
            None if known.is_empty() => self.note(format!("there are no {what}")),
            None => self.note(format!("the {what} are {}", listing(known))),
        }
    }
}

/// Everything that is wrong with one or more cards; never empty when it is returned as an error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
}

impl Diagnostics {
    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Each of them, card by card, in the order of the text.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.list.iter()
    }

    /// The first ten of them as text for people, and how many more there are: with colours for a terminal, without for files and pipes. Without
    /// the feature `snippets` the place is named, and not drawn.
    #[must_use]
    pub fn render(&self, styled: bool) -> String {
        const SHOWN: usize = 10;
        let mut parts = self.list.iter().take(SHOWN).map(|one| render(one, styled)).collect::<Vec<_>>();
        if self.len() > SHOWN {
            parts.push(format!("error: {} errors in all; these are the first {SHOWN}", self.len()));
        }
        // What colours the text is all that is left to obey: cards' own lines are shown without it, and the words about them, too.
        escaped_except(&parts.join("\n\n"), |c| c == '\n' || styled && c == '\u{1b}')
    }

    /// An error about a file as a whole, such as one that cannot be opened.
    pub(crate) fn of_file(path: impl Into<String>, message: impl Into<String>) -> Self {
        let source = Arc::new(Source { path: path.into(), text: String::new() });
        Self { list: vec![Diagnostic::new(source, None, message.into())] }
    }

    /// Takes over the diagnostics of `other`, except those already here: cards share tables.
    pub(crate) fn append(&mut self, other: Self) {
        for diagnostic in other.list {
            if !self.list.contains(&diagnostic) {
                self.list.push(diagnostic);
            }
        }
    }

    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        self.list.push(diagnostic);
    }

    /// Adds a fact to each of them.
    pub(crate) fn note(&mut self, text: &str) {
        for diagnostic in &mut self.list {
            diagnostic.note(text);
        }
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Self { list: vec![diagnostic] }
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Diagnostics {}

/// Collects what is wrong with one card.
pub(crate) struct Sink {
    source: Arc<Source>,
    own: Vec<Diagnostic>,
    foreign: Diagnostics,
}

impl Sink {
    pub(crate) fn new(source: Arc<Source>) -> Self {
        Self { source, own: Vec::new(), foreign: Diagnostics::default() }
    }

    /// Adds an error; the caller goes on to label and explain it.
    pub(crate) fn error(&mut self, span: Span, message: impl Into<String>) -> &mut Diagnostic {
        let diagnostic = Diagnostic::new(Arc::clone(&self.source), Some(span), message.into());
        self.own.push(diagnostic);
        let last = self.own.len() - 1;
        &mut self.own[last]
    }

    /// Takes over what is wrong with a file that the card refers to.
    pub(crate) fn adopt(&mut self, found: Diagnostics) {
        self.foreign.append(found);
    }

    /// How many errors there are so far: equal before and after means that a part is right.
    pub(crate) const fn count(&self) -> usize {
        self.own.len() + self.foreign.len()
    }

    /// The card's text.
    pub(crate) fn text(&self) -> &str {
        &self.source.text
    }

    /// `value`, unless anything is wrong.
    pub(crate) fn finish<T>(mut self, value: Option<T>) -> Result<T, Diagnostics> {
        match value {
            Some(value) if self.count() == 0 => Ok(value),
            _ => {
                self.own.sort_by_key(Diagnostic::span);
                let mut all = Diagnostics { list: self.own };
                all.append(self.foreign);
                Err(all)
            }
        }
    }
}
