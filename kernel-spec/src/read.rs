//! Reading format cards: text in, checked formats or all errors out.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::check::check;
use crate::claim::Claim;
use crate::diagnostic::{Diagnostic, Diagnostics, Source};
use crate::family::{self, Member};
use crate::model::Format;
use crate::raw::Card;
use crate::table::Tables;
use crate::walk::{At, read_document};

/// Reads the card of one format. `path` is what diagnostics call it.
///
/// # Errors
/// Everything that is wrong with the card and with the tables that it uses; that it is the card of a family.
pub fn read_format(path: &str, text: &str, tables: &dyn Tables) -> Result<Format, Diagnostics> {
    let formats = read_formats(path, text, tables)?;
    let count = formats.len();
    let [format] = <[Format; 1]>::try_from(formats)
        .map_err(|_| Diagnostics::of_file(path, format!("the card has a family of {count} formats, and one was asked for")))?;
    Ok(format)
}

/// Reads a card: its format, or all formats of its family, in the order of their values. `path` is what diagnostics call it.
///
/// # Errors
/// Everything that is wrong with the card and with the tables that it uses; of a family, with the first member that is wrong.
pub fn read_formats(path: &str, text: &str, tables: &dyn Tables) -> Result<Vec<Format>, Diagnostics> {
    read_claims(Source::shared(path, text), tables).map(|(formats, _)| formats)
}

/// Reads the format of that name from a card, and no other member of its family. `path` is what diagnostics call it.
///
/// # Errors
/// Everything that is wrong with the card and with the tables that it uses; that no format of it has that name.
pub fn read_member(path: &str, text: &str, name: &str, tables: &dyn Tables) -> Result<Format, Diagnostics> {
    let meant = family::member_named(&Source::shared(path, text), name)?;
    let format = meant.map(|member| read(&member, tables, &mut BTreeSet::new())).transpose()?.map(|read| read.format);
    format
        .filter(|format| format.name == name)
        .ok_or_else(|| Diagnostics::of_file(path, format!("the card has no format called `{name}`")))
}

/// The cards of a family, each with one value of every parameter in its place and the table `family` as it was; of a card without a
/// family, the card. `path` is what diagnostics call it.
///
/// # Errors
/// Everything that is wrong with the family and with what names its parameters.
pub fn expand(path: &str, text: &str) -> Result<Vec<String>, Diagnostics> {
    Ok(family::members(&Source::shared(path, text))?.into_iter().map(|member| member.source.text.clone()).collect())
}

/// A format with what its card says of the others.
struct Read {
    format: Format,
    claims: Vec<Claim>,
    /// The formats of the card that are built with kernels, if not all are.
    kernels: Option<Vec<At<String>>>,
}

/// Reads a card together with what no other card may have.
pub(crate) fn read_claims(source: Arc<Source>, tables: &dyn Tables) -> Result<(Vec<Format>, Vec<Claim>), Diagnostics> {
    let members = family::members(&source)?;
    let (mut formats, mut claims, mut known) = (Vec::new(), Vec::new(), BTreeSet::new());
    let (mut listed, mut covered) = (None, BTreeSet::new());
    for member in &members {
        let Read { format, claims: own, kernels } = read(member, tables, &mut covered)?;
        for claim in own {
            if !known.insert((claim.key, claim.value.clone())) {
                let Claim { key, value, .. } = claim;
                let message = format!("two members of the family have the `{key}` {value}");
                let mut diagnostic = Diagnostic::new(source, Some(member.name), message);
                diagnostic.help("let it tell all parameters, such as `{name}`");
                return Err(diagnostic.into());
            }
            // Where a member says so is not where the card does.
            claims.push(if member.values.is_some() { Claim { span: member.name, ..claim } } else { claim });
        }
        listed = listed.or_else(|| Some((&member.source, kernels?)));
        formats.push(format);
    }
    let names = || formats.iter().map(|format| format.name.as_str());
    let mut found = Diagnostics::default();
    for name in listed.iter().flat_map(|(_, list)| list) {
        if !names().any(|known| known == name.value) {
            let source = listed.as_ref().map_or(&source, |(source, _)| *source);
            let mut diagnostic = Diagnostic::new(
                Arc::clone(source),
                Some(name.span),
                format!("no format of the card is called `{}`", name.value),
            );
            diagnostic.suggest(&name.value, "formats", names());
            found.push(diagnostic);
        }
    }
    if found.is_empty() { Ok((formats, claims)) } else { Err(found) }
}

/// Reads a card, or a member of its family.
fn read(member: &Member, tables: &dyn Tables, covered: &mut BTreeSet<String>) -> Result<Read, Diagnostics> {
    let read = read_document(Arc::clone(&member.source), "the card", |table, sink| {
        let card = Card::read(table, sink);
        let format = check(&card, tables, covered, sink)?;
        let name = card.name.iter().map(|name| Claim::of("name", name));
        let gguf = card.gguf.iter().map(|gguf| Claim::of("gguf", gguf));
        Some(Read { format, claims: name.chain(gguf).collect(), kernels: card.kernels })
    });
    read.map_err(|mut wrong| {
        if let Some(values) = &member.values {
            wrong.note(&format!("in the member of the family with {values}"));
        }
        wrong
    })
}
