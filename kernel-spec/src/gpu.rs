//! GPU dialect cards: what kernels for a graphics processor are generated with.

use std::sync::Arc;

use crate::claim::Claim;
use crate::diagnostic::{Diagnostics, Sink, Source};
use crate::walk::{Node, Table, read_document};

/// Most threads of a group on any device.
const MAX_WORKGROUP: u32 = 1024;

/// Largest factor that the depth of a product is split by.
const MAX_SPLIT: u32 = 1024;

/// A GPU dialect: a card in `gpu/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// `name`: what users write.
    pub name: String,
    /// `doc`: one line that says which devices speak it.
    pub doc: String,
    /// `workgroup`: threads of a group, 1 to 1024.
    pub workgroup: usize,
    /// `subgroup`: threads that run in step, which divide a group; 0: nothing is assumed.
    pub subgroup: usize,
    /// `splitk`: the factors by which kernels may split K, ascending powers of two.
    pub splitk: Vec<usize>,
}

/// The cards that quantloom ships, by name.
const SHIPPED: [(&str, &str); 5] = [
    ("cuda", include_str!("../gpu/cuda.toml")),
    ("hip", include_str!("../gpu/hip.toml")),
    ("metal", include_str!("../gpu/metal.toml")),
    ("opencl", include_str!("../gpu/opencl.toml")),
    ("wgsl", include_str!("../gpu/wgsl.toml")),
];

/// The dialect of that name that quantloom ships, if there is one.
pub fn shipped(name: &str) -> Option<Result<Dialect, Diagnostics>> {
    let (name, text) = SHIPPED.into_iter().find(|(known, _)| *known == name)?;
    Some(read_dialect(&format!("gpu/{name}.toml"), text))
}

/// Reads a GPU dialect card. `path` is what diagnostics call it.
///
/// # Errors
/// Everything that is wrong with the card.
pub fn read_dialect(path: &str, text: &str) -> Result<Dialect, Diagnostics> {
    read_claims(Source::shared(path, text)).map(|(dialect, _)| dialect)
}

/// Reads a card together with what no other card may have.
pub(crate) fn read_claims(source: Arc<Source>) -> Result<(Dialect, Vec<Claim>), Diagnostics> {
    read_document(source, "the card", read)
}

fn read(mut card: Table<'_>, sink: &mut Sink) -> Option<(Dialect, Vec<Claim>)> {
    let name = card.need("name").and_then(|node| node.identifier(sink, true));
    let doc = card.need("doc").and_then(|node| node.line(sink));
    let group = card.need("workgroup");
    let workgroup = group.as_ref().and_then(|node| node.count(sink, 1..=MAX_WORKGROUP));
    let subgroup = card.need("subgroup").and_then(|node| node.count(sink, 0..=MAX_WORKGROUP));
    let splitk = card.need("splitk").and_then(|node| read_factors(&node, sink));
    card.finish(sink);
    let (name, workgroup, subgroup) = (name?, workgroup?, subgroup?);
    if subgroup.value > 0 && workgroup.value % subgroup.value != 0 {
        sink.error(workgroup.span, "a group must be whole subgroups")
            .also(subgroup.span, format!("{} threads each", subgroup.value));
    }
    let claims = vec![Claim::of("name", &name)];
    let (workgroup, subgroup) = (workgroup.value, subgroup.value);
    Some((Dialect { name: name.value, doc: doc?, workgroup, subgroup, splitk: splitk? }, claims))
}

fn read_factors(node: &Node<'_>, sink: &mut Sink) -> Option<Vec<usize>> {
    let mut factors: Vec<usize> = Vec::new();
    let before = sink.count();
    for entry in node.list(sink)? {
        let Some(factor) = entry.count(sink, 1..=MAX_SPLIT) else { continue };
        if !factor.value.is_power_of_two() {
            sink.error(entry.span, "a split factor must be a power of two");
        } else if factors.last().is_some_and(|last| *last >= factor.value) {
            sink.error(entry.span, "split factors must ascend");
        } else {
            factors.push(factor.value);
        }
    }
    if factors.is_empty() && sink.count() == before {
        sink.error(node.span, "there is no split factor").help("`[1]` does not split");
    }
    (sink.count() == before).then_some(factors)
}
