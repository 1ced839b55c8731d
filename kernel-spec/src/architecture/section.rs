//! Tables of model cards, whose keys may be those of a base.

use crate::diagnostic::Sink;
use crate::walk::{At, Node, Table};

/// A table whose keys may be those of a base.
pub struct Section<'t> {
    table: Option<Table<'t>>,
    based: bool,
}

impl<'t> Section<'t> {
    pub fn new(table: Option<Table<'t>>, based: bool) -> Self {
        Self { table, based }
    }

    /// A key that is needed where there is no base.
    pub fn need(&mut self, key: &'static str) -> Option<Node<'t>> {
        let table = self.table.as_mut()?;
        if self.based { table.get(key) } else { table.need(key) }
    }

    pub fn get(&mut self, key: &'static str) -> Option<Node<'t>> {
        self.table.as_mut()?.get(key)
    }

    pub fn finish(self, sink: &mut Sink) {
        if let Some(table) = self.table {
            table.finish(sink);
        }
    }

    /// The name that a key gives, or else that of the base.
    pub fn name(&mut self, key: &'static str, base: Option<&String>, sink: &mut Sink) -> Option<String> {
        self.need(key).map_or_else(|| base.cloned(), |node| entry(&node, sink))
    }

    /// The same of a key that may be left out.
    pub fn optional(&mut self, key: &'static str, base: Option<&Option<String>>, sink: &mut Sink) -> Option<Option<String>> {
        match self.get(key) {
            Some(node) => entry(&node, sink).map(Some),
            None => Some(base.cloned().flatten()),
        }
    }
}

/// The name of a tensor, or of metadata.
pub fn entry(node: &Node<'_>, sink: &mut Sink) -> Option<String> {
    let text = node.text(sink)?;
    named(text, sink).map(|at| at.value)
}

pub fn named(text: At<&str>, sink: &mut Sink) -> Option<At<String>> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if !text.value.is_empty() && text.value.chars().all(fits) {
        return Some(text.map(str::to_owned));
    }
    sink.error(text.span, format!("`{}` cannot be a name in a file", text.value))
        .label("must be letters, digits, `_`, `-` or `.`");
    None
}
