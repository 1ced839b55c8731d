//! Rotary position embedding: the angles of positions.

use std::f64::consts::PI;
use std::ops::Range;

use crate::error::{Error, Result};
use crate::machine::StandardFloats;

/// Which values of a head are rotated together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pairs {
    /// Values 2i and 2i + 1.
    Neighbours,
    /// Values i and i + n, of n pairs.
    Halves,
}

/// How YaRN makes a context longer: pairs that turn often are left as they are, those that hardly turn are stretched.
#[derive(Clone, Copy, Debug)]
pub struct Yarn {
    /// By how much it is longer.
    pub factor: f64,
    /// Positions that it had.
    pub original: f64,
    /// Pairs that turn so often in these positions, or oftener, are not stretched.
    pub fast: f64,
    /// Pairs that turn so often, or less, are stretched by the whole factor.
    pub slow: f64,
}

/// How positions become angles.
#[derive(Clone, Debug)]
pub struct Rope {
    pairs: Pairs,
    base: f64,
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
        let _floats = StandardFloats::set();
        let exponent = |pair: usize| -((2 * pair) as f64) / dims as f64;
        let frequencies = (0..dims / 2).map(|pair| libm::pow(base, exponent(pair))).collect();
        Ok(Self { pairs, base, frequencies, magnitude: 1.0 })
    }

    /// Divides the angles of each pair by a factor: how long contexts are made.
    ///
    /// # Errors
    /// [`Error::Shape`] if there is not one factor per pair; [`Error::BadValue`] if one is not finite and above 0.
    pub fn factors(mut self, factors: &[f32]) -> Result<Self> {
        const WHAT: &str = "the factors of angles";
        let _floats = StandardFloats::set();
        super::expect(WHAT, factors.len(), self.frequencies.len())?;
        if let Some(index) = factors.iter().position(|factor| !(factor.is_finite() && *factor > 0.0)) {
            return Err(Error::BadValue { what: WHAT.to_owned(), index, wanted: "a finite number above 0" });
        }
        for (frequency, factor) in self.frequencies.iter_mut().zip(factors) {
            *frequency /= f64::from(*factor);
        }
        Ok(self)
    }

    /// Stretches the context as YaRN does.
    ///
    /// # Errors
    /// [`Error::Attention`] if a number is not positive and finite, or angles are powers of 1.
    pub fn yarn(mut self, yarn: &Yarn) -> Result<Self> {
        let _floats = StandardFloats::set();
        let Yarn { factor, original, fast, slow } = *yarn;
        let of_base = 2.0 * libm::log(self.base);
        if ![factor, original, fast, slow].iter().all(|number| number.is_finite() && *number > 0.0) || of_base == 0.0 {
            let detail = format!("{yarn:?} of base {} stretches no context; take positive numbers", self.base);
            return Err(Error::Attention { detail });
        }
        let dims = (2 * self.frequencies.len()) as f64;
        // The pair, not an integer, that turns so often.
        let pair = |turns: f64| dims * libm::log(original / (turns * 2.0 * PI)) / of_base;
        let low = libm::floor(pair(fast)).max(0.0);
        let high = libm::ceil(pair(slow)).min(dims - 1.0);
        for (pair, frequency) in self.frequencies.iter_mut().enumerate() {
            let stretched = ((pair as f64 - low) / (high - low).max(0.001)).clamp(0.0, 1.0);
            *frequency = *frequency / factor * stretched + *frequency * (1.0 - stretched);
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
        let _floats = StandardFloats::set();
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

    /// Of 64 values and a base of 150,000: pair 8.1 turns 32 times in 4096 positions, pair 17.4 once.
    #[test]
    fn yarn_stretches_pairs_that_hardly_turn() {
        let plain = Rope::new(64, 150_000.0, Pairs::Halves).unwrap();
        let yarn = plain.clone().yarn(&Yarn { factor: 32.0, original: 4096.0, fast: 32.0, slow: 1.0 }).unwrap();
        for (pair, share) in [(0, 0.0), (8, 0.0), (9, 0.1), (13, 0.5), (17, 0.9), (18, 1.0), (31, 1.0)] {
            let wanted = plain.frequencies[pair] * (share / 32.0 + 1.0 - share);
            assert!((yarn.frequencies[pair] - wanted).abs() <= 1e-12 * wanted, "{pair}: {} {wanted}", yarn.frequencies[pair]);
        }
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
        for wrong in [0.0, -1.0, f32::NAN, f32::INFINITY] {
            let error = Rope::new(8, 1e4, Pairs::Halves).unwrap().factors(&[1.0, wrong, 1.0, 1.0]).unwrap_err();
            assert!(matches!(error, Error::BadValue { index: 1, .. }), "{wrong}: {error}");
        }
        let yarn = Yarn { factor: 4.0, original: 64.0, fast: 32.0, slow: 1.0 };
        for wrong in [Yarn { factor: 0.0, ..yarn }, Yarn { original: f64::NAN, ..yarn }, Yarn { slow: -1.0, ..yarn }] {
            assert!(Rope::new(8, 1e4, Pairs::Halves).unwrap().yarn(&wrong).is_err(), "{wrong:?}");
        }
        assert!(Rope::new(8, 1.0, Pairs::Halves).unwrap().yarn(&yarn).is_err());
    }
}
