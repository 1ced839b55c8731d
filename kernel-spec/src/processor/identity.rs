//! How a processor is recognised.

use std::ops::RangeInclusive;

use super::Identity;
use crate::diagnostic::{Sink, Span};
use crate::walk::Node;

/// Largest family or model: more than any processor says.
const MAX_NUMBER: u32 = 0xffff;

/// An identity and where it is written.
#[derive(Clone)]
pub(super) struct Written {
    pub identity: Identity,
    pub span: Span,
}

/// Reads the identities of a card; no two of them recognise the same processor.
pub(super) fn read(node: &Node<'_>, entries: &[Node<'_>], arch: &str, sink: &mut Sink) -> Vec<Written> {
    if entries.is_empty() {
        sink.error(node.span, "there is no identity")
            .help("without one the card describes no processor: say what it is told by");
    }
    let mut identities: Vec<Written> = Vec::new();
    for entry in entries {
        let Some(written) = read_identity(entry, arch, sink) else { continue };
        if let Some((first, shared)) =
            identities.iter().find_map(|first| Some((first, first.identity.shared(&written.identity)?)))
        {
            sink.error(written.span, format!("two identities recognise {shared}")).also(first.span, "the first");
        }
        identities.push(written);
    }
    identities
}

fn read_identity(node: &Node<'_>, arch: &str, sink: &mut Sink) -> Option<Written> {
    let mut table = node.table(sink, "an identity")?;
    let vendor = table.need("vendor").and_then(|node| node.line(sink));
    let family = if arch.starts_with("x86") { table.need("family") } else { table.get("family") };
    let family = family.and_then(|node| node.count(sink, 0..=MAX_NUMBER)).map(|family| family.value as u32);
    let models = table.get("models").map_or(Some(Vec::new()), |node| read_models(&node, sink));
    table.finish(sink);
    Some(Written { identity: Identity { vendor: vendor?, family, models: models? }, span: node.span })
}

fn read_models(node: &Node<'_>, sink: &mut Sink) -> Option<Vec<RangeInclusive<u32>>> {
    let before = sink.count();
    let mut models: Vec<RangeInclusive<u32>> = Vec::new();
    for entry in node.list(sink)? {
        let Some(range) = read_range(&entry, sink) else { continue };
        if let Some(model) = models.iter().find_map(|other| first_of_both(other, &range)) {
            sink.error(entry.span, format!("model {model:#x} is listed twice"));
        }
        models.push(range);
    }
    if models.is_empty() && sink.count() == before {
        sink.error(node.span, "there is no model").help("leave `models` out for all of them");
    }
    (sink.count() == before).then_some(models)
}

/// A model, or the first and the last of a range.
fn read_range(node: &Node<'_>, sink: &mut Sink) -> Option<RangeInclusive<u32>> {
    let number = |node: &Node<'_>, sink: &mut Sink| Some(node.count(sink, 0..=MAX_NUMBER)?.value as u32);
    if !node.is_list() {
        let model = number(node, sink)?;
        return Some(model..=model);
    }
    let [first, last] = &node.list(sink)?[..] else {
        sink.error(node.span, "a range of models is its first and its last");
        return None;
    };
    let (first, last) = (number(first, sink)?, number(last, sink)?);
    if last < first {
        sink.error(node.span, "there is no model in this range").label("it ends before it begins");
        return None;
    }
    Some(first..=last)
}

/// The first number that two ranges share.
fn first_of_both(one: &RangeInclusive<u32>, other: &RangeInclusive<u32>) -> Option<u32> {
    let first = *one.start().max(other.start());
    (first <= *one.end().min(other.end())).then_some(first)
}

impl Identity {
    /// A processor that both recognise, in words.
    pub(super) fn shared(&self, other: &Self) -> Option<String> {
        let family = self.family.or(other.family);
        if self.vendor != other.vendor || other.family.is_some_and(|other| family != Some(other)) {
            return None;
        }
        let any = [0..=u32::MAX];
        let ranges = |models: &[RangeInclusive<u32>]| if models.is_empty() { any.to_vec() } else { models.to_vec() };
        let theirs = ranges(&other.models);
        let model = ranges(&self.models).iter().find_map(|one| theirs.iter().find_map(|other| first_of_both(one, other)))?;
        let family = family.map_or_else(String::new, |family| format!(" family {family}"));
        let is_any = self.models.is_empty() && other.models.is_empty();
        let model = if is_any { String::new() } else { format!(" model {model:#x}") };
        Some(format!("`{}`{family}{model}", self.vendor))
    }
}
