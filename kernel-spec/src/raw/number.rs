//! Numbers, planes and maps as they are written.

use crate::diagnostic::{Sink, Span};
use crate::element::ItemType;
use crate::walk::{At, Node, Table, check_identifier};

/// Largest stride or constant of a map, so that no sum over a block can overflow.
const MAX_STRIDE: i64 = 1 << 20;

/// Most bits of a plane.
pub(crate) const MAX_BITS: u32 = 48;

/// How deep supers may nest.
const MAX_DEPTH: usize = 4;

/// A map: a constant, and a stride for each digit it names.
#[derive(Clone)]
pub(crate) struct Map {
    pub span: Span,
    pub at: Option<At<i64>>,
    pub terms: Vec<Term>,
}

/// One stride of a map.
#[derive(Clone)]
pub(crate) struct Term {
    pub digit: At<String>,
    pub stride: At<i64>,
}

impl Map {
    /// Reads a table of strides, or an integer as a constant map.
    pub(crate) fn read(node: &Node<'_>, sink: &mut Sink) -> Option<Self> {
        let range = -MAX_STRIDE..=MAX_STRIDE;
        if node.is_integer() {
            let at = node.integer(sink, range)?;
            return Some(Self { span: node.span, at: Some(at), terms: Vec::new() });
        }
        if !node.is_table() {
            node.mismatch(sink, "a table of strides, or an integer");
            return None;
        }
        let before = sink.count();
        let mut map = Self { span: node.span, at: None, terms: Vec::new() };
        for (digit, node) in node.named(sink)? {
            let Some(stride) = node.integer(sink, range.clone()) else { continue };
            if digit.value == "at" {
                map.at = Some(stride);
            } else {
                check_identifier(At { span: digit.span, value: &digit.value }, false, sink);
                map.terms.push(Term { digit, stride });
            }
        }
        (sink.count() == before).then_some(map)
    }
}

/// A number.
pub(crate) struct Number {
    /// What messages call it: `scale`, or `super of scale`.
    pub what: String,
    pub span: Span,
    pub stored: Stored,
    /// What the planes' bits together are.
    pub element: Option<At<ItemType>>,
    pub levels: Option<Levels>,
    pub step: Option<At<f32>>,
    pub offset: Option<At<f32>>,
    pub outer: Option<Box<Self>>,
    /// Whether all of it was read without error, so that its values are known.
    pub sound: bool,
}

/// Where the bits of a number are.
pub(crate) enum Stored {
    Item(Place),
    Planes(Vec<Plane>),
}

/// An item of a field or tensor.
pub(crate) struct Place {
    pub from: At<String>,
    pub item: Option<Map>,
}

/// A plane.
pub(crate) struct Plane {
    pub span: Span,
    pub place: Place,
    pub run: Run,
}

/// The bits of an item that a plane reads.
pub(crate) enum Run {
    Bits { bit: Option<Map>, bits: At<u32> },
    Trit(Map),
}

/// The values of the codes.
pub(crate) enum Levels {
    List(At<Vec<f32>>),
    Table(At<String>),
}

impl Number {
    /// Reads one of the five parts; `None` if it is not known what it reads.
    pub(crate) fn read(node: &Node<'_>, what: &str, sink: &mut Sink) -> Option<Self> {
        Self::read_table(node.table(sink, "a number")?, what, 0, sink)
    }

    /// Reads a number from its table, `depth` supers down.
    pub(crate) fn read_table(mut table: Table<'_>, what: &str, depth: usize, sink: &mut Sink) -> Option<Self> {
        let before = sink.count();
        let span = table.span;
        let stored = Stored::read(&mut table, sink).filter(|_| sink.count() == before);
        let element = table.get("as").and_then(|node| read_element(&node, sink));
        let levels = table.get("levels").and_then(|node| Levels::read(&node, sink));
        let step = table.get("step").and_then(|node| node.exact(sink));
        let offset = table.get("offset").and_then(|node| node.exact(sink));
        let outer = table.get("super").and_then(|node| read_super(&node, what, depth, sink));
        let known = sink.count();
        table.finish(sink);
        // An unknown key may be a misspelt `item`.
        let stored = stored.filter(|stored| sink.count() == known || matches!(stored, Stored::Planes(_)))?;
        let (what, outer, sound) = (what.to_owned(), outer.map(Box::new), sink.count() == before);
        Some(Self { what, span, stored, element, levels, step, offset, outer, sound })
    }
}

impl Number {
    /// A number that is what is stored.
    const fn plain(what: String, span: Span, stored: Stored) -> Self {
        Self { what, span, stored, element: None, levels: None, step: None, offset: None, outer: None, sound: true }
    }

    /// Reads where bits are that mean nothing.
    pub(crate) fn read_reserved(node: &Node<'_>, sink: &mut Sink) -> Option<Self> {
        let mut table = node.table(sink, "`reserved`")?;
        let planes = table.need("planes").and_then(|planes| read_planes(&planes, sink));
        table.finish(sink);
        Some(Self::plain("reserved".to_owned(), node.span, Stored::Planes(planes?)))
    }
}

/// A super is a number, or the name of a field whose only item it is.
fn read_super(node: &Node<'_>, what: &str, depth: usize, sink: &mut Sink) -> Option<Number> {
    let what = format!("super of {what}");
    if node.is_text() {
        let from = node.text(sink)?.map(str::to_owned);
        return Some(Number::plain(what, node.span, Stored::Item(Place { from, item: None })));
    }
    if depth == MAX_DEPTH {
        sink.error(node.span, format!("supers nest deeper than {MAX_DEPTH}"));
        return None;
    }
    if !node.is_table() {
        node.mismatch(sink, "the name of a field, or a number");
        return None;
    }
    Number::read_table(node.table(sink, "a super")?, &what, depth + 1, sink)
}

