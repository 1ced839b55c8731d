//! Model cards: the architecture of a language model, in terms that a runner knows.
//!
//! A card names metadata, which stand under the architecture's name in a file, and tensors; it has no conditions. Biases are added where
//! a file has them: they are called as their weights are, but for the end of the name.

mod layer;
mod read;
mod section;
mod shipped;

use std::sync::Arc;

use crate::claim::Claim;
use crate::diagnostic::{Diagnostics, Source};
use crate::walk::read_document;
pub use shipped::{shipped, texts};

/// An architecture: a card in `models/`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Architecture {
    /// `name`: what people call it.
    pub name: String,
    /// `doc`: one line that says what is special about it, and who has it.
    pub doc: String,
    /// `arch`: what files call it, under `general.architecture`.
    pub arch: Vec<String>,
    /// `with`: metadata; the card is that of files that have a number above 0 there. Without it, of all others of its `arch`.
    pub with: Option<String>,
    /// `extends`: the card whose tables hold where this one has none, or not that key. A card's `[[layer]]` are all of them.
    pub extends: Option<String>,
    /// `ignored`: metadata that change no result.
    pub ignored: Vec<String>,
    /// `size`: which metadata say how large it is.
    pub size: Size,
    /// `rope`: how positions rotate queries and keys.
    pub rope: Rope,
    /// `embedding`: what tokens become.
    pub embedding: Embedding,
    /// `layer`: the steps of a layer, each of which adds to what goes through the model. Tensors are those of the layer: `blk.N.NAME`.
    pub layer: Vec<Step>,
    /// `head`: what becomes of the last layer's result.
    pub head: Head,
}

/// Which metadata say how large a model is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Size {
    /// `layers`: how many layers there are.
    pub layers: String,
    /// `width`: values of a token between layers.
    pub width: String,
    /// `context`: positions of a sequence, at most.
    pub context: String,
    /// `heads`: query heads.
    pub heads: String,
    /// `kv`: key heads, and value heads. As many as query heads, where a file does not say.
    pub kv: String,
    /// `key`: values of a head of queries or keys. Where a file does not say, the width is divided among query heads.
    pub key: String,
    /// `value`: values of a head of values, which must be as many.
    pub value: String,
    /// `eps`: what is added to mean squares in norms.
    pub eps: String,
    /// `except`: numbers of layers of those models that the card is wrong for.
    pub except: Vec<usize>,
}

/// How positions rotate queries and keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rope {
    /// `pairs`: which values of a head are rotated together.
    pub pairs: Pairs,
    /// `dims`: metadata; values of a head that are rotated. All, where a file does not say.
    pub dims: String,
    /// `base`: metadata; what angles are powers of. 10000, where a file does not say.
    pub base: String,
    /// `scaling`: metadata that say how the context was stretched begin so.
    pub scaling: String,
    /// `factors`: a tensor that angles are divided by, where a file has it.
    pub factors: Option<String>,
    /// `factors_long`: a tensor that angles are divided by, where a file has it and its context is longer than it was at first.
    pub factors_long: Option<String>,
    /// `factors_short`: the same where the context is not longer.
    pub factors_short: Option<String>,
    /// `window`: the base in layers that see a window; nothing is stretched there. Without it, as elsewhere.
    pub window: Option<WindowBase>,
    /// `unrotated`: every so-manieth layer does not rotate.
    pub unrotated: Option<usize>,
}

/// What angles are powers of in layers that see a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowBase {
    /// `key`: metadata.
    pub key: String,
    /// `default`: what it is where a file does not say.
    pub default: u32,
}

/// Which values of a head are rotated together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pairs {
    /// `neighbours`: values 2i and 2i + 1.
    Neighbours,
    /// `halves`: values i and i + n, of n pairs.
    Halves,
}

/// What tokens become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Embedding {
    /// `tensor`: a row for each token.
    pub tensor: String,
    /// `scale`: what rows are multiplied by; without it, nothing.
    pub scale: Option<Scale>,
}

/// What the rows of an embedding are multiplied by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scale {
    /// `sqrt-width`: the root of the width.
    SqrtWidth,
    /// Any other text: metadata.
    Key(String),
}

/// A step of a layer: `x + residual * post_norm(op(norm(x)))`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// `norm`: a tensor, the weights of the norm before it.
    pub norm: String,
    /// `op`: what it does.
    pub op: Op,
    /// `post_norm`: a tensor, the weights of a norm after it.
    pub post_norm: Option<String>,
    /// `residual`: metadata; what its result is multiplied by.
    pub residual: Option<String>,
}

