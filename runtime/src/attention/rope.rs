//! Rotary position embedding: the angles of positions.

use std::ops::Range;

use crate::error::{Error, Result};

/// Which values of a head are rotated together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pairs {
    /// Values 2i and 2i + 1.
    Neighbours,
    /// Values i and i + n, of n pairs.
    Halves,
}

/// How positions become angles.
#[derive(Clone, Debug)]
pub struct Rope {
    pairs: Pairs,
    /// The angle of each pair at position 1.
    frequencies: Vec<f64>,
    magnitude: f64,
}

impl Rope {
    /// Of the first `dims` values of a head: pair i turns by `base^(-2i / dims)` at each position.
    ///
    /// # Errors
    /// [`Error::Attention`] if `dims` is odd or 0, or `base` no positive finite number.
    pub fn new(dims: usize, base: f64, pairs: Pairs) -> Result<Self> {
        if dims == 0 || !dims.is_multiple_of(2) {
            return Err(Error::Attention { detail: format!("{dims} values cannot be rotated in pairs; take an even number") });
        }
        if !(base.is_finite() && base > 0.0) {
            return Err(Error::Attention { detail: format!("{base} is no base of angles; take a positive number") });
        }
        let exponent = |pair: usize| -((2 * pair) as f64) / dims as f64;
        let frequencies = (0..dims / 2).map(|pair| libm::pow(base, exponent(pair))).collect();
        Ok(Self { pairs, frequencies, magnitude: 1.0 })
    }

    /// Divides the angles of each pair by a factor: how long contexts are made.
    ///
    /// # Errors
    /// [`Error::Shape`] if there is not one factor per pair.
    pub fn factors(mut self, factors: &[f32]) -> Result<Self> {
        super::expect("the factors of angles", factors.len(), self.frequencies.len())?;
        for (frequency, factor) in self.frequencies.iter_mut().zip(factors) {
            *frequency /= f64::from(*factor);
        }
        Ok(self)
    }

    /// Multiplies cosines and sines by a number.
    #[must_use]
    pub fn magnitude(self, magnitude: f64) -> Self {
        Self { magnitude, ..self }
    }

    /// The table of some positions: one serves every layer.
    #[must_use]
    pub fn angles(&self, positions: Range<usize>) -> Angles {
        let mut table = Angles { pairs: self.pairs, positions: positions.clone(), cos: Vec::new(), sin: Vec::new() };
        for position in positions {
            let angles = self.frequencies.iter().map(|frequency| frequency * position as f64);
            table.cos.extend(angles.clone().map(|angle| (libm::cos(angle) * self.magnitude) as f32));
            table.sin.extend(angles.map(|angle| (libm::sin(angle) * self.magnitude) as f32));
        }
        table
    }
}

/// Cosines and sines of the angles of some positions.
#[derive(Clone, Debug)]
pub struct Angles {
    pub(super) pairs: Pairs,
    positions: Range<usize>,
    /// `[positions][pairs]`.
    cos: Vec<f32>,
    sin: Vec<f32>,
}

impl Angles {
    /// The positions that it has.
    #[must_use]
    pub fn positions(&self) -> Range<usize> {
        self.positions.clone()
    }

    /// Values of a head that are rotated.
    #[must_use]
    pub fn dims(&self) -> usize {
        2 * self.cos.len() / self.positions.len().max(1)
    }

    /// Cosines and sines of a position.
    ///
    /// # Panics
    /// If it has no such position.
    #[must_use]
    pub fn of(&self, position: usize) -> (&[f32], &[f32]) {
        assert!(self.positions.contains(&position), "position {position} of {:?}", self.positions);
        let (count, index) = (self.dims() / 2, position - self.positions.start);
        let range = index * count..(index + 1) * count;
        (&self.cos[range.clone()], &self.sin[range])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_the_angles_of_its_positions() {
        let rope = Rope::new(8, 10_000.0, Pairs::Halves).unwrap().factors(&[1.0, 1.0, 2.0, 4.0]).unwrap().magnitude(1.5);
        let angles = rope.angles(1000..1003);
        assert_eq!((angles.dims(), angles.positions()), (8, 1000..1003));
        for position in 1000..1003 {
            let (cos, sin) = angles.of(position);
            for (pair, factor) in [1.0, 1.0, 2.0, 4.0].into_iter().enumerate() {
                let angle = position as f64 * 10_000_f64.powf(-(pair as f64) / 4.0) / factor;
                assert!((f64::from(cos[pair]) - 1.5 * angle.cos()).abs() < 1e-6, "{position}, {pair}");
                assert!((f64::from(sin[pair]) - 1.5 * angle.sin()).abs() < 1e-6, "{position}, {pair}");
            }
        }
        // A table of other positions agrees with it.
        assert_eq!(rope.angles(0..2000).of(1001), angles.of(1001));
    }

    /// The bits of a processor of another architecture are these, too.
    #[test]
    fn tables_have_the_same_bits_everywhere() {
        let angles = Rope::new(64, 500_000.0, Pairs::Neighbours).unwrap().angles(4000..4100);
        let hash =
            angles.cos.iter().chain(&angles.sin).fold(0xcbf2_9ce4_8422_2325_u64, |hash, value| {
                (hash ^ u64::from(value.to_bits())).wrapping_mul(0x0100_0000_01b3)
            });
        assert_eq!(hash, 0xec56_c91c_e828_8013);
    }

    #[test]
    fn what_is_no_rope_is_refused() {
        for (dims, base) in [(0, 1e4), (7, 1e4), (8, 0.0), (8, -1.0), (8, f64::NAN), (8, f64::INFINITY)] {
            assert!(Rope::new(dims, base, Pairs::Halves).is_err(), "{dims} {base}");
        }
        assert!(Rope::new(8, 1e4, Pairs::Halves).unwrap().factors(&[1.0; 3]).is_err());
    }
}
