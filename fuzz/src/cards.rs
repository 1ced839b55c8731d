//! Cards of formats, and the tables that they may name.

use std::collections::BTreeMap;
use std::io;
use std::sync::LazyLock;

use quantloom_spec::{Diagnostics, Source, TableFolder, Tables, cards_dir, model, read_formats};

/// The formats of a card that is right, one or a family. Behind a line of `====`, a text has the table `own`.
#[must_use]
pub fn formats(text: &str) -> Vec<model::Format> {
    let (text, own) = text.split_once("\n====\n").unwrap_or((text, ""));
    right_card(read_formats("card.toml", text, &Own(own))).unwrap_or_default()
}

/// What is wrong is said, with and without colours, and nothing else that a terminal obeys.
pub fn right_card<T>(card: Result<T, Diagnostics>) -> Option<T> {
    card.map_err(|wrong| {
        assert!(!wrong.is_empty());
        let text = wrong.render(false);
        assert!(text.len() <= wrong.render(true).len() && !text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
    })
    .ok()
}

/// The texts of the tables that quantloom ships, by name.
static SHIPPED: LazyLock<BTreeMap<String, Source>> = LazyLock::new(|| {
    let folder = TableFolder::new(cards_dir().join("tables"));
    folder.names().into_iter().map(|name| (name.clone(), folder.open(&name).expect("a table that is listed"))).collect()
});

/// Tables that a card may name: those that quantloom ships, and one of its own.
struct Own<'t>(&'t str);

impl Tables for Own<'_> {
    fn names(&self) -> Vec<String> {
        SHIPPED.keys().cloned().chain(["own".to_owned()]).collect()
    }

    fn open(&self, name: &str) -> io::Result<Source> {
        Ok(SHIPPED.get(name).cloned().unwrap_or_else(|| Source { path: "own.toml".to_owned(), text: self.0.to_owned() }))
    }
}
