//! Reading the steps of a layer.

use super::read::{MAX_EVERY, some};
use super::section::{Section, entry};
use super::{Attention, Experts, Gated, Known, Matrices, Op, Step, Window};
use crate::diagnostic::Sink;
use crate::walk::Node;

/// The longest window that a card has for files which say nothing.
const MAX_WINDOW: u32 = 1 << 20;

/// The steps of a layer.
pub fn read_layer(node: &Node<'_>, known: Known<'_>, sink: &mut Sink) -> Option<Vec<Step>> {
    let before = sink.count();
    let nodes = node.list(sink)?;
    let steps = nodes.iter().filter_map(|node| read_step(node, known, sink)).collect::<Vec<_>>();
    (sink.count() == before && some(&node.span, &steps, sink)).then_some(steps)
}

/// What a step does, as cards call it.
#[derive(Clone, Copy)]
enum Kind {
    Attention,
    Gated,
    Experts,
}

fn read_step(node: &Node<'_>, known: Known<'_>, sink: &mut Sink) -> Option<Step> {
    let table = node.table(sink, "the step")?;
    let mut table = Section::new(Some(table), false);
    let norm = table.name("norm", None, sink);
    let Some(op) = table.get("op") else {
        // What else it needs, and may have, depends on that.
        sink.error(node.span, "the step needs the key `op`").help("say what it does: `op = \"attention\"`");
        return None;
    };
    let kind = op.choice(sink, &[("attention", Kind::Attention), ("gated", Kind::Gated), ("experts", Kind::Experts)]);
    let (post_norm, residual) = (table.optional("post_norm", None, sink), table.optional("residual", None, sink));
    let op = match kind?.value {
        Kind::Attention => read_attention(&mut table, sink).map(Op::Attention),
        Kind::Gated => read_gated(&mut table, known, sink).map(Op::Gated),
        Kind::Experts => read_experts(&mut table, known, sink).map(Op::Experts),
    };
    table.finish(sink);
    Some(Step { norm: norm?, op: op?, post_norm: post_norm?, residual: residual? })
}

/// Matrices that multiply the same values: tensors of their own, one that is fused, or whichever a file has.
fn read_matrices<const N: usize>(
    table: &mut Section<'_>,
    keys: [&'static str; N],
    fused: &'static str,
    sink: &mut Sink,
) -> Option<Matrices<N>> {
    let is_fused = table.get(fused).is_some();
    let fused = table.optional(fused, None, sink);
    let given = keys.map(|key| table.get(key).is_some());
    if is_fused && !given.contains(&true) {
        return Some(Matrices { each: None, fused: fused? });
    }
    let each = keys.map(|key| table.name(key, None, sink));
    let each = each.into_iter().collect::<Option<Vec<_>>>()?;
    Some(Matrices { each: Some(each.try_into().ok()?), fused: fused? })
}

fn read_attention(table: &mut Section<'_>, sink: &mut Sink) -> Option<Attention> {
    let inputs = read_matrices(table, ["q", "k", "v"], "qkv", sink);
    let out = table.name("out", None, sink);
    let q_norm = table.optional("q_norm", None, sink);
    let k_norm = table.optional("k_norm", None, sink);
    let scale = table.optional("scale", None, sink);
    let sinks = table.optional("sinks", None, sink);
    let temperature = table.optional("temperature", None, sink);
    let window = match table.get("window") {
        Some(node) => read_window(&node, sink).map(Some),
        None => Some(None),
    };
    Some(Attention {
        inputs: inputs?,
        out: out?,
        q_norm: q_norm?,
        k_norm: k_norm?,
        scale: scale?,
        window: window?,
        sinks: sinks?,
        temperature: temperature?,
    })
}

fn read_window(node: &Node<'_>, sink: &mut Sink) -> Option<Window> {
    let mut table = node.table(sink, "a window")?;
    let key = table.need("key").and_then(|node| entry(&node, sink));
    let every = match table.get("every") {
        Some(node) => node.count(sink, 2..=MAX_EVERY).map(|at| Some(at.value)),
        None => Some(None),
    };
    let default = match table.get("default") {
        Some(node) => node.count(sink, 0..=MAX_WINDOW).map(|at| Some(at.value)),
        None => Some(None),
    };
    table.finish(sink);
    Some(Window { key: key?, every: every?, default: default? })
}

fn read_gated(table: &mut Section<'_>, known: Known<'_>, sink: &mut Sink) -> Option<Gated> {
    let inputs = read_matrices(table, ["gate", "up"], "gate_up", sink);
    let down = table.name("down", None, sink);
    let words = known.activations.iter().map(|name| (*name, *name)).collect::<Vec<_>>();
    let act = table.need("act").and_then(|node| node.choice(sink, &words));
    Some(Gated { inputs: inputs?, down: down?, act: act?.value.to_owned() })
}

fn read_experts(table: &mut Section<'_>, known: Known<'_>, sink: &mut Sink) -> Option<Experts> {
    let count = table.name("count", None, sink);
    let used = table.name("used", None, sink);
    let router = table.name("router", None, sink);
    let network = read_gated(table, known, sink);
    Some(Experts { count: count?, used: used?, router: router?, network: network? })
}
