//! A format card as it is written: every value with its place in the text, nothing yet compared with anything else.

mod number;

use crate::diagnostic::{Sink, Span};
use crate::element::ItemType;
use crate::model::{Nested, Setting, Word};
use crate::walk::{At, Node, Table, check_identifier};

pub(crate) use number::{Levels, MAX_BITS, Map, Number, Place, Plane, Run, Spot, Stored, Term};

/// Most weights or bytes in a block, and the largest position in it.
pub(crate) const MAX_BLOCK: u32 = 1 << 16;

/// Largest number of an axis.
const MAX_AXIS: u32 = 7;

/// What a card says. An absent option was not given or has been reported as wrong; `sound` tells which.
pub(crate) struct Card {
    pub name: Option<At<String>>,
    pub gguf: Option<At<u32>>,
    pub doc: Option<String>,
    /// The formats of the card that are built with kernels, if not all are.
    pub kernels: Option<Vec<At<String>>>,
    /// Whether it is a member of a family.
    pub of_family: bool,
    pub storage: Option<Storage>,
    pub index: Option<Map>,
    pub pieces: Vec<Piece>,
    pub zero: Option<Number>,
    pub sign: Option<Number>,
    pub scale: Option<Number>,
    pub min: Option<Number>,
    /// Bits that mean nothing.
    pub reserved: Option<Number>,
    /// Whether everything that decides who reads which bit was read without error.
    pub sound: bool,
}

/// The two kinds of storage; the header is that of a row.
pub(crate) enum Storage {
    Blocks {
        weights: Option<At<usize>>,
        bytes: Option<At<usize>>,
        fields: Vec<Field>,
        header: Vec<Field>,
    },
    Tensors {
        rows: Option<Map>,
        tensors: Vec<Tensor>,
        indices: Vec<Index>,
        config: Vec<Setting>,
        doubtful_zero: Option<At<f32>>,
    },
}

/// A field of a block or of a row's header.
pub(crate) struct Field {
    pub name: At<String>,
    pub at: Option<At<usize>>,
    pub kind: Option<At<ItemType>>,
    /// Whether its items make one stream of bits, and where the card says so.
    pub stream: Option<At<bool>>,
    /// Where the card says `sums`.
    pub sums: Option<Span>,
}

/// A separate tensor.
pub(crate) struct Tensor {
    pub name: At<String>,
    pub kind: Option<At<ItemType>>,
    pub axes: Option<At<Vec<Map>>>,
    /// What files call it, if that is not its name.
    pub file: Option<String>,
    /// The axis along which its items make one stream of bits.
    pub stream: Option<At<usize>>,
    pub nested: Option<At<Nested>>,
}

/// A tensor that says again what is known.
pub(crate) struct Index {
    pub name: At<String>,
    pub kind: Option<At<ItemType>>,
    pub file: Option<String>,
    pub holds: Option<Holds>,
}

/// What such a tensor holds.
pub(crate) enum Holds {
    Column(Map),
    Levels(Span),
    Shape,
}

/// A code with the index of the positions that it covers.
pub(crate) struct Piece {
    pub index: Option<Map>,
    /// Whether the card gives the index, right or wrong.
    pub has_index: bool,
    /// Where the piece is written.
    pub span: Span,
    /// Absent when it has been reported as wrong.
    pub code: Option<Number>,
}

impl Card {
    /// Reads the top-level table of a card.
    pub(crate) fn read(mut card: Table<'_>, sink: &mut Sink) -> Self {
        let name = card.need("name").and_then(|node| node.identifier(sink, true));
        let doc = card.need("doc").and_then(|node| node.line(sink));
        let gguf = card.get("gguf").and_then(|node| node.integer(sink, 0..=i64::from(u32::MAX)));
        // The values are in their places by now.
        let of_family = card.get("family").is_some();
        let kernels = card.get("kernels").and_then(|node| read_texts(&node, sink));
        let before = sink.count();
        let index = card.get("index").and_then(|node| Map::read(&node, sink));
        let storage = Storage::read(&mut card, sink);
        let code = card.need("code");
        let pieces = code.map_or_else(Vec::new, |node| read_pieces(&node, sink));
        let mut part = |key| card.get(key).and_then(|node| Number::read(&node, key, sink));
        let (zero, sign, scale, min) = (part("zero"), part("sign"), part("scale"), part("min"));
        let reserved = card.get("reserved").and_then(|node| Number::read_reserved(&node, sink));
        let sound = sink.count() == before;
        if let (Some(gguf), Some(Storage::Tensors { .. })) = (&gguf, &storage) {
            sink.error(gguf.span, "`gguf` is for cards with `fields`").label("GGUF files have no separate tensors");
        }
        card.finish(sink);
        let gguf = gguf.map(|at| at.map(|value| value as u32));
        Self { name, gguf, doc, kernels, of_family, storage, index, pieces, zero, sign, scale, min, reserved, sound }
    }
}

