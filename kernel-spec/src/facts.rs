//! Facts that follow from a checked format: levels, groups, units. Nothing here is written in a card.

use crate::model::{Element, Format, Number, Piece, Run, Storage, Stored};

/// Widest integers whose values are listed one by one.
const LISTED_BITS: u32 = 16;

/// Largest magnitude of an integer level.
pub(crate) const MAX_LEVEL: f64 = 32768.0;

/// All values of `(code - zero) * sign`, as integers in a common unit.
#[derive(Clone, Debug, PartialEq)]
pub struct IntegerLevels {
    /// The largest power of two, at most 1, in which every level is an integer.
    pub unit: f32,
    /// The levels in that unit, ascending, without repeats.
    pub values: Vec<i32>,
}

impl Format {
    /// How many neighbouring weights share the value of `number` (its supers included) in `piece`: the smallest stride that its
    /// maps use, but not less than the width of its vectors; the length of the piece when it uses no digit.
    ///
    /// Digits of rows do not count: they tell rows apart, not weights of a row. Of separate tensors a piece is one value of the
    /// slowest digit, so that a number for whole rows has that length too.
    #[must_use]
    pub fn run(&self, piece: &Piece, number: &Number) -> usize {
        let run_of = |number: &Number| {
            let readings = self.storage.readings(number);
            let used = |name: &str| readings.iter().any(|reading| reading.digits().contains(name));
            let smallest = piece.digits.iter().rev().find(|digit| used(&digit.name));
            smallest.map_or(piece.end - piece.start, |digit| digit.stride.max(number.width()))
        };
        number.chain().map(run_of).min().unwrap_or(1)
    }

    /// Every value that the number's own part, `step * level + offset`, can take: ascending, without repeats. `None` for a float
    /// item or for integers too wide to list (over 16 bits).
    #[must_use]
    pub fn own_values(&self, number: &Number) -> Option<Vec<f64>> {
        own_values(&self.storage, number)
    }

    /// The levels of the format as integers; `None` when they are floats or their magnitude is over 2^15 in that unit.
    #[must_use]
    pub fn integer_levels(&self) -> Option<IntegerLevels> {
        in_common_unit(&self.levels()?)
    }

    /// All values of `(code - zero) * sign`: ascending, without repeats. `None` when the parts are floats, have supers, or are
    /// integers too wide to list.
    #[must_use]
    pub fn levels(&self) -> Option<Vec<f64>> {
        let mut levels = Vec::new();
        for piece in &self.pieces {
            levels.extend(self.plain_values(&piece.code)?);
        }
        distinct(&mut levels);
        for (number, combine) in [(&self.zero, subtract as fn(f64, f64) -> f64), (&self.sign, multiply)] {
            if let Some(number) = number {
                levels = pairs(&levels, &self.plain_values(number)?, combine);
            }
        }
        Some(levels)
    }

    /// The level of each code, where the card lists them.
    #[must_use]
    pub fn levels_by_code(&self) -> Option<Vec<f32>> {
        let code = &self.pieces.first()?.code;
        let levels = code.levels.as_ref().filter(|levels| levels.width == 1)?;
        let (step, offset) = (code.step.unwrap_or(1.0), code.offset.unwrap_or(0.0));
        Some(levels.values.iter().map(|&level| (step * f64::from(level) + offset) as f32).collect())
    }

    /// The values of a number that has no super.
    fn plain_values(&self, number: &Number) -> Option<Vec<f64>> {
        if number.outer.is_some() { None } else { self.own_values(number) }
    }

    /// Storage cost: bits per weight of a block format, without the header of a row.
    #[must_use]
    pub fn bits_per_weight(&self) -> Option<f64> {
        self.blocks().map(|blocks| 8.0 * blocks.bytes as f64 / blocks.weights as f64)
    }
}

fn subtract(left: f64, right: f64) -> f64 {
    left - right
}

fn multiply(left: f64, right: f64) -> f64 {
    left * right
}

/// `combine` of every left with every right value.
fn pairs(left: &[f64], right: &[f64], combine: fn(f64, f64) -> f64) -> Vec<f64> {
    let mut all = Vec::new();
    for &value in left {
        all.extend(right.iter().map(|&other| combine(value, other)));
        distinct(&mut all);
    }
    all
}

/// Sorts and drops repeats; -0 is 0.
fn distinct(values: &mut Vec<f64>) {
    for value in values.iter_mut() {
        *value += 0.0;
    }
    values.sort_by(f64::total_cmp);
    values.dedup();
}

/// Values as integers in the largest power of two, at most 1, that divides them all; `None` if they are too large in it.
pub(crate) fn in_common_unit(levels: &[f64]) -> Option<IntegerLevels> {
    let mut unit = 1.0;
    let mut scaled = levels.to_vec();
    loop {
        if scaled.iter().any(|level| level.abs() > MAX_LEVEL) {
            return None;
        }
        if scaled.iter().all(|level| level.fract() == 0.0) {
            return Some(IntegerLevels { unit, values: scaled.iter().map(|&level| level as i32).collect() });
        }
        unit /= 2.0;
        scaled.iter_mut().for_each(|level| *level *= 2.0);
    }
}

/// `Format::own_values` before there is a format.
pub(crate) fn own_values(storage: &Storage, number: &Number) -> Option<Vec<f64>> {
    let stored = match &number.levels {
        Some(levels) => levels.values.iter().map(|&level| f64::from(level)).collect(),
        None => stored_values(storage, number)?,
    };
    let (step, offset) = (number.step.unwrap_or(1.0), number.offset.unwrap_or(0.0));
    let mut values = stored.into_iter().map(|level| step * level + offset).collect();
    distinct(&mut values);
    Some(values)
}

/// The integers that the stored bits can be.
fn stored_values(storage: &Storage, number: &Number) -> Option<Vec<f64>> {
    let element = stored_element(storage, number);
    if let Some(element) = element {
        if !element.is_integer() || element.bits() > LISTED_BITS {
            return None;
        }
        return Some((0..1 << element.bits()).map(|bits| element.value(bits)).collect());
    }
    let codes = number.codes().filter(|codes| *codes <= 1 << LISTED_BITS)?;
    Some((0..codes).map(|code| code as f64).collect())
}

/// What the stored bits of a number are; `None` for planes that make a plain unsigned integer.
pub(crate) fn stored_element(storage: &Storage, number: &Number) -> Option<Element> {
    match &number.stored {
        Stored::Item { field, .. } => Some(storage.element(*field)),
        Stored::Planes { element, .. } => *element,
    }
}

impl Number {
    /// How many codes its planes tell apart; `None` for a whole item, or when they exceed 64 bits.
    #[must_use]
    pub fn codes(&self) -> Option<u64> {
        match &self.stored {
            Stored::Item { .. } => None,
            Stored::Planes { planes, .. } => {
                planes.iter().map(|plane| &plane.run).map(Run::radix).try_fold(1u64, u64::checked_mul)
            }
        }
    }
}
