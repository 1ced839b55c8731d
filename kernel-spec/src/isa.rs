//! Instruction-set cards: what a processor offers.

use std::sync::Arc;

use crate::claim::Claim;
use crate::diagnostic::{Diagnostics, Sink, Source};
use crate::kernels::PANEL_ROWS;
use crate::walk::{Node, Table, read_document};

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
    /// `features`: Rust target features that the processor must have at run time.
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

/// How an instruction set sums products of bytes: codes, which are unsigned, and quants, which are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dot {
    /// `scalar`: one product at a time.
    Scalar,
    /// `pairs-i16`: pairs of products summed into i16 with saturation.
    PairsI16,
    /// `products-i16`: each product by itself accumulated into i16; codes are taken as signed.
    ProductsI16,
    /// `quads-i32`: four products accumulated into i32.
    QuadsI32,
    /// `signed-quads-i32`: four products accumulated into i32; codes are taken as signed.
    SignedQuadsI32,
}

impl Dot {
    const WORDS: [(&str, Self); 5] = [
        ("scalar", Self::Scalar),
        ("pairs-i16", Self::PairsI16),
        ("products-i16", Self::ProductsI16),
        ("quads-i32", Self::QuadsI32),
        ("signed-quads-i32", Self::SignedQuadsI32),
    ];

    /// Whether products are summed in 16 bits first.
    #[must_use]
    pub const fn is_narrow(self) -> bool {
        matches!(self, Self::PairsI16 | Self::ProductsI16)
    }

    /// Whether codes are taken as signed bytes.
    #[must_use]
    pub const fn is_signed(self) -> bool {
        matches!(self, Self::ProductsI16 | Self::SignedQuadsI32)
    }
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
}

/// Reads an instruction-set card. `path` is what diagnostics call it.
///
/// # Errors
/// Everything that is wrong with the card.
pub fn read_isa(path: &str, text: &str) -> Result<Isa, Diagnostics> {
    read_claims(Source::shared(path, text)).map(|(isa, _)| isa)
}

/// Reads a card together with what no other card may have.
pub(crate) fn read_claims(source: Arc<Source>) -> Result<(Isa, Vec<Claim>), Diagnostics> {
    read_document(source, "the card", read)
}

fn read(mut card: Table<'_>, sink: &mut Sink) -> Option<(Isa, Vec<Claim>)> {
    let name = card.need("name").and_then(|node| node.identifier(sink, true));
    let doc = card.need("doc").and_then(|node| node.line(sink));
    let arch = card.get("arch").map(|node| node.choice(sink, &ARCHES.map(|arch| (arch, arch))));
    let features = card.need("features").and_then(|node| read_features(&node, sink));
    let vector_bits = card.need("vector").and_then(|node| read_vector(&node, sink));
    let registers = card.need("registers").and_then(|node| node.count(sink, 1..=1024));
    let dot = card.need("dot").and_then(|node| node.choice(sink, &Dot::WORDS));
    let rank = card.need("rank").and_then(|node| node.count(sink, 0..=1000));
    card.finish(sink);
    let name = name?;
    let claims = vec![Claim::of("name", &name)];
    let isa = Isa {
        name: name.value,
        doc: doc?,
        arch: match arch {
            Some(arch) => Some(arch?.value.to_owned()),
            None => None,
        },
        features: features?,
        vector_bits: vector_bits?,
        registers: registers?.value,
        dot: dot?.value,
        rank: rank?.value as u32,
    };
    Some((isa, claims))
}

fn read_vector(node: &Node<'_>, sink: &mut Sink) -> Option<usize> {
    let bits = node.count(sink, 32..=65536)?.value;
    if !bits.is_power_of_two() {
        sink.error(node.span, "the width of a vector must be a power of two").help("scalar code has 32");
        return None;
    }
    Some(bits)
}

fn read_features(node: &Node<'_>, sink: &mut Sink) -> Option<Vec<String>> {
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
    (sink.count() == before).then_some(features)
}
