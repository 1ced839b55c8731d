//! Facts that follow from a checked format: levels, groups, units. Nothing here is written in a card.

use crate::model::{Format, Number, Piece};

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
    #[must_use]
    pub fn run(&self, piece: &Piece, number: &Number) -> usize {
        todo!()
    }

    /// Every value that the number's own part, `step * level + offset`, can take: ascending, without repeats. `None` for a float
    /// item or for integers too wide to list (over 16 bits).
    #[must_use]
    pub fn own_values(&self, number: &Number) -> Option<Vec<f64>> {
        todo!()
    }

    /// The levels of the format as integers; `None` when they are floats or their magnitude is over 2^15 in that unit.
    #[must_use]
    pub fn integer_levels(&self) -> Option<IntegerLevels> {
        todo!()
    }

    /// Storage cost: bits per weight of a block format.
    #[must_use]
    pub fn bits_per_weight(&self) -> Option<f64> {
        self.blocks().map(|blocks| 8.0 * blocks.bytes as f64 / blocks.weights as f64)
    }
}