/// A list of texts.
fn read_texts(node: &Node<'_>, sink: &mut Sink) -> Option<Vec<At<String>>> {
    let texts = node.list(sink)?;
    texts.iter().map(|text| Some(text.text(sink)?.map(str::to_owned))).collect()
}

/// The pieces of `[code]` or of every `[[code]]`.
fn read_pieces(node: &Node<'_>, sink: &mut Sink) -> Vec<Piece> {
    if node.is_list() {
        let entries = node.list(sink).unwrap_or_default();
        if entries.is_empty() {
            sink.error(node.span, "`code` has no pieces");
        }
        return entries.iter().filter_map(|entry| Piece::read(entry, sink)).collect();
    }
    Piece::read(node, sink).into_iter().collect()
}

impl Piece {
    fn read(node: &Node<'_>, sink: &mut Sink) -> Option<Self> {
        let mut table = node.table(sink, "a code")?;
        let index = table.get("index").map(|node| Map::read(&node, sink));
        let code = Number::read_table(table, "code", 0, sink);
        Some(Self { has_index: index.is_some(), index: index.flatten(), span: node.span, code })
    }
}

impl Storage {
    fn read(card: &mut Table<'_>, sink: &mut Sink) -> Option<Self> {
        let of_blocks = ["row", "weights", "bytes"].map(|key| card.get(key));
        let indices = card.get("indices");
        let (config, doubtful_zero) = (card.get("config"), card.get("doubtful_zero"));
        match [card.get("fields"), card.get("tensors"), card.get("rows")] {
            [Some(fields), None, rows] => {
                reject([rows, indices, config, doubtful_zero], "is for cards with `tensors`", sink);
                let mut size = |key| card.need(key).and_then(|node| node.count(sink, 1..=MAX_BLOCK));
                let (weights, bytes) = (size("weights"), size("bytes"));
                let fields = read_all(&fields, sink, Field::read);
                let header = card.get("row").map_or_else(Vec::new, |row| read_header(&row, sink));
                Some(Self::Blocks { weights, bytes, fields, header })
            }
            [None, Some(tensors), rows] => {
                reject(of_blocks, "is for cards with `fields`", sink);
                let rows = rows.or_else(|| card.need("rows")).and_then(|node| Map::read(&node, sink));
                let indices = indices.map_or_else(Vec::new, |indices| read_all(&indices, sink, Index::read));
                let config = config.map_or_else(Vec::new, |config| read_config(&config, sink));
                let doubtful_zero = doubtful_zero.and_then(|zero| zero.exact(sink));
                Some(Self::Tensors { rows, tensors: read_all(&tensors, sink, Tensor::read), indices, config, doubtful_zero })
            }
            [Some(fields), Some(tensors), ..] => {
                sink.error(tensors.span, "a card has `fields` or `tensors`, not both").also(fields.span, "the fields");
                None
            }
            [None, None, _] => {
                sink.error(card.span, "the card says nothing of storage")
                    .help("give the parts of a block as `[fields]`, or separate tensors as `[tensors]`");
                None
            }
        }
    }
}

fn reject<const N: usize>(keys: [Option<Node<'_>>; N], why: &str, sink: &mut Sink) {
    for node in keys.into_iter().flatten() {
        sink.error(node.span, format!("{} {why}", node.name()));
    }
}

fn read_all<T>(node: &Node<'_>, sink: &mut Sink, read: impl Fn(At<String>, &Node<'_>, &mut Sink) -> Option<T>) -> Vec<T> {
    let named = node.named(sink).unwrap_or_default();
    named.iter().filter_map(|(name, node)| read(name.clone(), node, sink)).collect()
}

fn check_name(name: &At<String>, sink: &mut Sink) {
    check_identifier(At { span: name.span, value: &name.value }, false, sink);
}

/// The fields at the start of each row.
fn read_header(node: &Node<'_>, sink: &mut Sink) -> Vec<Field> {
    let before = sink.count();
    let fields = read_all(node, sink, Field::read);
    if fields.is_empty() && sink.count() == before {
        sink.error(node.span, "the header of a row has at least one field");
    }
    for sums in fields.iter().filter_map(|field| field.sums) {
        sink.error(sums, "`sums` goes with a field of a block").label("the header lies outside all blocks");
    }
    fields
}

