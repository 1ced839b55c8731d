//! Reading format cards: text in, checked formats or all errors out.

use std::sync::Arc;

use crate::check::check;
use crate::claim::Claim;
use crate::diagnostic::{Diagnostics, Source};
use crate::model::Format;
use crate::raw::Card;
use crate::table::Tables;
use crate::walk::read_document;

/// Reads a format card. `path` is what diagnostics call it.
///
/// # Errors
/// Everything that is wrong with the card and with the tables that it uses.
pub fn read_format(path: &str, text: &str, tables: &dyn Tables) -> Result<Format, Diagnostics> {
    read_claims(Source::shared(path, text), tables).map(|(format, _)| format)
}

/// Reads a card together with what no other card may have.
pub(crate) fn read_claims(source: Arc<Source>, tables: &dyn Tables) -> Result<(Format, Vec<Claim>), Diagnostics> {
    read_document(source, "the card", |table, sink| {
        let card = Card::read(table, sink);
        let format = check(&card, tables, sink)?;
        let name = card.name.iter().map(|name| Claim::of("name", name));
        let gguf = card.gguf.iter().map(|gguf| Claim::of("gguf", gguf));
        Some((format, name.chain(gguf).collect()))
    })
}
