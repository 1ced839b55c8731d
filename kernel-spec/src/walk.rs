//! Walking over the text of any card: typed access to TOML values, with an error in the sink for whatever does not fit.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::diagnostic::{Diagnostic, Sink, Source, Span};
use crate::nearest::{listing, nearest};

/// A value and where it is written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct At<T> {
    pub span: Span,
    pub value: T,
}

impl<T> At<T> {
    pub(crate) fn map<U>(self, change: impl FnOnce(T) -> U) -> At<U> {
        At { span: self.span, value: change(self.value) }
    }
}

/// Parses the text and hands its top-level table, called `what` in messages, to `read`; syntax errors are reported all at once.
pub(crate) fn read_document<T>(
    source: Arc<Source>,
    what: &'static str,
    read: impl FnOnce(Table<'_>, &mut Sink) -> Option<T>,
) -> Result<T, crate::Diagnostics> {
    let mut sink = Sink::new(Arc::clone(&source));
    let (root, errors) = DeTable::parse_recoverable(&source.text);
    report_syntax(&errors, &mut sink);
    if sink.count() > 0 {
        return sink.finish(None);
    }
    let value = read(Table::new(what, Span::default(), root.get_ref()), &mut sink);
    sink.finish(value)
}

/// One error a line: the parser finds the rest of a broken line wrong as well.
fn report_syntax(errors: &[toml::de::Error], sink: &mut Sink) {
    let mut lines = BTreeSet::new();
    for error in errors {
        let span = error.span().map_or_else(Span::default, Span::from);
        let line = sink.text().bytes().take(span.start).filter(|byte| *byte == b'\n').count();
        if lines.insert(line) {
            sink.error(span, error.message());
        }
    }
}

/// A value of the card.
#[derive(Clone, Debug)]
pub(crate) struct Node<'t> {
    /// What messages call it: its key in quotes, or the list it is in.
    name: String,
    pub span: Span,
    value: &'t DeValue<'t>,
}

impl<'t> Node<'t> {
    fn new(name: String, value: &'t Spanned<DeValue<'t>>) -> Self {
        Self { name, span: value.span().into(), value: value.get_ref() }
    }

    fn of_key(key: &str, value: &'t Spanned<DeValue<'t>>) -> Self {
        Self::new(format!("`{key}`"), value)
    }

    fn at<T>(&self, value: T) -> At<T> {
        At { span: self.span, value }
    }

