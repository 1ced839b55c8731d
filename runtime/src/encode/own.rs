//! The values that a stored number can have, and the nearest of them to a wish.

use quantloom_spec::model::{Element, Number, Storage, Stored};

/// The values of a number's own part, `step * level + offset`.
#[derive(Debug)]
pub enum Own {
    /// Few enough to list, ascending.
    Listed {
        /// The values.
        values: Vec<f32>,
        /// The stored bits of each.
        bits: Vec<u64>,
    },
    /// Too many to list: an element, with what is done to it.
    Wide {
        /// The stored type.
        element: Element,
        /// Multiplies it, if there is one.
        step: Option<f64>,
        /// Added then, if there is one: without it, a zero keeps its sign.
        offset: Option<f64>,
        /// The largest magnitude of a value to use.
        most: f64,
    },
}

/// A value of an [`Own`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Choice {
    /// The value.
    pub value: f32,
    /// Its place in the list, or the bits of the element.
    place: u64,
}

impl Own {
    /// The values of a number that gives one value to each of its codes; `None` if it gives vectors.
    pub fn new(storage: &Storage, number: &Number) -> Option<Self> {
        let element = match &number.stored {
            Stored::Item { field, .. } => Some(storage.element(*field)),
            Stored::Planes { element, .. } => *element,
        };
        let (step, offset) = (number.step, number.offset);
        let own = |level: f64| stepped(step, offset, level);
        let mut listed: Vec<(f32, u64)> = match (&number.levels, element) {
            (Some(levels), _) if levels.width > 1 => return None,
            (Some(levels), _) => levels.values.iter().zip(0..).map(|(level, bits)| (own(f64::from(*level)), bits)).collect(),
            (None, Some(element)) => match element.listed() {
                Some(bits) => bits.map(|bits| (own(element.value(bits)), bits)).collect(),
                None if element.bits() == 8 => {
                    let all = (0..256).map(|bits| (own(element.value(bits)), bits));
                    all.filter(|(value, _)| value.is_finite()).collect()
                }
                None => return Some(Self::Wide { element, step, offset, most: f64::from(f32::MAX) }),
            },
            (None, None) => match number.codes()? {
                codes if codes <= 1 << 16 => (0..codes).map(|bits| (own(bits as f64), bits)).collect(),
                _ => return None,
            },
        };
        // Of equal values the one of the lowest bits stays; +0 and -0 are equal.
        listed.sort_by(|a, b| (a.0 + 0.0).total_cmp(&(b.0 + 0.0)).then(a.1.cmp(&b.1)));
        listed.dedup_by(|later, first| later.0 == first.0);
        let (values, bits) = listed.into_iter().unzip();
        Some(Self::Listed { values, bits })
    }

    /// Leaves out the least value of a list, unless it is the only one.
    pub fn leave_out_least(&mut self) {
        if let Self::Listed { values, bits } = self
            && values.len() > 1
        {
            values.remove(0);
            bits.remove(0);
        }
    }

    /// Uses no value of a magnitude over `most`, as long as one is left.
    pub fn limit(&mut self, limit: f64) {
        match self {
            Self::Wide { most, .. } => *most = most.min(limit),
            Self::Listed { values, bits } => {
                let fits = |value: &f32| f64::from(value.abs()) <= limit;
                if values.iter().any(fits) {
                    let kept = values.iter().copied().zip(bits.iter().copied()).filter(|(value, _)| fits(value));
                    (*values, *bits) = kept.unzip();
                }
            }
        }
    }

    /// How many values there are; as good as endless if they are not listed.
    pub fn count(&self) -> usize {
        match self {
            Self::Listed { values, .. } => values.len(),
            Self::Wide { .. } => usize::MAX,
        }
    }

    /// The least and the greatest value.
    pub fn ends(&self) -> (f32, f32) {
        match self {
            Self::Listed { values, .. } => (values[0], values[values.len() - 1]),
            Self::Wide { element, step, offset, most } => {
                let least =
                    if element.is_integer() && element.value(element.nearest(-1.0)) == 0.0 { 0.0 } else { -element.max() };
                let (a, b) = (stepped(*step, *offset, least), stepped(*step, *offset, element.max()));
                (a.min(b).max(-*most as f32), a.max(b).min(*most as f32))
            }
        }
    }

    /// The value nearest to `wish`.
    pub fn nearest(&self, wish: f64) -> Choice {
        match self {
            Self::Listed { values, .. } => {
                let above = values.partition_point(|value| f64::from(*value) < wish).min(values.len() - 1);
                let below = above.saturating_sub(1);
                let distance = |place: usize| (f64::from(values[place]) - wish).abs();
                self.at(if distance(below) <= distance(above) { below } else { above })
            }
            Self::Wide { element, step, offset, most } => {
                let wish = wish.clamp(-most, *most);
                let shifted = offset.map_or(wish, |offset| wish - offset);
                let choice = self.of_bits(element.nearest(step.map_or(shifted, |step| shifted / step)));
                // A float may have been rounded away from 0, beyond the limit.
                let beyond = f64::from(choice.value.abs()) > *most;
                let within = || [true, false].into_iter().find_map(|up| self.next(choice, up));
                if beyond { within().unwrap_or(choice) } else { choice }
            }
        }
    }

    /// The value next to `from`, above or below, if there is one.
    pub fn next(&self, from: Choice, up: bool) -> Option<Choice> {
        match self {
            Self::Listed { values, .. } => {
                let place = from.place as usize;
                let place = if up { place + 1 } else { place.checked_sub(1)? };
                (place < values.len()).then(|| self.at(place))
            }
            Self::Wide { element: Element::Unsigned(_) | Element::Signed(_), .. } => None,
            Self::Wide { element, most, .. } => {
                // The magnitudes of floats are in the order of their bits.
                let sign = 1 << (element.bits() - 1);
                let away = up == (from.place & sign == 0);
                let magnitude = from.place & (sign - 1);
                let magnitude = if away { magnitude + 1 } else { magnitude.checked_sub(1)? };
                let next = self.of_bits(from.place & sign | magnitude);
                (f64::from(next.value.abs()) <= *most).then_some(next)
            }
        }
    }

    /// The bits to store.
    pub fn bits(&self, choice: Choice) -> u64 {
        match self {
            Self::Listed { bits, .. } => bits[choice.place as usize],
            Self::Wide { .. } => choice.place,
        }
    }

    fn at(&self, place: usize) -> Choice {
        let Self::Listed { values, .. } = self else { return self.of_bits(place as u64) };
        Choice { value: values[place], place: place as u64 }
    }

    fn of_bits(&self, bits: u64) -> Choice {
        let Self::Wide { element, step, offset, .. } = self else { return self.at(bits as usize) };
        Choice { value: stepped(*step, *offset, element.value(bits)), place: bits }
    }
}

/// `step * level + offset`, where what is absent is left out.
fn stepped(step: Option<f64>, offset: Option<f64>, level: f64) -> f32 {
    let stepped = step.map_or(level, |step| step * level);
    offset.map_or(stepped, |offset| stepped + offset) as f32
}
