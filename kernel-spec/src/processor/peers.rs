//! How fast ours were beside those of other programs.

use std::collections::BTreeMap;

use super::Peer;
use crate::diagnostic::{Sink, Span};
use crate::walk::Node;

/// Reads the comparisons of a card; one for a program and a batch.
pub(super) fn read(entries: &[Node<'_>], sink: &mut Sink) -> Vec<Peer> {
    let mut peers: Vec<(Peer, Span)> = Vec::new();
    for entry in entries {
        let Some(peer) = read_peer(entry, sink) else { continue };
        if let Some((_, first)) = peers.iter().find(|(first, _)| (&first.name, first.batch) == (&peer.name, peer.batch)) {
            sink.error(entry.span, "two comparisons with the same program at the same batch").also(*first, "the first");
        }
        peers.push((peer, entry.span));
    }
    peers.into_iter().map(|(peer, _)| peer).collect()
}

fn read_peer(node: &Node<'_>, sink: &mut Sink) -> Option<Peer> {
    let mut table = node.table(sink, "an entry of `peer`")?;
    let name = table.need("name").and_then(|node| node.line(sink));
    let record = table.need("record").and_then(|node| node.line(sink));
    let batch = table.need("batch").and_then(|node| node.count(sink, 1..=65536));
    let times = table.need("times").and_then(|node| read_times(&node, sink));
    table.finish(sink);
    Some(Peer { name: name?, record: record?, batch: batch?.value, times: times? })
}

fn read_times(node: &Node<'_>, sink: &mut Sink) -> Option<BTreeMap<String, f64>> {
    let mut times = BTreeMap::new();
    for (format, node) in node.named(sink)? {
        let ratio = node.number(sink)?.value;
        if ratio <= 0.0 {
            sink.error(node.span, "a ratio of times must be above 0").help("a format that was not compared is left out");
            return None;
        }
        times.insert(format.value, ratio);
    }
    Some(times)
}
