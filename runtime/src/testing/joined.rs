//! Floats that are joined from bits of other items: random bits would make most of them infinite, or too large.

use quantloom_spec::model::{self, Digit, Element, Map, Number, Storage, Stored};
use quantloom_spec::reading::{Part, Reading, stretches};

use super::samples::{Random, moderate_item};

/// All numbers of a card.
fn numbers(card: &model::Format) -> impl Iterator<Item = &Number> {
    let parts = [&card.zero, &card.sign, &card.scale, &card.min].into_iter().flatten();
    card.pieces.iter().map(|piece| &piece.code).chain(parts).flat_map(Number::chain)
}

/// Numbers of separate tensors that are joined from bits of items of other types.
pub struct Joined<'a> {
    card: &'a model::Format,
    shapes: &'a [(Vec<usize>, usize)],
    readings: Vec<Reading<'a>>,
    element: Element,
}

impl<'a> Joined<'a> {
    /// Those of a card whose tensors have such shapes.
    pub fn all(card: &'a model::Format, shapes: &'a [(Vec<usize>, usize)]) -> impl Iterator<Item = Self> {
        numbers(card).filter_map(move |number| match number.stored {
            Stored::Planes { element: Some(element), .. } => {
                Some(Self { card, shapes, readings: card.storage.readings(number), element })
            }
            _ => None,
        })
    }

    /// Makes them moderate floats, each by where it lies.
    pub fn moderate(&self, n: usize, k: usize, bytes: &mut [u8]) {
        for (row, position) in (0..n).flat_map(|row| (0..k).map(move |position| (row, position))) {
            let places = self.readings.iter().flat_map(|reading| self.bits(reading, row, position)).collect::<Vec<_>>();
            let value = moderate_item(self.element, Random(places.first().map_or(0, |place| *place as u64)).bits());
            for (bit, place) in places.into_iter().enumerate() {
                let byte = &mut bytes[place / 8];
                *byte = *byte & !(1 << (place % 8)) | ((value >> bit & 1) as u8) << (place % 8);
            }
        }
    }

    /// Where the bits of a reading are, counted from the start of the first tensor.
    fn bits(&self, reading: &Reading<'_>, row: usize, position: usize) -> Vec<usize> {
        let Storage::Tensors(tensors) = &self.card.storage else { return Vec::new() };
        let digits = self.card.pieces[0].digits.iter().map(|digit| (digit, position));
        let digits = digits.chain(tensors.rows.iter().map(|digit| (digit, row))).collect::<Vec<_>>();
        let of = |(digit, at): &(&Digit, usize)| at / digit.stride % if digit.size == 0 { usize::MAX } else { digit.size };
        let value = |map: &Map| {
            let digit = |name: &str| digits.iter().find(|(digit, _)| digit.name == name).map_or(0, of);
            map.value(|name| digit(name) as i64) as usize
        };
        let start: usize =
            self.shapes[..reading.field].iter().map(|(shape, item)| shape.iter().product::<usize>() * item).sum();
        let (shape, item) = &self.shapes[reading.field];
        let (low, width) = match reading.part {
            Part::Bits { bit, bits } => (value(bit), bits),
            Part::Whole | Part::Trit(_) => return Vec::new(),
        };
        let place = |step: usize| {
            let steps = |axis| if reading.stream == Some(axis) { step } else { 0 };
            let indices = reading.axes.iter().enumerate().map(|(axis, map)| value(map) + steps(axis));
            8 * (start + item * indices.zip(shape).fold(0, |at, (index, length)| at * length + index))
        };
        let of_item = 8 * *item as u32;
        stretches(low, width, of_item)
            .flat_map(|stretch| {
                let first = place(stretch.step) + stretch.low as usize;
                first..first + stretch.bits as usize
            })
            .collect()
    }
}
