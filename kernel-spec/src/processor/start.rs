//! The variants that a processor begins with.

use super::{Known, Start};
use crate::diagnostic::{Sink, Span};
use crate::isa::Isa;
use crate::kernels::{MAX_DISTANCE, MAX_TILES, Numerics, Schedule, Set, Variant, find_isa, read_batches};
use crate::walk::{At, Node};

/// Most bits of a weight.
const MAX_BITS: f64 = 32.0;

/// A start and where its parts are written.
struct Written {
    start: Start,
    span: Span,
    batch: Vec<At<usize>>,
}

impl Written {
    /// Whether they are for the same instruction set, numerics and bits.
    fn is_beside(&self, other: &Self) -> bool {
        self.of_same_class(other) && self.start.bits == other.start.bits
    }

    /// Whether they are for the same instruction set and numerics.
    fn of_same_class(&self, other: &Self) -> bool {
        self.start.isa == other.start.isa && self.start.numerics == other.start.numerics
    }
}

/// Reads the starts of a card, and checks them against each other if each is right.
pub(super) fn read(entries: &[Node<'_>], arch: &str, known: &Known<'_>, sink: &mut Sink) -> Vec<Start> {
    let before = sink.count();
    let starts = entries.iter().filter_map(|entry| read_start(entry, arch, known, sink)).collect::<Vec<_>>();
    if sink.count() == before {
        check(&starts, sink);
    }
    starts.into_iter().map(|written| written.start).collect()
}

fn read_start(node: &Node<'_>, arch: &str, known: &Known<'_>, sink: &mut Sink) -> Option<Written> {
    let mut table = node.table(sink, "a start")?;
    let isa = table.need("isa").and_then(|node| read_isa(&node, arch, known.isas, sink));
    let numerics = table.need("numerics");
    let numerics = numerics.and_then(|node| node.choice(sink, &Numerics::ALL.map(|word| (word.name(), word))));
    let name = table.need("variant");
    let batch = table.need("batch").and_then(|node| read_batches(&node, sink));
    let bits = table.get("bits").and_then(|node| read_bits(&node, sink));
    let far = table.get("far").and_then(|node| node.count(sink, 0..=MAX_DISTANCE));
    let near = table.get("near").and_then(|node| node.count(sink, 0..=MAX_DISTANCE));
    let tiles = table.get("tiles").and_then(|node| node.count(sink, 1..=MAX_TILES));
    let keep = table.get("keep").and_then(|node| node.flag(sink));
    table.finish(sink);
    let (isa, numerics) = (isa?, numerics?.value);
    let name = name?;
    let variant = read_variant(&name, isa, numerics, known, sink)?;
    let takes = |wanted: bool, span: Option<Span>, key: &str, sink: &mut Sink| {
        if let Some(span) = span.filter(|_| !wanted) {
            sink.error(span, format!("`{key}` is an argument that the variant does not take")).also(name.span, "the variant");
        }
    };
    takes(variant.prefetch.is_far(), far.as_ref().map(|at| at.span), "far", sink);
    takes(variant.prefetch.is_near(), near.as_ref().map(|at| at.span), "near", sink);
    takes(variant.schedule == Schedule::Direct, keep.as_ref().map(|at| at.span), "keep", sink);
    let batch = batch?;
    let start = Start {
        isa: isa.name.clone(),
        numerics,
        schedule: variant.schedule,
        tile: variant.tile_name(),
        batch: batch.iter().map(|at| at.value).collect(),
        bits,
        far: far.map(|at| at.value),
        near: near.map(|at| at.value),
        tiles: tiles.map(|at| at.value),
        keep: keep.is_some_and(|at| at.value),
    };
    Some(Written { start, span: node.span, batch })
}

fn read_bits(node: &Node<'_>, sink: &mut Sink) -> Option<f64> {
    let bits = node.number(sink)?.value;
    if !(bits > 0.0 && bits <= MAX_BITS) {
        sink.error(node.span, format!("`bits` must be above 0 and at most {MAX_BITS}"));
        return None;
    }
    Some(bits)
}

fn read_isa<'i>(node: &Node<'_>, arch: &str, isas: &'i [Isa], sink: &mut Sink) -> Option<&'i Isa> {
    let isa = find_isa(node, isas, sink)?;
    match &isa.arch {
        Some(other) if other != arch => {
            sink.error(node.span, format!("`{}` is for `{other}`, and the card for `{arch}`", isa.name));
            None
        }
        _ => Some(isa),
    }
}

/// The variant that a text such as `direct r16c1` names: one that every build has.
fn read_variant<'k>(node: &Node<'_>, isa: &Isa, numerics: Numerics, known: &Known<'k>, sink: &mut Sink) -> Option<&'k Variant> {
    let text = node.text(sink)?;
    let of = |owner: &Isa| {
        let name = owner.name.clone();
        let variants = known.kernels.iter().flat_map(|kernels| &kernels.variants);
        variants.filter(move |variant| variant.isa == name && variant.numerics == numerics)
    };
    let Some(variant) = of(isa).find(|variant| name(variant) == text.value) else {
        let message = format!("`{}` has no `{}` variant `{}`", isa.name, numerics.name(), text.value);
        let error = sink.error(node.span, message);
        match isa.lineage(known.isas).find(|owner| of(owner).next().is_some()) {
            Some(owner) if owner.name != isa.name => {
                error.help(format!("it runs the variants of its base: `isa = \"{}\"`", owner.name))
            }
            _ => {
                let names = of(isa).filter(|variant| variant.set == Set::Default).map(name).collect::<Vec<_>>();
                error.suggest(text.value, "variants in every build", names.iter().map(String::as_str))
            }
        };
        return None;
    };
    if variant.set == Set::All {
        sink.error(node.span, "what a processor begins with must be in every build")
            .label("generated only when all variants are asked for")
            .help("give the variant `set = \"default\"`");
        return None;
    }
    Some(variant)
}

/// What starts call a variant.
fn name(variant: &Variant) -> String {
    format!("{} {}", variant.schedule.name(), variant.tile_name())
}

/// Of an instruction set and numerics class there is one start for each batch, or none at all.
fn check(starts: &[Written], sink: &mut Sink) {
    for (i, written) in starts.iter().enumerate() {
        let before = || starts[..i].iter().filter(|other| other.is_beside(written));
        for (j, batch) in written.batch.iter().enumerate() {
            let mut taken = before().flat_map(|other| &other.batch).chain(&written.batch[..j]);
            if let Some(first) = taken.find(|other| other.value == batch.value) {
                sink.error(batch.span, "two starts from the same batch").also(first.span, "the first");
            }
        }
        let begins =
            |other: &Written| other.of_same_class(written) && other.start.bits.is_none() && other.start.batch.contains(&1);
        let is_first = !starts[..i].iter().any(|other| other.of_same_class(written));
        if is_first && !starts.iter().any(begins) {
            let Start { isa, numerics, .. } = &written.start;
            sink.error(written.span, format!("no `{}` start for `{isa}` is from batch 1", numerics.name()))
                .help("give the start for single columns `batch = 1`");
        }
    }
}
