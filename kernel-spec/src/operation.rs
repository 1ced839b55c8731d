//! Operation cards: what one call computes, from its prologue to its epilogue.

use std::sync::Arc;

use crate::claim::Claim;
use crate::diagnostic::{Diagnostics, Sink, Source};
use crate::kernels::{self, Kernels};
use crate::walk::{At, Node, Table, check_identifier, read_document};

/// An operation: a card in `operations/`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Operation {
    /// `name`: what users write.
    pub name: String,
    /// `doc`: one line that says what it computes.
    pub doc: String,
    /// `kernels`: the kernel card whose kernels make its products, as that card calls its operation. What was measured of them holds for
    /// every operation that they serve.
    pub kernels: kernels::Operation,
    /// `prologue`: what becomes of a row of activations before the products. Without it, nothing.
    pub prologue: Prologue,
    /// `projections`: how many weights multiply the same activations in one call.
    pub projections: Projections,
    /// `epilogue`: what becomes of the sums before they are written. Without it, nothing.
    pub epilogue: Epilogue,
}

/// What becomes of a row of activations before it is multiplied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Prologue {
    /// `none`: nothing.
    #[default]
    None,
    /// `rms-norm`: it is divided by the root of the mean of its squares, and multiplied by the weights of the norm.
    RmsNorm,
}

/// The weights of a call, all of which multiply the same activations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Projections {
    /// `one`: one matrix.
    One,
    /// `several`: one or more, each with an output of its own.
    Several,
    /// `gated`: two with as many rows, gate and up, which have one output.
    Gated,
}

/// What becomes of sums before they are written, in the order of these keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Epilogue {
    /// `bias`: `true` where a call may add a number to each row of a projection.
    pub bias: bool,
    /// `activation`: the function of a gate, by the name of its source file: what is written is its value times the other projection's, or
    /// that of a function of both.
    pub activation: Option<String>,
    /// `residual`: `true` where a call may add an array of the shape of the output.
    pub residual: bool,
}

impl Prologue {
    /// Every prologue.
    pub const ALL: [Self; 2] = [Self::None, Self::RmsNorm];

    /// The word that cards have for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::RmsNorm => "rms-norm",
        }
    }
}

impl Projections {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::One, Self::Several, Self::Gated];

    /// The word that cards have for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::One => "one",
            Self::Several => "several",
            Self::Gated => "gated",
        }
    }
}

/// Reads an operation card whose products are made by `kernels`. `path` is what diagnostics call it.
///
/// # Errors
/// Everything that is wrong with the card.
pub fn read_operation(path: &str, text: &str, kernels: &[Kernels]) -> Result<Operation, Diagnostics> {
    read_claims(Source::shared(path, text), kernels).map(|(operation, _)| operation)
}

/// Reads a card together with what no other card may have.
pub(crate) fn read_claims(source: Arc<Source>, kernels: &[Kernels]) -> Result<(Operation, Vec<Claim>), Diagnostics> {
    read_document(source, "the card", |card, sink| read(card, kernels, sink))
}

fn read(mut card: Table<'_>, kernels: &[Kernels], sink: &mut Sink) -> Option<(Operation, Vec<Claim>)> {
    let name = card.need("name").and_then(|node| node.identifier(sink, true));
    let doc = card.need("doc").and_then(|node| node.line(sink));
    let known = kernels.iter().map(|card| (card.operation.name(), card.operation)).collect::<Vec<_>>();
    let kernels = card.need("kernels").and_then(|node| node.choice(sink, &known));
    let prologue = card.get("prologue");
    let prologue = prologue.map(|node| node.choice(sink, &Prologue::ALL.map(|word| (word.name(), word))));
    let projections = card.need("projections");
    let projections = projections.and_then(|node| node.choice(sink, &Projections::ALL.map(|word| (word.name(), word))));
    let epilogue = card.get("epilogue").map(|node| Written::read(&node, sink));
    card.finish(sink);
    let (projections, epilogue) = (projections?, epilogue.unwrap_or_else(|| Some(Written::default()))?);
    epilogue.check(&projections, sink);
    let name = name?;
    let claims = vec![Claim::of("name", &name)];
    let operation = Operation {
        name: name.value,
        doc: doc?,
        kernels: kernels?.value,
        prologue: prologue.map_or_else(|| Some(Prologue::default()), |read| read.map(|at| at.value))?,
        projections: projections.value,
        epilogue: Epilogue {
            bias: epilogue.bias.is_some(),
            activation: epilogue.activation.map(|at| at.value),
            residual: epilogue.residual.is_some(),
        },
    };
    Some((operation, claims))
}

/// The parts of an epilogue, and where they are written.
#[derive(Default)]
struct Written {
    bias: Option<At<()>>,
    activation: Option<At<String>>,
    residual: Option<At<()>>,
}

impl Written {
    fn read(node: &Node<'_>, sink: &mut Sink) -> Option<Self> {
        let before = sink.count();
        let mut table = node.table(sink, "an epilogue")?;
        let bias = table.get("bias").and_then(|node| read_mark(&node, sink));
        let activation = table.get("activation").and_then(|node| read_function(&node, sink));
        let residual = table.get("residual").and_then(|node| read_mark(&node, sink));
        table.finish(sink);
        (sink.count() == before).then_some(Self { bias, activation, residual })
    }

    /// Checks what only some projections have.
    fn check(&self, projections: &At<Projections>, sink: &mut Sink) {
        let word = projections.value.name();
        match (&self.activation, projections.value) {
            (None, Projections::Gated) => {
                sink.error(projections.span, "a gate needs an activation function")
                    .help("name it: `epilogue = { activation = \"silu\" }`");
            }
            (Some(function), Projections::One | Projections::Several) => {
                sink.error(function.span, format!("only a gate has an activation function, and `{word}` has no gate"))
                    .also(projections.span, "`gated` has one");
            }
            _ => {}
        }
        if let (Some(residual), Projections::Several) = (&self.residual, projections.value) {
            sink.error(residual.span, "a residual is added to one output")
                .also(projections.span, "each of `several` has its own");
        }
    }
}

/// A key that is there or not, and never `false`.
fn read_mark(node: &Node<'_>, sink: &mut Sink) -> Option<At<()>> {
    let flag = node.flag(sink)?;
    if !flag.value {
        sink.error(flag.span, format!("{} is `true` or left out", node.name()));
        return None;
    }
    Some(flag.map(drop))
}

/// The name of a function in code.
fn read_function(node: &Node<'_>, sink: &mut Sink) -> Option<At<String>> {
    let text = node.text(sink)?;
    let name = check_identifier(text, false, sink)?;
    if name.value.chars().any(|c| c.is_ascii_uppercase()) {
        sink.error(name.span, format!("`{}` cannot be a function", name.value)).label("must be of small letters");
        return None;
    }
    Some(name)
}
