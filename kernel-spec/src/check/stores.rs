//! Fields of a block and separate tensors: where they lie and how many items they have.

use crate::diagnostic::{Sink, Span};
use crate::model::{Blocks, Element, Field, Holds, Home, Index, Map, Storage, Tensor, Tensors};
use crate::raw;
use crate::walk::At;

use super::axes;
use super::digits::Scope;
use super::place;

/// The storage of a card with what errors in its use need to know.
pub(crate) struct Stores {
    pub storage: Storage,
    /// One for each field or tensor of `storage`.
    pub shapes: Vec<Shape>,
}

impl Stores {
    /// Whether the storage is blocks, not separate tensors.
    pub(crate) const fn in_blocks(&self) -> bool {
        matches!(self.storage, Storage::Blocks(_))
    }
}

/// A field or tensor as its readers see it.
pub(crate) struct Shape {
    pub name: At<String>,
    /// Items along each axis; `None` if the card is wrong about it.
    pub lengths: Option<Vec<usize>>,
    /// Where the card says that the field holds sums.
    pub sums: Option<Span>,
}

impl Shape {
    /// An item by its index along each axis.
    pub(crate) fn item_name(&self, mut item: usize) -> String {
        let mut indices = String::new();
        for length in self.lengths.iter().flatten().rev() {
            indices = format!("[{}]{indices}", item % length);
            item /= length;
        }
        format!("`{}{indices}`", self.name.value)
    }
}

/// Resolves fields or tensors. Those that are wrong stay in the list, so that their readers are not reported too.
pub(crate) fn check(storage: &raw::Storage, scopes: Option<&[Scope]>, sink: &mut Sink) -> Stores {
    match storage {
        raw::Storage::Blocks { weights, bytes, fields, header } => {
            let weights = weights.as_ref().map(|weights| weights.value);
            blocks(weights, bytes.as_ref(), fields, header, sink)
        }
        raw::Storage::Tensors { tensors, indices, config, doubtful_zero, .. } => {
            let (tensors, shapes) = separate(tensors, scopes.and_then(<[Scope]>::first), sink);
            let scope = scopes.and_then(<[Scope]>::first);
            let indices =
                scope.map_or_else(Vec::new, |scope| indices.iter().filter_map(|raw| index(raw, scope, sink)).collect());
            let rows = scope.map_or_else(Vec::new, |scope| scope.rows.clone());
            let (config, doubtful_zero) = (config.clone(), doubtful_zero.as_ref().map(|zero| zero.value));
            Stores { storage: Storage::Tensors(Tensors { rows, tensors, indices, config, doubtful_zero }), shapes }
        }
    }
}

/// Stands in for a type that the card does not give properly.
const UNKNOWN: Element = Element::Unsigned(8);

fn blocks(
    weights: Option<usize>,
    bytes: Option<&At<usize>>,
    fields: &[raw::Field],
    of_row: &[raw::Field],
    sink: &mut Sink,
) -> Stores {
    let homes = fields.iter().map(|raw| (raw, Home::Block)).chain(of_row.iter().map(|raw| (raw, Home::Row)));
    let mut stores = Stores {
        storage: Storage::Blocks(Blocks {
            header: extents(of_row).map_or(0, |extents| extents.iter().map(|extent| extent.end).max().unwrap_or(0)),
            weights: weights.unwrap_or(1),
            bytes: bytes.map_or(1, |bytes| bytes.value),
            fields: homes.clone().map(|(raw, home)| field(raw, home)).collect(),
        }),
        shapes: Vec::new(),
    };
    for (raw, _) in homes {
        let lengths = raw.kind.as_ref().map(|kind| vec![kind.value.count.unwrap_or(1)]);
        stores.shapes.push(Shape { name: raw.name.clone(), lengths, sums: raw.sums });
        check_sums(raw, weights, sink);
        check_stream(raw, sink);
    }
    check_names(fields, of_row, sink);
    if let (Some(bytes), Some(extents)) = (bytes, extents(fields)) {
        check_layout(Some(bytes), extents, sink);
    }
    if let Some(extents) = extents(of_row) {
        check_layout(None, extents, sink);
    }
    stores
}

