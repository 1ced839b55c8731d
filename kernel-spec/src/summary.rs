//! What a generator derives from a card, in one place for people to read.

use std::fmt;

use crate::facts::IntegerLevels;
use crate::model::Format;
use crate::sharing::gcd;

/// Largest magnitude of a quantised activation.
pub(crate) const MAX_ACTIVATION: u64 = 127;

/// Facts that follow from a checked format.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Summary {
    /// Storage cost; `None` for separate tensors.
    pub bits_per_weight: Option<f64>,
    /// What kind of levels the format has.
    pub class: Class,
    /// Every row, block and field starts at a multiple of this many bytes; `None` for separate tensors.
    pub alignment: Option<usize>,
    /// Facts of a format whose levels are integers in some unit.
    pub integers: Option<Integers>,
}

/// The kind of levels that a format has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The weights are floats.
    Float,
    /// Consecutive levels.
    Linear {
        /// Bits of their count.
        bits: u32,
        /// Whether some are negative.
        signed: bool,
    },
    /// Any other levels.
    Palette {
        /// Bits of their count.
        bits: u32,
        /// Whether some are negative.
        signed: bool,
    },
}

/// Facts of a format whose levels are integers.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Integers {
    /// How many levels there are.
    pub levels: usize,
    /// The lowest and the highest level.
    pub range: (i32, i32),
    /// The unit in which they are integers.
    pub unit: f32,
    /// Neighbouring weights that share a scale; `None` if a whole row does.
    pub group: Option<usize>,
    /// The same of the min, if there is one.
    pub min_group: Option<Option<usize>>,
    /// Products that are summed as integers.
    pub step: usize,
    /// Neighbouring activations that are quantised together.
    pub activation_block: usize,
    /// Largest magnitude of a scale's own value, if that can be listed.
    pub largest_scale: Option<f64>,
}

impl Integers {
    /// Largest magnitude of a level.
    #[must_use]
    pub const fn max(&self) -> u64 {
        let (low, high) = (self.range.0.unsigned_abs(), self.range.1.unsigned_abs());
        if low > high { low as u64 } else { high as u64 }
    }

    /// Largest magnitude of one step's dot product.
    #[must_use]
    pub const fn largest_dot(&self) -> u64 {
        self.max() * MAX_ACTIVATION * self.step as u64
    }

    /// Largest magnitude of two neighbouring products added, as some instructions do in i16.
    #[must_use]
    pub const fn largest_pair(&self) -> u64 {
        2 * self.max() * MAX_ACTIVATION
    }

    /// Whether such a pair fits i16.
    #[must_use]
    pub const fn pair_fits(&self) -> bool {
        self.largest_pair() <= i16::MAX as u64
    }
}

impl Format {
    /// Everything that a generator derives.
    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary {
            bits_per_weight: self.bits_per_weight(),
            class: self.class(),
            alignment: self.alignment(),
            integers: self.integer_levels().map(|levels| self.integers(&levels)),
        }
    }

    fn class(&self) -> Class {
        let Some(levels) = self.levels() else { return Class::Float };
        let bits = levels.len().next_power_of_two().ilog2();
        let signed = levels.first().is_some_and(|lowest| *lowest < 0.0);
        let consecutive = |integers: IntegerLevels| integers.values.windows(2).all(|pair| pair[1] - pair[0] == 1);
        if self.integer_levels().is_some_and(consecutive) {
            Class::Linear { bits, signed }
        } else {
            Class::Palette { bits, signed }
        }
    }

    fn integers(&self, levels: &IntegerLevels) -> Integers {
        Integers {
            levels: levels.values.len(),
            range: (levels.values.first().copied().unwrap_or(0), levels.values.last().copied().unwrap_or(0)),
            unit: levels.unit,
            group: self.scale.as_ref().and_then(|scale| self.shared(scale)),
            min_group: self.min.as_ref().map(|min| self.shared(min)),
            step: self.step(),
            activation_block: self.span(),
            largest_scale: self.scale.as_ref().and_then(|scale| self.own_values(scale)).map(|values| largest(&values)),
        }
    }

    fn alignment(&self) -> Option<usize> {
        let blocks = self.blocks()?;
        Some(blocks.fields.iter().fold(gcd(blocks.bytes, blocks.header), |common, field| gcd(common, field.at)))
    }
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |largest, value| value.abs().max(largest))
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = |signed| if signed { 's' } else { 'u' };
        match *self {
            Self::Float => f.write_str("float"),
            Self::Linear { bits, signed } => write!(f, "linear{bits}{}", letter(signed)),
            Self::Palette { bits, signed } => write!(f, "palette{bits}{}", letter(signed)),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(bits) = self.bits_per_weight {
            writeln!(f, "bits per weight   {bits}")?;
        }
        writeln!(f, "class             {}", self.class)?;
        if let Some(bytes) = self.alignment {
            writeln!(f, "alignment         {bytes}")?;
        }
        self.integers.as_ref().map_or(Ok(()), |integers| integers.fmt(f))
    }
}

impl fmt::Display for Integers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (low, high) = self.range;
        writeln!(f, "levels            {}, {low} to {high} in units of {}", self.levels, self.unit)?;
        writeln!(f, "group             {}", weights(self.group))?;
        if let Some(group) = self.min_group {
            writeln!(f, "min group         {}", weights(group))?;
        }
        let block = self.activation_block;
        writeln!(f, "activations       quantised per {block}; {}", self.sums())?;
        writeln!(f, "largest dot       {}", self.largest_dot())?;
        let fits = if self.pair_fits() { "fits" } else { "overflows" };
        writeln!(f, "largest pair      {}, which {fits} i16", self.largest_pair())?;
        self.largest_scale.map_or(Ok(()), |scale| writeln!(f, "largest scale     {scale}"))
    }
}

impl Integers {
    /// Which sums of activations kernels need.
    fn sums(&self) -> String {
        let step = self.step;
        match (self.min_group, self.range.0 < 0) {
            (Some(_), false) => format!("sums per {step}"),
            (Some(_), true) => format!("sums per {step}, also where codes are held unsigned"),
            (None, true) => format!("sums per {step} where codes are held unsigned"),
            (None, false) => "no sums".to_owned(),
        }
    }
}

/// How many weights share a number, as text.
fn weights(group: Option<usize>) -> String {
    group.map_or_else(|| "a whole row".to_owned(), |group| group.to_string())
}
