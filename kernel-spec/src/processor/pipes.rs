//! How many instructions a processor executes in a cycle.

use std::collections::BTreeSet;

use super::{Kind, Pipes};
use crate::diagnostic::{Sink, Span};
use crate::isa::Isa;
use crate::walk::Node;

/// Reads the pipes of a card; no two entries bound the same instructions.
pub(super) fn read(entries: &[Node<'_>], arch: &str, isas: &[Isa], sink: &mut Sink) -> Vec<Pipes> {
    let mut pipes: Vec<(Pipes, Span)> = Vec::new();
    for entry in entries {
        let Some(read) = read_pipes(entry, arch, isas, sink) else { continue };
        if let Some((_, first)) = pipes.iter().find(|(first, _)| same(first, &read)) {
            sink.error(entry.span, "two bounds of the same instructions").also(*first, "the first");
        }
        pipes.push((read, entry.span));
    }
    pipes.into_iter().map(|(pipes, _)| pipes).collect()
}

/// Whether two entries count the same instructions.
fn same(one: &Pipes, other: &Pipes) -> bool {
    let kinds = |pipes: &Pipes| pipes.of.iter().copied().collect::<BTreeSet<_>>();
    one.vector_bits == other.vector_bits && kinds(one) == kinds(other)
}

fn read_pipes(node: &Node<'_>, arch: &str, isas: &[Isa], sink: &mut Sink) -> Option<Pipes> {
    let mut table = node.table(sink, "an entry of `pipes`")?;
    let vector_bits = table.need("vector").and_then(|node| read_vector(&node, arch, isas, sink));
    let of = table.need("of").and_then(|node| read_kinds(&node, sink));
    let a_cycle = table.need("a_cycle").and_then(|node| read_rate(&node, sink));
    table.finish(sink);
    Some(Pipes { vector_bits: vector_bits?, of: of?, a_cycle: a_cycle? })
}

/// A width that kernels for the architecture have.
fn read_vector(node: &Node<'_>, arch: &str, isas: &[Isa], sink: &mut Sink) -> Option<usize> {
    let bits = node.count(sink, 1..=65536)?.value;
    let fitting = isas.iter().filter(|isa| isa.arch.as_deref().is_none_or(|other| other == arch));
    let widths = fitting.map(|isa| isa.vector_bits).collect::<BTreeSet<_>>();
    if !widths.contains(&bits) {
        let widths = widths.iter().map(ToString::to_string).collect::<Vec<_>>();
        sink.error(node.span, format!("no instruction set of `{arch}` has vectors of {bits} bits"))
            .note(format!("they have {}", widths.join(", ")));
        return None;
    }
    Some(bits)
}

fn read_kinds(node: &Node<'_>, sink: &mut Sink) -> Option<Vec<Kind>> {
    let before = sink.count();
    let mut kinds: Vec<Kind> = Vec::new();
    for entry in node.list(sink)? {
        let Some(kind) = entry.choice(sink, &Kind::ALL.map(|kind| (kind.name(), kind))) else { continue };
        if kinds.contains(&kind.value) {
            sink.error(entry.span, format!("`{}` is listed twice", kind.value.name()));
        }
        kinds.push(kind.value);
    }
    if kinds.is_empty() && sink.count() == before {
        sink.error(node.span, "there is no kind of instruction");
    }
    (sink.count() == before).then_some(kinds)
}

fn read_rate(node: &Node<'_>, sink: &mut Sink) -> Option<f64> {
    let rate = node.number(sink)?.value;
    if rate <= 0.0 {
        sink.error(node.span, "`a_cycle` must be above 0").help("what a processor does not execute is left out");
        return None;
    }
    Some(rate)
}