    /// Says that the value is not `wanted`.
    pub(crate) fn mismatch<'s>(&self, sink: &'s mut Sink, wanted: &str) -> &'s mut Diagnostic {
        let found = match self.value {
            DeValue::String(_) => "a text",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a float",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        sink.error(self.span, format!("{} must be {wanted}", self.name)).label(format!("this is {found}"))
    }

    /// The value as the card writes it.
    pub(crate) fn written(&self, sink: &Sink) -> String {
        sink.text().get(self.span.start..self.span.end).unwrap_or_default().to_owned()
    }

    /// What messages call the value.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) const fn is_text(&self) -> bool {
        matches!(self.value, DeValue::String(_))
    }

    pub(crate) const fn is_integer(&self) -> bool {
        matches!(self.value, DeValue::Integer(_))
    }

    pub(crate) const fn is_list(&self) -> bool {
        matches!(self.value, DeValue::Array(_))
    }

    pub(crate) const fn is_table(&self) -> bool {
        matches!(self.value, DeValue::Table(_))
    }

    pub(crate) fn text(&self, sink: &mut Sink) -> Option<At<&'t str>> {
        let text = self.value.as_str();
        if text.is_none() {
            self.mismatch(sink, "a text");
        }
        text.map(|text| self.at(text))
    }

    /// A text of one line that says something.
    pub(crate) fn line(&self, sink: &mut Sink) -> Option<String> {
        let text = self.text(sink)?;
        if text.value.trim().is_empty() || text.value.contains('\n') {
            sink.error(self.span, format!("{} must be one line of text", self.name));
            return None;
        }
        Some(text.value.to_owned())
    }

    /// A text that can be part of a name in code: letters, digits and `_`, and `-` where `dashes` allows it.
    pub(crate) fn identifier(&self, sink: &mut Sink, dashes: bool) -> Option<At<String>> {
        let text = self.text(sink)?;
        check_identifier(text, dashes, sink)
    }

    /// One of a few words.
    pub(crate) fn choice<T: Copy>(&self, sink: &mut Sink, words: &[(&str, T)]) -> Option<At<T>> {
        let text = self.text(sink)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text.value) {
            return Some(self.at(*value));
        }
        let error = sink.error(self.span, format!("{} cannot be `{}`", self.name, text.value));
        error.suggest(text.value, "words it can be", words.iter().map(|(word, _)| *word));
        None
    }

    /// A key that, where it is given, says that something holds.
    pub(crate) fn flag(&self, sink: &mut Sink) -> Option<At<bool>> {
        let DeValue::Boolean(value) = *self.value else {
            self.mismatch(sink, "`true` or `false`");
            return None;
        };
        Some(self.at(value))
    }

    pub(crate) fn integer(&self, sink: &mut Sink, range: RangeInclusive<i64>) -> Option<At<i64>> {
        let DeValue::Integer(digits) = self.value else {
            self.mismatch(sink, "an integer");
            return None;
        };
        let value = i64::from_str_radix(digits.as_str(), digits.radix()).ok().filter(|value| range.contains(value));
        if value.is_none() {
            sink.error(self.span, format!("{} is out of range", self.name)).label(format!(
                "must be {} to {}",
                range.start(),
                range.end()
            ));
        }
        value.map(|value| self.at(value))
    }

    /// An integer that counts something.
    pub(crate) fn count(&self, sink: &mut Sink, range: RangeInclusive<u32>) -> Option<At<usize>> {
        let (low, high) = range.into_inner();
        let count = self.integer(sink, i64::from(low)..=i64::from(high))?;
        usize::try_from(count.value).ok().map(|value| self.at(value))
    }

    /// An integer or a finite float.
    pub(crate) fn number(&self, sink: &mut Sink) -> Option<At<f64>> {
        let parsed = match self.value {
            DeValue::Integer(digits) => i64::from_str_radix(digits.as_str(), digits.radix()).ok().map(|integer| integer as f64),
            DeValue::Float(digits) => digits.as_str().parse::<f64>().ok(),
            _ => {
                self.mismatch(sink, "a number");
                return None;
            }
        };
        let finite = parsed.filter(|value| value.is_finite());
        if finite.is_none() {
            sink.error(self.span, format!("{} must be a finite number", self.name));
        }
        finite.map(|value| self.at(value))
    }

    /// A number that an f32 holds exactly.
    pub(crate) fn exact(&self, sink: &mut Sink) -> Option<At<f32>> {
        let number = self.number(sink)?;
        let rounded = number.value as f32;
        if f64::from(rounded) != number.value {
            sink.error(self.span, format!("{} is not exact in f32", self.name))
                .label(format!("the nearest f32 is {}", short(f64::from(rounded))));
            return None;
        }
        Some(self.at(rounded))
    }

    pub(crate) fn list(&self, sink: &mut Sink) -> Option<Vec<Self>> {
        let DeValue::Array(entries) = self.value else {
            self.mismatch(sink, "a list");
            return None;
        };
        let name = format!("an entry of {}", self.name);
        Some(entries.iter().map(|entry| Node::new(name.clone(), entry)).collect())
    }

    /// A table with the keys that the caller goes on to ask for; `what` it is called in messages.
    pub(crate) fn table(&self, sink: &mut Sink, what: &'static str) -> Option<Table<'t>> {
        let DeValue::Table(entries) = self.value else {
            self.mismatch(sink, "a table");
            return None;
        };
        Some(Table::new(what, self.span, entries))
    }

    /// The entries of a table whose keys are names that the card makes up, in card order.
    pub(crate) fn named(&self, sink: &mut Sink) -> Option<Vec<(At<String>, Self)>> {
        let DeValue::Table(entries) = self.value else {
            self.mismatch(sink, "a table");
            return None;
        };
        let mut named: Vec<_> = entries
            .iter()
            .map(|(key, value)| (At { span: key.span().into(), value: key.get_ref().to_string() }, value))
            .collect();
        named.sort_by_key(|(key, _)| key.span);
        Some(named.into_iter().map(|(key, value)| (key.clone(), Node::of_key(&key.value, value))).collect())
    }
}

