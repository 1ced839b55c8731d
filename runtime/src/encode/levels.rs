//! The nearest of the levels that a weight can have on its own.

use super::own::Own;

/// Adding and subtracting it rounds an f32 from 0 to 2^22 to an integer, without a call.
const ROUND: f32 = 8_388_608.0;

/// Levels up to so many are found by comparing with all midpoints.
const COMPARED: usize = 32;

/// Weights that are compared at a time.
const AT_ONCE: usize = 64;

/// The levels of a code, ascending.
#[derive(Debug)]
pub enum Levels {
    /// Evenly spaced.
    Even {
        /// All of them.
        own: Own,
        /// The lowest.
        first: f32,
        /// From one to the next.
        step: f32,
        /// Place of the highest.
        last: f32,
    },
    /// A few, at any distances.
    Few {
        /// All of them.
        own: Own,
        /// The lowest.
        first: f32,
        /// The midpoint of two neighbours, and the distance between them.
        gaps: Vec<(f32, f32)>,
    },
    /// Many.
    Many(Own),
}

impl Levels {
    /// The levels that `own` lists.
    pub fn new(own: Own) -> Self {
        let Own::Listed { values, .. } = &own else { return Self::Many(own) };
        let (first, last) = (values[0], (values.len() - 1) as f32);
        let step = values.get(1).map_or(1.0, |second| second - first);
        if values.iter().zip(0..).all(|(value, place)| *value == first + place as f32 * step) {
            return Self::Even { first, step, last, own };
        }
        // The sum of the distances must give back each level.
        let gaps = values.windows(2).map(|pair| (0.5 * (pair[0] + pair[1]), pair[1] - pair[0])).collect::<Vec<_>>();
        let exact = gaps.iter().zip(values).try_fold(first, |sum, ((_, gap), value)| (sum == *value).then_some(sum + gap));
        if values.len() <= COMPARED && exact.is_some() { Self::Few { first, gaps, own } } else { Self::Many(own) }
    }

    /// All levels.
    pub fn own(&self) -> &Own {
        match self {
            Self::Even { own, .. } | Self::Few { own, .. } | Self::Many(own) => own,
        }
    }

    /// The bits of a level.
    pub fn bits(&self, level: f32) -> u64 {
        self.own().bits(self.own().nearest(f64::from(level)))
    }

    /// The level nearest to each `(x - min) * inverse`.
    #[inline(always)]
    pub fn assign(&self, x: &[f32], inverse: f32, min: f32, levels: &mut [f32]) {
        match self {
            Self::Even { first, step, last, .. } => {
                let (scale, shift) = (inverse / step, -min * inverse / step - first / step);
                for (level, x) in levels.iter_mut().zip(x) {
                    let place = x * scale + shift;
                    let place = if place > 0.0 { place } else { 0.0 };
                    let place = if place < *last { place } else { *last };
                    *level = first + step * ((place + ROUND) - ROUND);
                }
            }
            Self::Few { first, gaps, .. } => {
                let mut buffer = [0.0; AT_ONCE];
                for (levels, x) in levels.chunks_mut(AT_ONCE).zip(x.chunks(AT_ONCE)) {
                    let targets = &mut buffer[..x.len()];
                    targets.iter_mut().zip(x).for_each(|(target, x)| *target = (x - min) * inverse);
                    levels.fill(*first);
                    for &(middle, gap) in gaps {
                        for (level, target) in levels.iter_mut().zip(&*targets) {
                            *level += if *target > middle { gap } else { 0.0 };
                        }
                    }
                }
            }
            Self::Many(own) => {
                for (level, x) in levels.iter_mut().zip(x) {
                    *level = own.nearest(f64::from((x - min) * inverse)).value;
                }
            }
        }
    }
}