impl Field {
    fn read(name: At<String>, node: &Node<'_>, sink: &mut Sink) -> Option<Self> {
        check_name(&name, sink);
        let mut table = node.table(sink, "a field")?;
        let at = table.need("at").and_then(|node| node.count(sink, 0..=MAX_BLOCK));
        let (kind, stream) = read_items(&mut table, sink, |node, sink| node.flag(sink));
        let sums = table.get("sums").and_then(|node| node.choice(sink, &[("code", ())]));
        table.finish(sink);
        Some(Self { name, at, kind, stream, sums: sums.map(|at| at.span) })
    }
}

impl Tensor {
    fn read(name: At<String>, node: &Node<'_>, sink: &mut Sink) -> Option<Self> {
        check_name(&name, sink);
        let mut table = node.table(sink, "a tensor")?;
        let (kind, stream) = read_items(&mut table, sink, |node, sink| node.count(sink, 0..=MAX_AXIS));
        let axes = table.need("axes").and_then(|node| read_axes(&node, sink));
        let file = table.get("name").and_then(|node| node.line(sink));
        let nested = table.get("nested").and_then(|node| read_nested(&node, sink));
        table.finish(sink);
        Some(Self { name, kind, axes, file, stream, nested })
    }
}

fn read_nested(node: &Node<'_>, sink: &mut Sink) -> Option<At<Nested>> {
    let mut table = node.table(sink, "what is nested")?;
    let mut text = |key| table.need(key).and_then(|node| node.line(sink));
    let (levels, scales, offset) = (text("levels"), text("scales"), text("offset"));
    let group = table.need("group").and_then(|node| node.count(sink, 1..=MAX_BLOCK));
    table.finish(sink);
    let nested = Nested { levels: levels?, scales: scales?, group: group?.value, offset: offset? };
    Some(At { span: node.span, value: nested })
}

/// The settings that a model's configuration must not contradict.
fn read_config(node: &Node<'_>, sink: &mut Sink) -> Vec<Setting> {
    let named = node.named(sink).unwrap_or_default();
    let read = |(key, node): &(At<String>, Node<'_>)| {
        let nodes = if node.is_list() { node.list(sink)? } else { vec![node.clone()] };
        let values = nodes.iter().map(|node| read_word(node, sink)).collect::<Option<Vec<_>>>()?;
        Some(Setting { key: key.value.clone(), values })
    };
    named.iter().filter_map(read).collect()
}

fn read_word(node: &Node<'_>, sink: &mut Sink) -> Option<Word> {
    if node.is_integer() {
        return node.integer(sink, i64::from(i32::MIN)..=i64::from(i32::MAX)).map(|at| Word::Integer(at.value));
    }
    if !node.is_text() {
        node.mismatch(sink, "a text or an integer");
    }
    node.is_text().then(|| node.line(sink)).flatten().map(Word::Text)
}

impl Index {
    fn read(name: At<String>, node: &Node<'_>, sink: &mut Sink) -> Option<Self> {
        check_name(&name, sink);
        let mut table = node.table(sink, "an index")?;
        let kind = read_kind(&mut table, sink);
        let file = table.get("name").and_then(|node| node.line(sink));
        let holds = table.need("holds").and_then(|node| Holds::read(&node, sink));
        table.finish(sink);
        Some(Self { name, kind, file, holds })
    }
}

impl Holds {
    fn read(node: &Node<'_>, sink: &mut Sink) -> Option<Self> {
        if !node.is_text() {
            return Map::read(node, sink).map(Self::Column);
        }
        let choice = node.choice(sink, &[("levels", false), ("shape", true)])?;
        Some(if choice.value { Self::Shape } else { Self::Levels(choice.span) })
    }
}

/// The type of the items and where they make a stream; without either, as when one is wrong, it is not known where items end.
fn read_items<T>(
    table: &mut Table<'_>,
    sink: &mut Sink,
    read: impl Fn(&Node<'_>, &mut Sink) -> Option<T>,
) -> (Option<At<ItemType>>, Option<T>) {
    let kind = read_kind(table, sink);
    let Some(node) = table.get("stream") else { return (kind, None) };
    let stream = read(&node, sink);
    (kind.filter(|_| stream.is_some()), stream)
}

fn read_kind(table: &mut Table<'_>, sink: &mut Sink) -> Option<At<ItemType>> {
    ItemType::read(table.need("type")?.text(sink)?, sink)
}

fn read_axes(node: &Node<'_>, sink: &mut Sink) -> Option<At<Vec<Map>>> {
    let axes = node.list(sink)?;
    if axes.len() > MAX_AXIS as usize + 1 {
        sink.error(node.span, format!("a tensor has at most {} axes", MAX_AXIS + 1));
        return None;
    }
    let maps = axes.iter().map(|axis| Map::read(axis, sink)).collect::<Option<Vec<_>>>()?;
    Some(At { span: node.span, value: maps })
}