/// What a step of a layer does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// `attention`.
    Attention(Attention),
    /// `gated`: a feed-forward network, `down (act(gate x) * (up x))`.
    Gated(Gated),
    /// `experts`: several of those, of which each token goes through a few.
    Experts(Experts),
}

/// Matrices that multiply the same values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matrices<const N: usize> {
    /// Tensors, one for each. Without them, a file must have the one that is fused.
    pub each: Option<[String; N]>,
    /// A tensor that has the rows of all, one matrix behind the other: it is taken where a file has it.
    pub fused: Option<String>,
}

/// Attention to positions before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attention {
    /// `q`, `k`, `v`: tensors, queries, keys and values; `qkv`: a tensor that has the rows of all three, in that order. It is taken where a
    /// file has it, or the card names no others.
    pub inputs: Matrices<3>,
    /// `out`: a tensor, from heads to the width.
    pub out: String,
    /// `q_norm`: a tensor, the weights of the norm of each query head.
    pub q_norm: Option<String>,
    /// `k_norm`: the same of keys.
    pub k_norm: Option<String>,
    /// `scale`: metadata; what scores are multiplied by. Without it, the root of a head's size divides them.
    pub scale: Option<String>,
    /// `window`: what a query sees. Without it, all positions up to its own.
    pub window: Option<Window>,
    /// `sinks`: a tensor; for each query head a score of a key that has no value.
    pub sinks: Option<String>,
    /// `temperature`: metadata, where a file has them; by how much queries grow with the logarithm of their position.
    pub temperature: Option<String>,
}

/// What a query sees in some layers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// `key`: metadata; so many positions, the query's own among them.
    pub key: String,
    /// `every`: every so-manieth layer has no window. Without it, all layers have.
    pub every: Option<usize>,
    /// `default`: what it is where a file does not say; 0: no window, as where a file says so. Without it, a file must say.
    pub default: Option<usize>,
}

/// A feed-forward network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gated {
    /// `gate`, `up`: tensors, the gate and what it multiplies; `gate_up`: a tensor that has the rows of both, in that order. It is taken where
    /// a file has it, or the card names no others.
    pub inputs: Matrices<2>,
    /// `down`: a tensor, back to the width.
    pub down: String,
    /// `act`: the activation function of the gate, as operation cards call it.
    pub act: String,
}

/// Feed-forward networks, a few of which each token goes through. Their tensors have the matrices of all, one expert behind the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Experts {
    /// `count`: metadata; how many experts there are.
    pub count: String,
    /// `used`: metadata; how many of them a token goes through. What they come to is weighted by the softmax of what the router says of them.
    pub used: String,
    /// `router`: a tensor, a row for each expert.
    pub router: String,
    /// The network of an expert: the same keys.
    pub network: Gated,
}

/// What becomes of the last layer's result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// `norm`: a tensor, the weights of the last norm.
    pub norm: String,
    /// `tensor`: a row for each token.
    pub tensor: String,
    /// `tied`: a tensor, that of the embedding: it is taken where a file has not `tensor`.
    pub tied: Option<String>,
    /// `divisor`: metadata; what logits are divided by.
    pub divisor: Option<String>,
}

impl Window {
    /// Whether a layer has it.
    #[must_use]
    pub fn is_in(&self, layer: usize) -> bool {
        self.every.is_none_or(|every| !(layer + 1).is_multiple_of(every))
    }
}

impl Rope {
    /// Whether a layer rotates queries and keys.
    #[must_use]
    pub fn is_in(&self, layer: usize) -> bool {
        self.unrotated.is_none_or(|every| !(layer + 1).is_multiple_of(every))
    }
}

/// What a card may refer to.
#[derive(Clone, Copy, Debug)]
pub struct Known<'k> {
    /// Architectures that it may extend.
    pub bases: &'k [Architecture],
    /// Names of activation functions.
    pub activations: &'k [&'k str],
}

/// Reads a model card. `path` is what diagnostics call it.
///
/// # Errors
/// Everything that is wrong with the card.
pub fn read_architecture(path: &str, text: &str, known: Known<'_>) -> Result<Architecture, Diagnostics> {
    read_claims(Source::shared(path, text), known).map(|(architecture, _)| architecture)
}

/// Reads a card together with what no other card may have.
fn read_claims(source: Arc<Source>, known: Known<'_>) -> Result<(Architecture, Vec<Claim>), Diagnostics> {
    read_document(source, "the card", |card, sink| read::read(card, known, sink))
}
