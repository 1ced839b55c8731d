//! All values that some digits can have together.

use std::fmt;

use crate::model::Map;

/// One value for each of some digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Values<'s> {
    digits: Vec<(&'s str, i64)>,
}

impl<'s> Values<'s> {
    /// Every combination of values of digits, given with the number of values of each.
    pub(crate) fn all(sizes: Vec<(&'s str, usize)>) -> impl Iterator<Item = Self> {
        let count = sizes.iter().map(|(_, size)| size).product::<usize>();
        (0..count).map(move |row| Self::nth(&sizes, row))
    }

    fn nth(sizes: &[(&'s str, usize)], mut row: usize) -> Self {
        let mut digits: Vec<_> = sizes.iter().map(|(name, _)| (*name, 0)).collect();
        for ((_, value), (_, size)) in digits.iter_mut().zip(sizes).rev() {
            *value = (row % size) as i64;
            row /= size;
        }
        Self { digits }
    }

    /// Each digit with its value.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'s str, i64)> {
        self.digits.iter().copied()
    }

    /// The value of a map over these digits; others count as 0.
    pub(crate) fn of(&self, map: &Map) -> i64 {
        map.value(|name| self.digits.iter().find(|(digit, _)| *digit == name).map_or(0, |(_, value)| *value))
    }
}

impl fmt::Display for Values<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each: Vec<String> = self.digits.iter().map(|(name, value)| format!("{name} = {value}")).collect();
        f.write_str(&each.join(", "))
    }
}
