//! Reading model cards: tables that may be those of a base, key by key.

use super::layer::read_layer;
use super::section::{Section, entry, named};
use super::{Architecture, Embedding, Head, Known, Pairs, Rope, Scale, Size, WindowBase};
use crate::claim::Claim;
use crate::diagnostic::Sink;
use crate::walk::{At, Node, Table};

/// The word for the root of the width.
const SQRT_WIDTH: &str = "sqrt-width";

/// Layers that a card counts, at most.
pub const MAX_EVERY: u32 = 1024;

/// The largest base of angles.
const MAX_BASE: u32 = 1_000_000_000;

pub fn read(mut card: Table<'_>, known: Known<'_>, sink: &mut Sink) -> Option<(Architecture, Vec<Claim>)> {
    let name = card.need("name").and_then(|node| node.identifier(sink, true));
    let doc = card.need("doc").and_then(|node| node.line(sink));
    let arch = card.need("arch").and_then(|node| names(&node, sink)).filter(|arch| some(&arch.span, &arch.value, sink));
    let before = sink.count();
    let with = card.get("with").map(|node| entry(&node, sink));
    let extends = card.get("extends").map(|node| base(&node, known.bases, sink));
    let based = extends.is_some();
    let base = extends.flatten();
    let ignored = card.get("ignored").map(|node| names(&node, sink));
    // What a card takes from a base that is not there would be missing everywhere.
    let whole = sink.count() == before || !based;
    let mut table = |key| section(&mut card, key, based, sink);
    let (size, rope, embedding, head) = (table("size"), table("rope"), table("embedding"), table("head"));
    let layer = if based { card.get("layer") } else { card.need("layer") };
    let size = size.and_then(|table| read_size(Section::new(table, based), base.map(|base| &base.size), sink));
    let rope = rope.and_then(|table| read_rope(Section::new(table, based), base.map(|base| &base.rope), sink));
    let embedding =
        embedding.and_then(|table| read_embedding(Section::new(table, based), base.map(|base| &base.embedding), sink));
    let head = head.and_then(|table| read_head(Section::new(table, based), base.map(|base| &base.head), sink));
    let layer = match layer {
        Some(node) => read_layer(&node, known, sink),
        None => base.map(|base| base.layer.clone()),
    };
    card.finish(sink);
    if !whole {
        return None;
    }
    let (name, arch) = (name?, arch?);
    let with = match with {
        Some(with) => Some(with?),
        None => None,
    };
    // Of cards of one `arch`, each has files of its own.
    let of_files = |arch: &At<String>| {
        let with = with.as_ref().map_or_else(String::new, |with| format!(" with {with}"));
        Claim::of("arch", &At { span: arch.span, value: format!("{}{with}", arch.value) })
    };
    let claims = [Claim::of("name", &name)].into_iter().chain(arch.value.iter().map(of_files)).collect();
    let ignored = match ignored {
        Some(ignored) => Some(ignored?.value.into_iter().map(|at| at.value).collect()),
        None => base.map(|base| base.ignored.clone()),
    };
    let architecture = Architecture {
        name: name.value,
        doc: doc?,
        arch: arch.value.into_iter().map(|at| at.value).collect(),
        with,
        extends: base.map(|base| base.name.clone()),
        ignored: ignored.unwrap_or_default(),
        size: size?,
        rope: rope?,
        embedding: embedding?,
        layer: layer?,
        head: head?,
    };
    Some((architecture, claims))
}

/// Says so if a list is empty.
pub fn some<T>(span: &crate::Span, list: &[T], sink: &mut Sink) -> bool {
    if list.is_empty() {
        sink.error(*span, "the list needs an entry");
    }
    !list.is_empty()
}

/// The card that this one extends.
fn base<'k>(node: &Node<'_>, bases: &'k [Architecture], sink: &mut Sink) -> Option<&'k Architecture> {
    let name = node.text(sink)?;
    let found = bases.iter().find(|base| base.name == name.value);
    if found.is_none() {
        let error = sink.error(name.span, format!("no model card is called `{}`", name.value));
        error.suggest(name.value, "cards that it can extend", bases.iter().map(|base| base.name.as_str()));
    }
    found
}

/// A table of a card. `Some(None)`: it has none, and its base may have.
fn section<'t>(card: &mut Table<'t>, key: &'static str, based: bool, sink: &mut Sink) -> Option<Option<Table<'t>>> {
    let node = if based { card.get(key) } else { Some(card.need(key)?) };
    match node {
        Some(node) => node.table(sink, "the table").map(Some),
        None => Some(None),
    }
}

