//! Processor cards: what is known of a microarchitecture.

mod check;
mod identity;
mod peers;
mod pipes;
mod start;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

pub use quantloom_abi::Kind;

use crate::claim::Claim;
use crate::diagnostic::{Diagnostics, Sink, Source};
use crate::isa::{Isa, read_arch};
use crate::kernels::{Kernels, Numerics, Schedule};
use crate::walk::{Node, Table, read_document};

pub(crate) use check::check as check_identities;

/// What users write for no card at all.
const NONE: &str = "none";

/// A microarchitecture: a card in `processors/`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Processor {
    /// `name`: what users write; `none` is for no card.
    pub name: String,
    /// `doc`: one line that says which processors it describes.
    pub doc: String,
    /// `arch`: the architecture it belongs to, as Rust's `target_arch` has it.
    pub arch: String,
    /// `source`: where the facts come from, at least one line: a manual with its section, a table of measurements.
    pub source: Vec<String>,
    /// `measured`: what of the card was measured for it, on which processor and when, in one line. Without it, nothing.
    pub measured: Option<String>,
    /// `[[identity]]`, repeated: how it is recognised. No two identities of any cards recognise the same processor.
    pub identities: Vec<Identity>,
    /// `[[pipes]]`, repeated: how many instructions it executes in a cycle. Each entry is a bound of its own.
    pub pipes: Vec<Pipes>,
    /// `[[start]]`, repeated: what runs before anything was measured, in place of the defaults of the kernel card.
    pub starts: Vec<Start>,
    /// `[[peer]]`, repeated: how fast kernels were here beside those of another program.
    pub peers: Vec<Peer>,
}

/// What processors say of themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// `vendor`: who made it: on x86 as the processor itself says, on Arm the implementer that `/proc/cpuinfo` has, such as `0x41`, or
    /// `Apple` on systems of Apple.
    pub vendor: String,
    /// `family`: its family, the extended one added in. x86 needs it; on Arm it is the version of the architecture, and without it any.
    pub family: Option<u32>,
    /// `models`: a list of models, each an integer or the first and the last of a range; on x86 with the extended model before the model,
    /// on Arm part numbers. Without it, any.
    pub models: Vec<RangeInclusive<u32>>,
}

/// Instructions that share a bound.
#[derive(Clone, Debug, PartialEq)]
pub struct Pipes {
    /// `vector`: bits of a vector, as an instruction set of the architecture has it; 32 for scalar code.
    pub vector_bits: usize,
    /// `of`: the kinds of instructions that are counted together.
    pub of: Vec<Kind>,
    /// `a_cycle`: how many of them begin in a cycle at most; 0.5 is one every other cycle.
    pub a_cycle: f64,
}

/// A comparison with another program in the same run, on one thread, in `int8`.
#[derive(Clone, Debug, PartialEq)]
pub struct Peer {
    /// `name`: what the program is called.
    pub name: String,
    /// `record`: the file of what was measured.
    pub record: String,
    /// `batch`: rows of activations.
    pub batch: usize,
    /// `times`: a table of how many times as fast kernels of a format were as the fastest of the program, by the format's name. Without a
    /// format, nobody compared.
    pub times: BTreeMap<String, f64>,
}

/// A variant to begin with.
#[derive(Clone, Debug, PartialEq)]
pub struct Start {
    /// `isa`: name of the instruction set.
    pub isa: String,
    /// `numerics`: the numerics class.
    pub numerics: Numerics,
    /// `variant`: the schedule and the tile, as in `direct r16c1`, of a variant that every build has for that instruction set and class.
    /// This is its schedule.
    pub schedule: Schedule,
    /// The tile of `variant`.
    pub tile: String,
    /// `batch`: a size or a list of sizes. The variant is the default for batches from each of them up, until another start of the same
    /// instruction set and numerics says a larger one.
    pub batch: Vec<usize>,
    /// `bits`: for packed weights of at most so many bits each, scales included, and before a start of the same batch for more; at most
    /// 32. Without it, for all.
    pub bits: Option<f64>,
    /// `far`: how many bytes ahead weights are prefetched into the second-level cache. Without it, the distance that the variant has
    /// anywhere.
    pub far: Option<usize>,
    /// `near`: how many bytes ahead weights are prefetched into the first-level cache. Without it, the distance that the variant has
    /// anywhere.
    pub near: Option<usize>,
    /// `tiles`: how many tiles are read segment by segment in turn, so that they share the activations of each. Without it, as many as
    /// suit the caches; with 1, weights are read as they lie.
    pub tiles: Option<usize>,
    /// `keep`: whether activations are touched between uses, so that weights that stream through the first-level cache do not throw
    /// them out. Without it not.
    pub keep: bool,
}

