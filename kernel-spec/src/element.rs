//! Types of stored items: their names in cards, and the exact values of their bits.

use std::fmt;

use half::f16;

use crate::diagnostic::Sink;
use crate::model::Element;
use crate::walk::At;

/// Every element type under the name that cards use.
const NAMES: [(&str, Element); 18] = [
    ("u8", Element::Unsigned(8)),
    ("u16", Element::Unsigned(16)),
    ("u24", Element::Unsigned(24)),
    ("u32", Element::Unsigned(32)),
    ("u40", Element::Unsigned(40)),
    ("u48", Element::Unsigned(48)),
    ("i8", Element::Signed(8)),
    ("i16", Element::Signed(16)),
    ("i24", Element::Signed(24)),
    ("i32", Element::Signed(32)),
    ("i40", Element::Signed(40)),
    ("i48", Element::Signed(48)),
    ("f16", Element::F16),
    ("bf16", Element::Bf16),
    ("f32", Element::F32),
    ("e8m0", Element::E8m0),
    ("ue4m3", Element::Ue4m3),
    ("e4m3", Element::E4m3),
];

/// Most items in an array.
const MAX_COUNT: usize = 1 << 16;

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|(_, element)| element == self).map_or("?", |(name, _)| name);
        f.write_str(name)
    }
}

impl Element {
    /// Width of an item in bits.
    #[must_use]
    pub const fn bits(self) -> u32 {
        match self {
            Self::Unsigned(bits) | Self::Signed(bits) => bits as u32,
            Self::E8m0 | Self::Ue4m3 | Self::E4m3 => 8,
            Self::F16 | Self::Bf16 => 16,
            Self::F32 => 32,
        }
    }

    /// Whether items are integers.
    #[must_use]
    pub const fn is_integer(self) -> bool {
        matches!(self, Self::Unsigned(_) | Self::Signed(_))
    }

    /// The exact value of the low `self.bits()` bits of `bits`; the others must be 0.
    #[must_use]
    pub fn value(self, bits: u64) -> f64 {
        match self {
            Self::Unsigned(_) => bits as f64,
            Self::Signed(width) => {
                let above = 64 - u32::from(width);
                ((bits << above) as i64 >> above) as f64
            }
            Self::F16 => f16::from_bits(bits as u16).to_f64(),
            Self::Bf16 => f64::from(f32::from_bits((bits as u32) << 16)),
            Self::F32 => f64::from(f32::from_bits(bits as u32)),
            Self::E8m0 => power_of_two(bits as i32 - 127),
            Self::Ue4m3 => ue4m3(bits),
            Self::E4m3 => e4m3(bits),
        }
    }
}

/// 2^exponent, exactly, for a normal f64.
const fn power_of_two(exponent: i32) -> f64 {
    f64::from_bits(((exponent + 1023) as u64) << 52)
}

/// Four exponent and three mantissa bits; bit 7 is ignored, but only 0x7F itself is zero: 0xFF is 480.
fn ue4m3(bits: u64) -> f64 {
    if bits == 0x7F { 0.0 } else { magnitude_e4m3(bits) }
}

/// A sign above four exponent and three mantissa bits; both patterns of all ones below the sign are NaN.
fn e4m3(bits: u64) -> f64 {
    let magnitude = if bits & 0x7F == 0x7F { f64::NAN } else { magnitude_e4m3(bits) };
    if bits & 0x80 == 0 { magnitude } else { -magnitude }
}

/// Four exponent bits of bias 7 above three mantissa bits; exponent 0 is subnormal.
fn magnitude_e4m3(bits: u64) -> f64 {
    let (exponent, mantissa) = ((bits >> 3 & 15) as i32, (bits & 7) as f64);
    match exponent {
        0 => mantissa * power_of_two(-9),
        _ => (8.0 + mantissa) * power_of_two(exponent - 10),
    }
}

/// The type of a field: an element, and how many of them if it is an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ItemType {
    pub element: Element,
    pub count: Option<usize>,
}

impl ItemType {
    /// Reads a type such as `u8` or `u8[32]`.
    pub(crate) fn read(text: At<&str>, sink: &mut Sink) -> Option<At<Self>> {
        let (name, count) = match text.value.strip_suffix(']').and_then(|rest| rest.split_once('[')) {
            Some((name, count)) => (name, Some(count)),
            None => (text.value, None),
        };
        let element = find_element(name, &text, sink)?;
        let count = match count {
            Some(count) => Some(read_count(count, &text, sink)?),
            None => None,
        };
        Some(At { span: text.span, value: Self { element, count } })
    }
}

fn find_element(name: &str, text: &At<&str>, sink: &mut Sink) -> Option<Element> {
    let known = NAMES.iter().find(|(known, _)| *known == name);
    if known.is_none() {
        let names = NAMES.iter().map(|(name, _)| *name);
        sink.error(text.span, format!("unknown type `{name}`")).suggest(name, "types", names);
    }
    known.map(|(_, element)| *element)
}

fn read_count(count: &str, text: &At<&str>, sink: &mut Sink) -> Option<usize> {
    let items = count.parse().ok().filter(|items| (1..=MAX_COUNT).contains(items));
    if items.is_none() {
        sink.error(text.span, format!("`{count}` cannot be the length of an array")).label(format!("must be 1 to {MAX_COUNT}"));
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_values() {
        assert_eq!(Element::Signed(8).value(0xFF), -1.0);
        assert_eq!(Element::Signed(48).value(0x8000_0000_0000), -power_of_two(47));
        assert_eq!(Element::Unsigned(48).value(0xFFFF_FFFF_FFFF), power_of_two(48) - 1.0);
        assert_eq!(Element::F16.value(0x0001), power_of_two(-24));
        assert_eq!(Element::Bf16.value(0xBF80), -1.0);
        assert_eq!(Element::E8m0.value(255), power_of_two(128));
        assert_eq!(Element::E8m0.value(0), power_of_two(-127));
        assert_eq!(Element::Ue4m3.value(0x7F), 0.0);
        assert_eq!(Element::Ue4m3.value(0xFF), 480.0);
        assert_eq!(Element::Ue4m3.value(0xFE), 448.0);
        assert_eq!(Element::Ue4m3.value(0x81), power_of_two(-9));
        assert_eq!(Element::E4m3.value(0x7E), 448.0);
        assert_eq!(Element::E4m3.value(0xB8), -1.0);
        assert_eq!(Element::E4m3.value(0x81), -power_of_two(-9));
        assert_eq!(Element::E4m3.value(0x80).to_bits(), (-0.0_f64).to_bits());
        assert!(Element::E4m3.value(0x7F).is_nan() && Element::E4m3.value(0xFF).is_nan());
    }

    #[test]
    fn names_go_both_ways() {
        for (name, element) in NAMES {
            assert_eq!(element.to_string(), name);
        }
    }
}
