//! One view of everything that reads storage: planes, whole items and separate tensors alike.

use std::collections::BTreeSet;

use crate::model::{Map, Number, Run, Storage, Stored};

/// A stretch of bits per digit value: a plane, or a whole item.
#[derive(Clone, Copy, Debug)]
pub struct Reading<'m> {
    /// Index into the storage's fields or tensors.
    pub field: usize,
    /// The maps that pick the item, one per axis; a field has one axis.
    pub axes: &'m [Map],
    /// The axis along which the bits go on past the end of the item, if they may.
    pub stream: Option<usize>,
    /// Which part of the item.
    pub part: Part<'m>,
}

/// The part of an item that a reading takes.
#[derive(Clone, Copy, Debug)]
pub enum Part<'m> {
    /// All of it.
    Whole,
    /// Some of its bits.
    Bits {
        /// The lowest bit, counted from the start of the item.
        bit: &'m Map,
        /// How many.
        bits: u32,
    },
    /// A base-3 digit.
    Trit(&'m Map),
}

/// Bits of one item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// How many items after the first.
    pub step: usize,
    /// The lowest bit, in the item.
    pub low: u32,
    /// How many bits.
    pub bits: u32,
}

/// The stretches of `bits` bits from bit `low` of a stream of items of `width` bits, lowest first; one if they end in the item
/// in which they begin.
pub fn stretches(low: usize, bits: u32, width: u32) -> impl Iterator<Item = Stretch> {
    let item = width as usize;
    let end = low + bits as usize;
    (low / item..end.div_ceil(item)).map(move |step| {
        let (start, stop) = (low.max(step * item), end.min((step + 1) * item));
        Stretch { step, low: (start - step * item) as u32, bits: (stop - start) as u32 }
    })
}

impl<'m> Reading<'m> {
    /// The digits whose value decides what is read.
    #[must_use]
    pub fn digits(&self) -> BTreeSet<&'m str> {
        let part = match self.part {
            Part::Whole => None,
            Part::Bits { bit, .. } => Some(bit),
            Part::Trit(trit) => Some(trit),
        };
        self.axes.iter().chain(part).flat_map(Map::digits).collect()
    }
}

impl Map {
    /// The digits that the map mentions.
    pub fn digits(&self) -> impl Iterator<Item = &str> {
        self.strides.keys().map(String::as_str)
    }

    /// The value of the map where each digit has the value that `digit` gives it.
    pub fn value(&self, digit: impl Fn(&str) -> i64) -> i64 {
        self.strides.iter().fold(self.at, |sum, (name, stride)| sum + stride * digit(name))
    }
}

impl Storage {
    /// What `number` itself reads, lowest first; its super reads more.
    #[must_use]
    pub fn readings<'m>(&'m self, number: &'m Number) -> Vec<Reading<'m>> {
        match &number.stored {
            Stored::Item { field, item } => {
                vec![self.reading(*field, item, Part::Whole)]
            }
            Stored::Planes { planes, .. } => planes
                .iter()
                .map(|plane| {
                    let part = match &plane.run {
                        Run::Bits { bit, bits } => Part::Bits { bit, bits: *bits },
                        Run::Trit(trit) => Part::Trit(trit),
                    };
                    self.reading(plane.field, &plane.item, part)
                })
                .collect(),
        }
    }

    fn reading<'m>(&'m self, field: usize, item: &'m Map, part: Part<'m>) -> Reading<'m> {
        let stream = match self {
            Self::Blocks(blocks) => blocks.fields[field].stream.then_some(0),
            Self::Tensors(tensors) => tensors.tensors[field].stream,
        };
        Reading { field, axes: self.axes(field, item), stream, part }
    }

    /// A tensor has its own maps for all who read it; a field of a block is read through the reader's `item`.
    fn axes<'m>(&'m self, field: usize, item: &'m Map) -> &'m [Map] {
        match self {
            Self::Blocks(_) => std::slice::from_ref(item),
            Self::Tensors(tensors) => &tensors.tensors[field].axes,
        }
    }
}

impl Number {
    /// The number, its super, the super of that, and so on.
    pub fn chain(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |number| number.outer.as_deref())
    }

    /// Neighbouring weights that one code gives values to: over 1 for a table of vectors.
    #[must_use]
    pub fn width(&self) -> usize {
        self.levels.as_ref().map_or(1, |levels| levels.width)
    }
}