fn field(raw: &raw::Field, home: Home) -> Field {
    Field {
        name: raw.name.value.clone(),
        home,
        at: raw.at.as_ref().map_or(0, |at| at.value),
        element: raw.kind.as_ref().map_or(UNKNOWN, |kind| kind.value.element),
        count: raw.kind.as_ref().and_then(|kind| kind.value.count),
        stream: raw.stream.as_ref().is_some_and(|stream| stream.value),
        sums: raw.sums.is_some(),
    }
}

/// Numbers name a field whether it lies in the block or in the row.
fn check_names(fields: &[raw::Field], of_row: &[raw::Field], sink: &mut Sink) {
    for raw in of_row {
        if let Some(first) = fields.iter().find(|field| field.name.value == raw.name.value) {
            sink.error(raw.name.span, format!("two fields are called `{}`", raw.name.value))
                .label("in the row")
                .also(first.name.span, "in the block");
        }
    }
}

/// Only the items of an array follow each other.
fn check_stream(raw: &raw::Field, sink: &mut Sink) {
    let (Some(stream), Some(kind)) = (&raw.stream, &raw.kind) else { return };
    if stream.value && kind.value.count.is_none() {
        sink.error(stream.span, format!("`{}` is one item and makes no stream", raw.name.value))
            .also(kind.span, "not an array");
    }
}

/// Sums are integers, each over an equal share of the block.
fn check_sums(raw: &raw::Field, weights: Option<usize>, sink: &mut Sink) {
    let (Some(span), Some(kind), Some(weights)) = (raw.sums, &raw.kind, weights) else { return };
    let count = kind.value.count.unwrap_or(1);
    if !kind.value.element.is_integer() {
        sink.error(kind.span, "sums of codes must be integers").also(span, "said to be sums here");
    }
    if weights % count != 0 {
        sink.error(kind.span, format!("{count} sums cannot share {weights} weights equally"))
            .also(span, "said to be sums here");
    }
}

/// The bytes that a field covers.
struct Extent<'c> {
    field: &'c raw::Field,
    start: usize,
    end: usize,
}

/// The extents of all fields in order of place, if all are known.
fn extents(fields: &[raw::Field]) -> Option<Vec<Extent<'_>>> {
    let mut extents = Vec::new();
    for field in fields {
        let (start, kind) = (field.at.as_ref()?.value, field.kind.as_ref()?.value);
        let size = kind.element.bits() as usize / 8 * kind.count.unwrap_or(1);
        extents.push(Extent { field, start, end: start + size });
    }
    extents.sort_by_key(|extent| extent.start);
    Some(extents)
}

/// Fields follow each other without gap or overlap from the first byte of the block to the last. The header of a row has no
/// size of its own: it ends where its last field does.
fn check_layout(bytes: Option<&At<usize>>, extents: Vec<Extent<'_>>, sink: &mut Sink) {
    let mut last: Option<Extent<'_>> = None;
    for extent in extents {
        let (name, end) = (&extent.field.name, last.as_ref().map_or(0, |last| last.end));
        if let Some(bytes) = bytes.filter(|bytes| extent.end > bytes.value) {
            sink.error(name.span, format!("field `{}` leaves the block", name.value))
                .label(format!("covers bytes {} to {}", extent.start, extent.end - 1))
                .also(bytes.span, "the block ends here");
        } else if extent.start > end {
            gap(end, extent.start, name.span, bytes.is_none(), sink);
        }
        if let Some(last) = last.as_ref().filter(|last| extent.start < last.end) {
            sink.error(name.span, format!("fields `{}` and `{}` overlap", last.field.name.value, name.value))
                .label(format!("starts at byte {}", extent.start))
                .also(last.field.name.span, format!("ends at byte {}", last.end - 1));
        }
        if extent.end >= end {
            last = Some(extent);
        }
    }
    let end = last.map_or(0, |last| last.end);
    if let Some(bytes) = bytes.filter(|bytes| end < bytes.value) {
        gap(end, bytes.value, bytes.span, false, sink);
    }
}