/// Reads a processor card whose widths and starts are of `isas` and `kernels`: whether another card recognises the same processors shows
/// only beside that. `path` is what diagnostics call it.
///
/// # Errors
/// Everything that is wrong with the card.
pub fn read_processor(path: &str, text: &str, isas: &[Isa], kernels: &[Kernels]) -> Result<Processor, Diagnostics> {
    read_claims(Source::shared(path, text), &Known { isas, kernels }).map(|(written, _)| written.processor)
}

/// What cards refer to.
pub(crate) struct Known<'k> {
    pub isas: &'k [Isa],
    pub kernels: &'k [Kernels],
}

/// A processor and where the parts are written that must fit other cards.
pub(crate) struct Written {
    pub processor: Processor,
    source: Arc<Source>,
    identities: Vec<identity::Written>,
}

/// Reads a card together with what no other card may have.
pub(crate) fn read_claims(source: Arc<Source>, known: &Known<'_>) -> Result<(Written, Vec<Claim>), Diagnostics> {
    let shared = Arc::clone(&source);
    read_document(source, "the card", |card, sink| read(card, known, shared, sink))
}

fn read(mut card: Table<'_>, known: &Known<'_>, source: Arc<Source>, sink: &mut Sink) -> Option<(Written, Vec<Claim>)> {
    let name = card.need("name").and_then(|node| node.identifier(sink, true));
    let doc = card.need("doc").and_then(|node| node.line(sink));
    let arch = card.need("arch").and_then(|node| read_arch(&node, sink));
    let sources = card.need("source").and_then(|node| read_sources(&node, sink));
    let measured = card.get("measured").and_then(|node| node.line(sink));
    let identities = card.need("identity").and_then(|node| node.list(sink).map(|entries| (node, entries)));
    let pipes = card.get("pipes").and_then(|node| node.list(sink)).unwrap_or_default();
    let starts = card.get("start").and_then(|node| node.list(sink)).unwrap_or_default();
    let peers = card.get("peer").and_then(|node| node.list(sink)).unwrap_or_default();
    card.finish(sink);
    if let Some(name) = name.as_ref().filter(|name| name.value.eq_ignore_ascii_case(NONE)) {
        sink.error(name.span, "no processor can be called so").label("users write it to go by no card");
    }
    // What fits an architecture cannot be told without it.
    let (name, arch, (node, identities)) = (name?, arch?, identities?);
    let identities = identity::read(&node, &identities, arch, sink);
    let pipes = pipes::read(&pipes, arch, known.isas, sink);
    let starts = start::read(&starts, arch, known, sink);
    let peers = peers::read(&peers, sink);
    let claims = vec![Claim::of("name", &name)];
    let processor = Processor {
        name: name.value,
        doc: doc?,
        arch: arch.to_owned(),
        source: sources?,
        measured,
        identities: identities.iter().map(|written| written.identity.clone()).collect(),
        pipes,
        starts,
        peers,
    };
    Some((Written { processor, source, identities }, claims))
}

/// Facts that come from nowhere cannot be checked.
fn read_sources(node: &Node<'_>, sink: &mut Sink) -> Option<Vec<String>> {
    let entries = node.list(sink)?;
    if entries.is_empty() {
        sink.error(node.span, "there is no source").help("name the manuals and the tables that the facts are from");
    }
    Some(entries.iter().filter_map(|entry| entry.line(sink)).collect())
}
