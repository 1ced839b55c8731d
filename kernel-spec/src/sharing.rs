//! Which weights of a row share a number, and what of it the numerics class `int8` sums at once: definitions and kernels both ask here.

use quantloom_abi::{NARROW_SPAN, WIDE_SPAN};

use crate::facts::in_common_unit;
use crate::model::{Format, Home, Number};
use crate::reading::Reading;

impl Format {
    /// Weights of a block; of separate tensors the stride of the slowest digit, at which everything repeats.
    #[must_use]
    pub fn period(&self) -> usize {
        self.pieces.last().map_or(1, |piece| piece.end)
    }

    /// How many neighbouring weights share a number, its supers included: the row falls into stretches of that length, from its first
    /// weight on. `None` where the whole row shares it.
    #[must_use]
    pub fn shared(&self, number: &Number) -> Option<usize> {
        number.chain().filter_map(|number| self.shared_alone(number)).reduce(gcd)
    }

    /// [`Format::shared`] of a number without its supers.
    fn shared_alone(&self, number: &Number) -> Option<usize> {
        // A vector has a value of its own for each of its weights.
        if number.width() > 1 {
            return Some(1);
        }
        let readings = self.storage.readings(number);
        let used = readings.iter().flat_map(Reading::digits).collect::<Vec<_>>();
        let digits = self.pieces.iter().flat_map(|piece| &piece.digits);
        let strides = digits.filter(|digit| used.contains(&digit.name.as_str())).map(|digit| digit.stride);
        let in_block = |field: usize| self.blocks().is_some_and(|blocks| blocks.fields[field].home == Home::Block);
        match strides.reduce(gcd) {
            Some(stride) => Some(self.pieces.iter().map(|piece| piece.start).fold(stride, gcd)),
            None => readings.iter().any(|reading| in_block(reading.field)).then(|| self.period()),
        }
    }

    /// Neighbouring activations that class `int8` quantises together.
    #[must_use]
    pub fn span(&self) -> usize {
        if self.period().is_multiple_of(WIDE_SPAN) { WIDE_SPAN } else { NARROW_SPAN }
    }

    /// Neighbouring weights that share a scale, a min and an activation scale wherever in the row they lie: the products of class `int8`
    /// that are summed as integers.
    #[must_use]
    pub fn step(&self) -> usize {
        let numbers = [&self.scale, &self.min].into_iter().flatten();
        numbers.filter_map(|number| self.shared(number)).fold(self.span(), gcd)
    }

    /// Whether class `int8` sums the mins of a span as integers: they are some, under one root.
    #[must_use]
    pub fn has_integer_mins(&self) -> bool {
        let Some((min, root)) = self.min.as_ref().and_then(|min| Some((min, min.outer.as_deref()?))) else { return false };
        let integers = self.own_values(min).is_some_and(|values| in_common_unit(&values).is_some());
        integers && self.shared(root).is_none_or(|weights| weights.is_multiple_of(self.span()))
    }
}

/// The greatest common divisor; that of 0 and a number is the number.
#[must_use]
pub const fn gcd(mut left: usize, mut right: usize) -> usize {
    while right != 0 {
        (left, right) = (right, left % right);
    }
    left
}