fn gap(start: usize, end: usize, span: Span, of_row: bool, sink: &mut Sink) {
    let which = if end - start == 1 { format!("byte {start}") } else { format!("bytes {start} to {}", end - 1) };
    let whose = if of_row { " of the row" } else { "" };
    sink.error(span, format!("no field holds {which}{whose}"));
}

fn separate(tensors: &[raw::Tensor], scope: Option<&Scope>, sink: &mut Sink) -> (Vec<Tensor>, Vec<Shape>) {
    let (mut shapes, mut resolved) = (Vec::new(), Vec::new());
    for raw in tensors {
        if let Some(kind) = raw.kind.as_ref().filter(|kind| kind.value.count.is_some()) {
            sink.error(kind.span, "the type of a tensor is that of one item").label("its axes say how many there are");
        }
        let axes = raw.axes.as_ref().zip(scope).and_then(|(axes, scope)| axes::resolve(&axes.value, scope, sink));
        let lengths = axes.as_ref().zip(scope).and_then(|(axes, scope)| axes::lengths(raw, axes, scope, sink));
        let lengths = lengths.filter(|_| raw.kind.is_some());
        shapes.push(Shape { name: raw.name.clone(), lengths, sums: None });
        resolved.push(Tensor {
            name: raw.name.value.clone(),
            file: raw.file.clone().unwrap_or_else(|| raw.name.value.clone()),
            element: raw.kind.as_ref().map_or(UNKNOWN, |kind| kind.value.element),
            axes: axes.unwrap_or_default(),
            stream: raw.stream.as_ref().map(|stream| stream.value),
            nested: raw.nested.as_ref().map(|nested| nested.value.clone()),
        });
        check_nested(raw, sink);
    }
    (resolved, shapes)
}

/// Only what is stored in full elsewhere may be nested.
fn check_nested(raw: &raw::Tensor, sink: &mut Sink) {
    let (Some(nested), Some(kind)) = (&raw.nested, &raw.kind) else { return };
    if kind.value.element != Element::F32 {
        sink.error(nested.span, "what is nested comes to items of type `f32`").also(kind.span, "not these");
    }
}

/// A tensor that says again what is known.
fn index(raw: &raw::Index, scope: &Scope, sink: &mut Sink) -> Option<Index> {
    let (kind, holds) = (raw.kind.as_ref()?, raw.holds.as_ref()?);
    let wanted = match holds {
        raw::Holds::Column(_) if !kind.value.element.is_integer() => "an integer for each k",
        raw::Holds::Levels(_) if kind.value.element != Element::F32 => "an `f32` for each level",
        raw::Holds::Shape if !kind.value.element.is_integer() => "two integers",
        _ => "",
    };
    if !wanted.is_empty() || kind.value.count.is_some() {
        let wanted = if wanted.is_empty() { "items of one type" } else { wanted };
        sink.error(kind.span, format!("`{}` holds {wanted}", raw.name.value));
    }
    let holds = match holds {
        raw::Holds::Column(map) => Holds::Column(of_k(map, scope, sink)?),
        raw::Holds::Levels(_) => Holds::Levels,
        raw::Holds::Shape => Holds::Shape,
    };
    Some(Index { file: raw.file.clone().unwrap_or_else(|| raw.name.value.clone()), element: kind.value.element, holds })
}

/// A map over the digits of k alone.
fn of_k(map: &raw::Map, scope: &Scope, sink: &mut Sink) -> Option<Map> {
    for term in map.terms.iter().filter(|term| scope.rows.iter().any(|digit| digit.name == term.digit.value)) {
        sink.error(term.digit.span, format!("`{}` is a digit of the row", term.digit.value))
            .label("an index has an item for each k");
    }
    place::resolve(map, std::slice::from_ref(scope), sink)
}