/// A list of names.
fn names(node: &Node<'_>, sink: &mut Sink) -> Option<At<Vec<At<String>>>> {
    let before = sink.count();
    let names = node.list(sink)?.iter().filter_map(|node| node.text(sink).and_then(|text| named(text, sink))).collect();
    (sink.count() == before).then_some(At { span: node.span, value: names })
}

/// A list of numbers of layers.
fn counts(node: &Node<'_>, sink: &mut Sink) -> Option<Vec<usize>> {
    node.list(sink)?.iter().map(|node| node.count(sink, 1..=MAX_EVERY).map(|at| at.value)).collect()
}

fn read_size(mut table: Section<'_>, base: Option<&Size>, sink: &mut Sink) -> Option<Size> {
    let layers = table.name("layers", base.map(|base| &base.layers), sink);
    let width = table.name("width", base.map(|base| &base.width), sink);
    let context = table.name("context", base.map(|base| &base.context), sink);
    let heads = table.name("heads", base.map(|base| &base.heads), sink);
    let kv = table.name("kv", base.map(|base| &base.kv), sink);
    let key = table.name("key", base.map(|base| &base.key), sink);
    let value = table.name("value", base.map(|base| &base.value), sink);
    let eps = table.name("eps", base.map(|base| &base.eps), sink);
    let except = match table.get("except") {
        Some(node) => counts(&node, sink),
        None => Some(base.map(|base| base.except.clone()).unwrap_or_default()),
    };
    table.finish(sink);
    Some(Size {
        layers: layers?,
        width: width?,
        context: context?,
        heads: heads?,
        kv: kv?,
        key: key?,
        value: value?,
        eps: eps?,
        except: except?,
    })
}

fn read_rope(mut table: Section<'_>, base: Option<&Rope>, sink: &mut Sink) -> Option<Rope> {
    const WORDS: [(&str, Pairs); 2] = [("neighbours", Pairs::Neighbours), ("halves", Pairs::Halves)];
    let pairs =
        table.need("pairs").map_or_else(|| base.map(|base| base.pairs), |node| node.choice(sink, &WORDS).map(|at| at.value));
    let dims = table.name("dims", base.map(|base| &base.dims), sink);
    let of = table.name("base", base.map(|base| &base.base), sink);
    let scaling = table.name("scaling", base.map(|base| &base.scaling), sink);
    let factors = table.optional("factors", base.map(|base| &base.factors), sink);
    let factors_long = table.optional("factors_long", base.map(|base| &base.factors_long), sink);
    let factors_short = table.optional("factors_short", base.map(|base| &base.factors_short), sink);
    let window = match table.get("window") {
        Some(node) => read_window_base(&node, sink).map(Some),
        None => Some(base.and_then(|base| base.window.clone())),
    };
    let unrotated = match table.get("unrotated") {
        Some(node) => node.count(sink, 2..=MAX_EVERY).map(|at| Some(at.value)),
        None => Some(base.and_then(|base| base.unrotated)),
    };
    table.finish(sink);
    Some(Rope {
        pairs: pairs?,
        dims: dims?,
        base: of?,
        scaling: scaling?,
        factors: factors?,
        factors_long: factors_long?,
        factors_short: factors_short?,
        window: window?,
        unrotated: unrotated?,
    })
}

fn read_window_base(node: &Node<'_>, sink: &mut Sink) -> Option<WindowBase> {
    let mut table = node.table(sink, "the base of windows")?;
    let key = table.need("key").and_then(|node| entry(&node, sink));
    let default = table.need("default").and_then(|node| node.count(sink, 1..=MAX_BASE));
    table.finish(sink);
    Some(WindowBase { key: key?, default: default?.value as u32 })
}

fn read_embedding(mut table: Section<'_>, base: Option<&Embedding>, sink: &mut Sink) -> Option<Embedding> {
    let tensor = table.name("tensor", base.map(|base| &base.tensor), sink);
    let scale = match table.get("scale") {
        Some(node) => entry(&node, sink).map(|text| match text.as_str() {
            SQRT_WIDTH => Some(Scale::SqrtWidth),
            _ => Some(Scale::Key(text)),
        }),
        None => Some(base.and_then(|base| base.scale.clone())),
    };
    table.finish(sink);
    Some(Embedding { tensor: tensor?, scale: scale? })
}

fn read_head(mut table: Section<'_>, base: Option<&Head>, sink: &mut Sink) -> Option<Head> {
    let norm = table.name("norm", base.map(|base| &base.norm), sink);
    let tensor = table.name("tensor", base.map(|base| &base.tensor), sink);
    let tied = table.optional("tied", base.map(|base| &base.tied), sink);
    let divisor = table.optional("divisor", base.map(|base| &base.divisor), sink);
    table.finish(sink);
    Some(Head { norm: norm?, tensor: tensor?, tied: tied?, divisor: divisor? })
}
