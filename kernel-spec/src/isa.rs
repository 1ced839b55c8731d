//! Instruction-set cards: what a processor offers.

mod base;

use std::iter::successors;
use std::sync::Arc;

pub use quantloom_abi::Dot;
use quantloom_abi::PANEL_ROWS;

use crate::claim::Claim;
use crate::diagnostic::{Diagnostics, Sink, Source, Span};
use crate::walk::{At, Node, Table, read_document};

/// Architectures that a card may ask for, as Rust names them.
const ARCHES: [&str; 8] = ["x86_64", "aarch64", "x86", "arm", "riscv64", "loongarch64", "powerpc64", "wasm32"];

/// Bits of one f32.
const LANE: usize = 32;

/// An instruction set: a card in `isa/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Isa {
    /// `name`: what users write.
    pub name: String,
    /// `doc`: one line that says which processors have it.
    pub doc: String,
    /// `arch`: the architecture it belongs to, as Rust's `target_arch` has it; without it, any.
    pub arch: Option<String>,
    /// `base`: an instruction set that this one contains, of lower rank. Its kernels are used for a numerics class that this one has
    /// no variants of.
    pub base: Option<String>,
    /// `features`: Rust target features that the processor must have at run time, those of the base included.
    pub features: Vec<String>,
    /// `vector`: bits of a vector register, a power of two; 32 for scalar code.
    pub vector_bits: usize,
    /// `registers`: how many vector registers there are, 1 to 1024.
    pub registers: usize,
    /// `dot`: how products of bytes are summed.
    pub dot: Dot,
    /// `rank`: the highest that a processor can run is preferred; 0 to 1000.
    pub rank: u32,
}

impl Isa {
    /// Rows that one vector register holds, an f32 each; at most 16, as many as are interleaved.
    #[must_use]
    pub fn lanes(&self) -> usize {
        (self.vector_bits / LANE).clamp(1, PANEL_ROWS)
    }

    /// Whether code for it uses no vectors.
    #[must_use]
    pub const fn is_scalar(&self) -> bool {
        self.vector_bits <= LANE
    }

    /// Itself, its base, the base of that, and so on, as far as `isas` has them.
    pub fn lineage<'i>(&'i self, isas: &'i [Self]) -> impl Iterator<Item = &'i Self> {
        successors(Some(self), |isa| isas.iter().find(|other| isa.base.as_ref() == Some(&other.name)))
    }
}

/// An instruction set and where the parts are written that must fit other cards.
pub(crate) struct Written {
    pub isa: Isa,
    source: Arc<Source>,
    base: Option<Span>,
    features: Span,
    rank: Span,
}

pub(crate) use base::check as check_bases;

/// Reads an instruction-set card by itself: whether its base fits shows only beside the card of that. `path` is what diagnostics
/// call it.
///
/// # Errors
/// Everything that is wrong with the card.
pub fn read_isa(path: &str, text: &str) -> Result<Isa, Diagnostics> {
    read_claims(Source::shared(path, text)).map(|(written, _)| written.isa)
}

/// Reads a card together with what no other card may have.
pub(crate) fn read_claims(source: Arc<Source>) -> Result<(Written, Vec<Claim>), Diagnostics> {
    let shared = Arc::clone(&source);
    read_document(source, "the card", |card, sink| read(card, shared, sink))
}

fn read(mut card: Table<'_>, source: Arc<Source>, sink: &mut Sink) -> Option<(Written, Vec<Claim>)> {
    let name = card.need("name").and_then(|node| node.identifier(sink, true));
    let doc = card.need("doc").and_then(|node| node.line(sink));
    let arch = card.get("arch").map(|node| read_arch(&node, sink));
    let base = card.get("base").map(|node| node.identifier(sink, true));
    let features = card.need("features").and_then(|node| read_features(&node, sink));
    let vector_bits = card.need("vector").and_then(|node| read_vector(&node, sink));
    let registers = card.need("registers").and_then(|node| node.count(sink, 1..=1024));
    let dot = card.need("dot").and_then(|node| node.choice(sink, &Dot::ALL.map(|word| (word.name(), word))));
    let rank = card.need("rank").and_then(|node| node.count(sink, 0..=1000));
    card.finish(sink);
    let (name, features, rank) = (name?, features?, rank?);
    let claims = vec![Claim::of("name", &name)];
    let base = match base {
        Some(base) => Some(base?),
        None => None,
    };
    let base_span = base.as_ref().map(|base| base.span);
    let isa = Isa {
        name: name.value,
        doc: doc?,
        arch: match arch {
            Some(arch) => Some(arch?.to_owned()),
            None => None,
        },
        base: base.map(|base| base.value),
        features: features.value,
        vector_bits: vector_bits?,
        registers: registers?.value,
        dot: dot?.value,
        rank: rank.value as u32,
    };
    Some((Written { isa, source, base: base_span, features: features.span, rank: rank.span }, claims))
}

/// An architecture, as Rust names it.
pub(crate) fn read_arch(node: &Node<'_>, sink: &mut Sink) -> Option<&'static str> {
    node.choice(sink, &ARCHES.map(|arch| (arch, arch))).map(|arch| arch.value)
}

fn read_vector(node: &Node<'_>, sink: &mut Sink) -> Option<usize> {
    let bits = node.count(sink, 32..=65536)?.value;
    if !bits.is_power_of_two() {
        sink.error(node.span, "the width of a vector must be a power of two").help("scalar code has 32");
        return None;
    }
    Some(bits)
}

fn read_features(node: &Node<'_>, sink: &mut Sink) -> Option<At<Vec<String>>> {
    let mut features: Vec<String> = Vec::new();
    let before = sink.count();
    for entry in node.list(sink)? {
        let Some(feature) = entry.text(sink) else { continue };
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if feature.value.is_empty() || !feature.value.chars().all(fits) {
            sink.error(entry.span, format!("`{}` cannot be a target feature", feature.value));
        } else if features.iter().any(|other| other == feature.value) {
            sink.error(entry.span, format!("feature `{}` is listed twice", feature.value));
        } else {
            features.push(feature.value.to_owned());
        }
    }
    (sink.count() == before).then_some(At { span: node.span, value: features })
}
