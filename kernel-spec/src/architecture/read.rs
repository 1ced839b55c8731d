//! Reading model cards: tables that may be those of a base, key by key.

use super::{Architecture, Attention, Embedding, Gated, Head, Known, Op, Pairs, Rope, Scale, Size, Step, Window, WindowBase};
use crate::claim::Claim;
use crate::diagnostic::Sink;
use crate::walk::{At, Node, Table};

/// The word for the root of the width.
const SQRT_WIDTH: &str = "sqrt-width";

/// Layers that a card counts, at most.
const MAX_EVERY: u32 = 1024;

/// The largest base of angles.
const MAX_BASE: u32 = 1_000_000_000;

pub fn read(mut card: Table<'_>, known: Known<'_>, sink: &mut Sink) -> Option<(Architecture, Vec<Claim>)> {
    let name = card.need("name").and_then(|node| node.identifier(sink, true));
    let doc = card.need("doc").and_then(|node| node.line(sink));
    let arch = card.need("arch").and_then(|node| names(&node, sink)).filter(|arch| some(&arch.span, &arch.value, sink));
    let before = sink.count();
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
    let claims = [Claim::of("name", &name)].into_iter().chain(arch.value.iter().map(|arch| Claim::of("arch", arch)));
    let claims = claims.collect();
    let ignored = match ignored {
        Some(ignored) => Some(ignored?.value.into_iter().map(|at| at.value).collect()),
        None => base.map(|base| base.ignored.clone()),
    };
    let architecture = Architecture {
        name: name.value,
        doc: doc?,
        arch: arch.value.into_iter().map(|at| at.value).collect(),
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
fn some<T>(span: &crate::Span, list: &[T], sink: &mut Sink) -> bool {
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

/// A table whose keys may be those of a base.
struct Section<'t> {
    table: Option<Table<'t>>,
    based: bool,
}

impl<'t> Section<'t> {
    fn new(table: Option<Table<'t>>, based: bool) -> Self {
        Self { table, based }
    }

    /// A key that is needed where there is no base.
    fn need(&mut self, key: &'static str) -> Option<Node<'t>> {
        let table = self.table.as_mut()?;
        if self.based { table.get(key) } else { table.need(key) }
    }

    fn get(&mut self, key: &'static str) -> Option<Node<'t>> {
        self.table.as_mut()?.get(key)
    }

    fn finish(self, sink: &mut Sink) {
        if let Some(table) = self.table {
            table.finish(sink);
        }
    }

    /// The name that a key gives, or else that of the base.
    fn name(&mut self, key: &'static str, base: Option<&String>, sink: &mut Sink) -> Option<String> {
        self.need(key).map_or_else(|| base.cloned(), |node| entry(&node, sink))
    }

    /// The same of a key that may be left out.
    fn optional(&mut self, key: &'static str, base: Option<&Option<String>>, sink: &mut Sink) -> Option<Option<String>> {
        match self.get(key) {
            Some(node) => entry(&node, sink).map(Some),
            None => Some(base.cloned().flatten()),
        }
    }
}

/// The name of a tensor, or of metadata.
fn entry(node: &Node<'_>, sink: &mut Sink) -> Option<String> {
    let text = node.text(sink)?;
    named(text, sink).map(|at| at.value)
}

fn named(text: At<&str>, sink: &mut Sink) -> Option<At<String>> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if !text.value.is_empty() && text.value.chars().all(fits) {
        return Some(text.map(str::to_owned));
    }
    sink.error(text.span, format!("`{}` cannot be a name in a file", text.value))
        .label("must be letters, digits, `_`, `-` or `.`");
    None
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

fn read_layer(node: &Node<'_>, known: Known<'_>, sink: &mut Sink) -> Option<Vec<Step>> {
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
    let kind = op.choice(sink, &[("attention", Kind::Attention), ("gated", Kind::Gated)]);
    let (post_norm, residual) = (table.optional("post_norm", None, sink), table.optional("residual", None, sink));
    let op = match kind?.value {
        Kind::Attention => read_attention(&mut table, sink).map(Op::Attention),
        Kind::Gated => read_gated(&mut table, known, sink).map(Op::Gated),
    };
    table.finish(sink);
    Some(Step { norm: norm?, op: op?, post_norm: post_norm?, residual: residual? })
}

fn read_attention(table: &mut Section<'_>, sink: &mut Sink) -> Option<Attention> {
    let [q, k, v, out] = ["q", "k", "v", "out"].map(|key| table.name(key, None, sink));
    let [q_norm, k_norm, scale] = ["q_norm", "k_norm", "scale"].map(|key| table.optional(key, None, sink));
    let window = match table.get("window") {
        Some(node) => read_window(&node, sink).map(Some),
        None => Some(None),
    };
    Some(Attention { q: q?, k: k?, v: v?, out: out?, q_norm: q_norm?, k_norm: k_norm?, scale: scale?, window: window? })
}

fn read_window(node: &Node<'_>, sink: &mut Sink) -> Option<Window> {
    let mut table = node.table(sink, "a window")?;
    let key = table.need("key").and_then(|node| entry(&node, sink));
    let every = match table.get("every") {
        Some(node) => node.count(sink, 2..=MAX_EVERY).map(|at| Some(at.value)),
        None => Some(None),
    };
    table.finish(sink);
    Some(Window { key: key?, every: every? })
}

fn read_gated(table: &mut Section<'_>, known: Known<'_>, sink: &mut Sink) -> Option<Gated> {
    let [gate, up, down] = ["gate", "up", "down"].map(|key| table.name(key, None, sink));
    let words = known.activations.iter().map(|name| (*name, *name)).collect::<Vec<_>>();
    let act = table.need("act").and_then(|node| node.choice(sink, &words));
    Some(Gated { gate: gate?, up: up?, down: down?, act: act?.value.to_owned() })
}
