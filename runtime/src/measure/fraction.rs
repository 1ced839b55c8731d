//! Parts of a limit, as they are printed.

use std::fmt;

/// A part of what a machine allows, which is printed in percent. What is above the limit has a mark, and whoever prints one says
/// [`Fraction::ABOVE`] beside it.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Fraction(pub f64);

impl Fraction {
    /// What the mark means.
    pub const ABOVE: &str = if cfg!(debug_assertions) {
        "* above the limit, which is too low: what measures it was built without optimisation"
    } else {
        "* above the limit, which then was none: a cache held the weights, or other work slowed its measurement down"
    };

    /// What the mark means, if one of these has it.
    #[must_use]
    pub fn explained(mut all: impl Iterator<Item = Self>) -> Option<&'static str> {
        all.any(Self::is_above).then_some(Self::ABOVE)
    }

    /// Whether it is printed as more than 100%.
    #[must_use]
    pub fn is_above(self) -> bool {
        (100.0 * self.0).round() > 100.0
    }
}

impl fmt::Display for Fraction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{:.0}%{}", 100.0 * self.0, if self.is_above() { "*" } else { "" }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_all_has_a_mark_and_a_word() {
        let printed = [0.756, 1.0, 1.004, 1.006, 2.96].map(|part| Fraction(part).to_string());
        assert_eq!(printed, ["76%", "100%", "100%", "101%*", "296%*"]);
        assert_eq!(format!("{:>6}", Fraction(1.5)), " 150%*");
        let explained = |parts: &[f64]| Fraction::explained(parts.iter().copied().map(Fraction));
        assert_eq!(explained(&[0.5, 1.0]), None);
        assert!(explained(&[0.5, 1.3]).is_some_and(|said| said.starts_with('*')));
    }
}
