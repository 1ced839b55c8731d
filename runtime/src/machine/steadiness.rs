//! How much ceilings vary from round to round.

use std::fmt;

/// A machine is unsteady if the better of its rounds are so many times as fast as the worse ones.
const UNSTEADY: f64 = 1.2;

/// How a ceiling varied from round to round, in its unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// One round in ten was below this.
    pub low: f64,
    /// One round in ten was above this.
    pub high: f64,
}

impl Spread {
    /// Of the ceilings of some rounds.
    pub(super) fn of(mut rounds: Vec<f64>) -> Self {
        const TAIL: f64 = 0.1;
        rounds.sort_unstable_by(f64::total_cmp);
        let out = (rounds.len() as f64 * TAIL) as usize;
        let at = |index: usize| rounds.get(index).copied().unwrap_or_default();
        Self { low: at(out), high: at(rounds.len().saturating_sub(out + 1)) }
    }

    /// Whether a fraction of such a ceiling says little.
    #[must_use]
    pub fn is_unsteady(self) -> bool {
        self.high > self.low * UNSTEADY
    }
}

/// How the ceilings of an instruction set varied over the rounds of a [`super::Gauge`]. It is printed as a sentence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Steadiness {
    /// The rounds.
    pub rounds: usize,
    /// Of [`Ceilings::read_gbps`].
    pub read_gbps: Spread,
    /// Of [`Ceilings::int8_gops`].
    pub int8_gops: Spread,
    /// Of [`Ceilings::f32_gflops`].
    pub f32_gflops: Spread,
}

impl Steadiness {
    /// Whether any of them varied much.
    #[must_use]
    pub fn is_unsteady(self) -> bool {
        [self.read_gbps, self.int8_gops, self.f32_gflops].into_iter().any(Spread::is_unsteady)
    }
}

impl fmt::Display for Steadiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rounds, read_gbps, int8_gops, f32_gflops } = *self;
        let each = [("reads", read_gbps, "GB/s"), ("int8", int8_gops, "Gop/s"), ("f32", f32_gflops, "Gflop/s")];
        let unsteady = each.into_iter().filter(|(_, spread, _)| spread.is_unsteady());
        let said = unsteady.map(|(name, Spread { low, high }, unit)| {
            let digits = usize::from(high < 99.95);
            format!("{name} {low:.digits$} to {high:.digits$} {unit}")
        });
        let said = said.collect::<Vec<_>>();
        if said.is_empty() {
            return write!(f, "the limits were steady over {rounds} rounds");
        }
        write!(f, "the limits were unsteady over {rounds} rounds: {}", said.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_changes_is_unsteady() {
        let spread = Spread::of([vec![36.0; 10], vec![62.0; 10], vec![1.0, 99.0]].concat());
        assert_eq!(spread, Spread { low: 36.0, high: 62.0 }, "one round in ten is left out at either end");
        assert!(spread.is_unsteady() && !Spread::of(vec![30.0, 31.0, 32.0]).is_unsteady());
        assert_eq!(Spread::of(vec![3.0]), Spread { low: 3.0, high: 3.0 });
        let steady = Spread { low: 100.0, high: 101.0 };
        let of = |read_gbps| Steadiness { rounds: 22, read_gbps, int8_gops: steady, f32_gflops: steady };
        assert!(of(spread).is_unsteady() && !of(steady).is_unsteady());
        assert_eq!(of(spread).to_string(), "the limits were unsteady over 22 rounds: reads 36.0 to 62.0 GB/s");
        assert_eq!(of(steady).to_string(), "the limits were steady over 22 rounds");
    }
}