fn read_element(node: &Node<'_>, sink: &mut Sink) -> Option<At<ItemType>> {
    let kind = ItemType::read(node.text(sink)?, sink)?;
    if kind.value.count.is_some() {
        sink.error(node.span, "`as` is the type of one item, not an array");
    }
    Some(kind)
}

impl Stored {
    fn read(table: &mut Table<'_>, sink: &mut Sink) -> Option<Self> {
        let (from, item, planes) = (table.get("from"), table.get("item"), table.get("planes"));
        match (from, planes) {
            (Some(from), None) => Some(Self::Item(Place::read(&from, item, sink)?)),
            (None, Some(planes)) => {
                if let Some(item) = item {
                    sink.error(item.span, "`item` goes with `from`").help("each plane has an `item` of its own");
                }
                read_planes(&planes, sink).map(Self::Planes)
            }
            (Some(from), Some(planes)) => {
                sink.error(planes.span, "a number has `from` or `planes`, not both").also(from.span, "given here as well");
                None
            }
            (None, None) => {
                sink.error(table.span, "the number says nothing of where it is stored")
                    .help("name a field with `from`, or give `planes`");
                None
            }
        }
    }
}

fn read_planes(node: &Node<'_>, sink: &mut Sink) -> Option<Vec<Plane>> {
    let entries = node.list(sink)?;
    if entries.is_empty() {
        sink.error(node.span, "a number has at least one plane");
    }
    let planes: Vec<_> = entries.iter().map(|entry| Plane::read(entry, sink)).collect();
    planes.into_iter().collect()
}

impl Place {
    fn read(from: &Node<'_>, item: Option<Node<'_>>, sink: &mut Sink) -> Option<Self> {
        let item = match item {
            Some(node) => Some(Map::read(&node, sink)?),
            None => None,
        };
        Some(Self { from: from.text(sink)?.map(str::to_owned), item })
    }
}

impl Plane {
    fn read(node: &Node<'_>, sink: &mut Sink) -> Option<Self> {
        let mut table = node.table(sink, "a plane")?;
        let from = table.need("from");
        let item = table.get("item");
        let run = Run::read(&mut table, sink);
        table.finish(sink);
        let place = Place::read(&from?, item, sink)?;
        Some(Self { span: node.span, place, run: run? })
    }
}

impl Run {
    fn read(table: &mut Table<'_>, sink: &mut Sink) -> Option<Self> {
        let (bit, bits, trit) = (table.get("bit"), table.get("bits"), table.get("trit"));
        let Some(trit) = trit else {
            let bits = bits.or_else(|| table.need("bits")).and_then(|bits| bits.count(sink, 1..=MAX_BITS));
            let bit = match bit {
                Some(bit) => Some(Map::read(&bit, sink)?),
                None => None,
            };
            return Some(Self::Bits { bit, bits: bits?.map(|bits| bits as u32) });
        };
        for other in [bit, bits].into_iter().flatten() {
            sink.error(other.span, format!("{} does not go with `trit`", other.name())).also(trit.span, "a base-3 digit");
        }
        Map::read(&trit, sink).map(Self::Trit)
    }
}

/// Where a reading is written.
pub(crate) struct Spot {
    /// The whole plane, or the name of the field.
    pub whole: Span,
    /// What picks the item, if anything does.
    pub item: Span,
    /// What picks the bits, if anything does.
    pub bit: Span,
}

impl Stored {
    /// Where each reading is written: the planes, or the one item.
    pub(crate) fn places(&self) -> Vec<Spot> {
        let item = |place: &Place, whole: Span| place.item.as_ref().map_or(whole, |item| item.span);
        match self {
            Self::Item(place) => {
                let whole = place.from.span;
                vec![Spot { whole, item: item(place, whole), bit: whole }]
            }
            Self::Planes(planes) => planes
                .iter()
                .map(|plane| {
                    let bit = match &plane.run {
                        Run::Bits { bit: Some(bit), .. } | Run::Trit(bit) => bit.span,
                        Run::Bits { bits, .. } => bits.span,
                    };
                    Spot { whole: plane.span, item: item(&plane.place, plane.span), bit }
                })
                .collect(),
        }
    }

    /// Where all of it is written.
    pub(crate) fn span(&self) -> Span {
        let spots = self.places();
        let first = spots.first().map(|spot| spot.whole).unwrap_or_default();
        spots.last().map_or(first, |last| first.to(last.whole))
    }
}

impl Levels {
    /// Where they are written.
    pub(crate) const fn span(&self) -> Span {
        match self {
            Self::List(list) => list.span,
            Self::Table(name) => name.span,
        }
    }

    fn read(node: &Node<'_>, sink: &mut Sink) -> Option<Self> {
        if node.is_text() {
            return node.text(sink).map(|name| Self::Table(name.map(str::to_owned)));
        }
        if !node.is_list() {
            node.mismatch(sink, "a list of numbers, or the name of a table");
            return None;
        }
        let values: Vec<_> = node.list(sink)?.iter().map(|entry| entry.exact(sink)).collect();
        let values = values.into_iter().map(|level| level.map(|at| at.value)).collect::<Option<_>>()?;
        Some(Self::List(At { span: node.span, value: values }))
    }
}