/// A number as people write it: very large and very small ones with an exponent.
pub(crate) fn short(value: f64) -> String {
    if value == 0.0 || (1e-3..1e9).contains(&value.abs()) { value.to_string() } else { format!("{value:e}") }
}

/// Reports a text that cannot be part of a name in code.
pub(crate) fn check_identifier(text: At<&str>, dashes: bool, sink: &mut Sink) -> Option<At<String>> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || (dashes && c == '-');
    if text.value.starts_with(|c: char| c.is_ascii_alphabetic()) && text.value.chars().all(fits) {
        return Some(text.map(str::to_owned));
    }
    let others = if dashes { "`_` or `-`" } else { "or `_`" };
    sink.error(text.span, format!("`{}` cannot be a name", text.value))
        .label(format!("must be a letter, then letters, digits {others}"));
    None
}

/// Every text in a value.
fn collect_texts<'t>(value: &'t Spanned<DeValue<'t>>, found: &mut Vec<At<&'t str>>) {
    match value.get_ref() {
        DeValue::String(text) => found.push(At { span: value.span().into(), value: text.as_ref() }),
        DeValue::Array(entries) => entries.iter().for_each(|entry| collect_texts(entry, found)),
        DeValue::Table(entries) => entries.values().for_each(|entry| collect_texts(entry, found)),
        _ => {}
    }
}

/// A table with fixed keys. Whatever was not asked for by the time of `finish` is an unknown key.
pub(crate) struct Table<'t> {
    what: &'static str,
    pub span: Span,
    entries: &'t DeTable<'t>,
    asked: Vec<&'static str>,
    missing: Vec<&'static str>,
}

impl<'t> Table<'t> {
    fn new(what: &'static str, span: Span, entries: &'t DeTable<'t>) -> Self {
        Self { what, span, entries, asked: Vec::new(), missing: Vec::new() }
    }

    /// The value of a key that may be absent.
    pub(crate) fn get(&mut self, key: &'static str) -> Option<Node<'t>> {
        if !self.asked.contains(&key) {
            self.asked.push(key);
        }
        self.entries.get(key).map(|value| Node::of_key(key, value))
    }

    /// The value of a key that must be present; `finish` reports it if it is not.
    pub(crate) fn need(&mut self, key: &'static str) -> Option<Node<'t>> {
        let node = self.get(key);
        if node.is_none() {
            self.missing.push(key);
        }
        node
    }

    /// Every text at any depth, except under one key.
    pub(crate) fn texts(&self, except: &str) -> Vec<At<&'t str>> {
        let mut found = Vec::new();
        for (_, value) in self.entries.iter().filter(|(key, _)| key.get_ref().as_ref() != except) {
            collect_texts(value, &mut found);
        }
        found
    }

    /// Reports the keys that nobody asked for, and those that are missing and not just misspelt.
    pub(crate) fn finish(self, sink: &mut Sink) {
        let mut missing = self.missing;
        for key in self.entries.keys().filter(|key| !self.asked.contains(&key.get_ref().as_ref())) {
            let word = key.get_ref().as_ref();
            if let Some(meant) = nearest(word, missing.iter().copied()) {
                missing.retain(|key| *key != meant);
            }
            sink.error(key.span().into(), format!("unknown key `{word}`"))
                .label(format!("{} has no such key", self.what))
                .suggest(word, "keys", self.asked.iter().copied());
        }
        if !missing.is_empty() {
            let keys = if missing.len() == 1 { "the key" } else { "the keys" };
            sink.error(self.span, format!("{} needs {keys} {}", self.what, listing(missing)));
        }
    }
}
