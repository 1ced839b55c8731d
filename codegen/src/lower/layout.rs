//! The packed layout: the fields of a packed block in the order in which they lie, from which every struct, size and offset follows.

use super::class::{Class, LINE, Min, PANEL_ROWS, Root};
use super::planes::{CHUNK, ROWS};

/// What a row has of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// A byte.
    Byte,
    /// A 16-bit pattern.
    Half,
    /// An f32.
    Float,
    /// Two bytes.
    Pair,
    /// The same bits of four consecutive weights, one weight to a byte.
    Quad,
    /// So many bytes.
    Bytes(usize),
}

impl Element {
    /// Of a root.
    #[must_use]
    pub const fn of_root(root: Root) -> Self {
        match root {
            Root::E8m0 { .. } | Root::Ue4m3 => Self::Byte,
            Root::F16 | Root::Bf16 => Self::Half,
            Root::F32 => Self::Float,
        }
    }

    /// Bytes of one.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::Byte => 1,
            Self::Half | Self::Pair => 2,
            Self::Float | Self::Quad => 4,
            Self::Bytes(count) => count,
        }
    }
}

/// A field of a packed block: `[counts][rows]` elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name in the structs.
    pub name: &'static str,
    /// What it holds.
    pub doc: &'static str,
    /// What a row has of it, each time.
    pub element: Element,
    /// How often, outermost first; none is 0.
    pub counts: Vec<usize>,
}

/// A packed block of so many rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackedLayout {
    /// Rows that lie side by side.
    pub rows: usize,
    /// Bytes that a block is filled up to a multiple of.
    pub line: usize,
    /// Its fields, codes last.
    pub fields: Vec<Field>,
}

impl PackedLayout {
    /// Of a class, with panels of so many rows on memory of such lines.
    #[must_use]
    pub fn new(class: &Class, rows: usize, line: usize) -> Self {
        let root = Element::of_root(class.root);
        let subs = if class.sub_scale.is_some() { class.steps() } else { 0 };
        let field = |name, doc, element, counts: &[usize]| Field { name, doc, element, counts: counts.to_vec() };
        let fields = [
            field("roots", "Root scales.", root, &[class.roots()]),
            field("min_roots", "Root mins.", root, &[class.min_roots()]),
            field("zeros", "Zero points.", Element::Byte, &[class.zeros()]),
            field("scales", "Sub-scales, one a step.", Element::Byte, &[subs]),
            field("mins", "Sub-mins, two steps to a pair.", Element::Pair, &[class.min_pairs()]),
            field(CODES, "Code lines.", Element::Quad, &[class.unit / class.body(), class.body_lines()]),
        ];
        Self { rows, line, fields: fields.into_iter().filter(|field| !field.counts.contains(&0)).collect() }
    }

    /// That of kernels for processors: 16 rows, lines of 64 bytes. Packed files hold it.
    #[must_use]
    pub fn cpu(class: &Class) -> Self {
        Self::new(class, PANEL_ROWS, LINE)
    }

    /// That of kernels for graphics processors: 32 rows, codes by planes, and what each step has of its own in one run of bytes a row.
    #[must_use]
    pub fn panel(class: &Class) -> Self {
        let heads = Self::new(class, ROWS, CHUNK).fields.into_iter().filter(|field| HEADS.contains(&field.name));
        let subs = Field {
            name: SUBS,
            doc: "Sub-scales, one a step, then sub-mins, two steps to a pair; or both, in halves of a byte a step.",
            element: Element::Bytes(sub_bytes(class)),
            counts: vec![usize::from(sub_bytes(class) > 0)],
        };
        let plane = |&bits: &u32| Field {
            name: plane_name(bits),
            doc: "Chunks of a plane of the codes.",
            element: Element::Bytes(CHUNK),
            counts: vec![class.unit * bits as usize / 8 / CHUNK],
        };
        let fields = heads.chain([subs]).chain(class.planes.iter().map(plane));
        Self { rows: ROWS, line: CHUNK, fields: fields.filter(|field| !field.counts.contains(&0)).collect() }
    }

    /// Bytes of a field.
    #[must_use]
    pub fn bytes_of(&self, field: &Field) -> usize {
        field.element.bytes() * field.counts.iter().product::<usize>() * self.rows
    }

    /// Bytes before the codes.
    #[must_use]
    pub fn head_bytes(&self) -> usize {
        self.fields.iter().filter(|field| field.name != CODES).map(|field| self.bytes_of(field)).sum()
    }

    /// Bytes that carry information.
    #[must_use]
    pub fn content_bytes(&self) -> usize {
        self.fields.iter().map(|field| self.bytes_of(field)).sum()
    }

    /// Bytes of a block: a whole number of lines.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.content_bytes().next_multiple_of(self.line)
    }

    /// Where a field begins, if there is one of that name.
    #[must_use]
    pub fn offset_of(&self, name: &str) -> Option<usize> {
        let at = self.fields.iter().position(|field| field.name == name)?;
        Some(self.fields[..at].iter().map(|field| self.bytes_of(field)).sum())
    }
}

/// The field of codes.
const CODES: &str = "codes";

/// The field of a panel with sub-scales and sub-mins.
pub const SUBS: &str = "subs";

/// Fields that are alike in all layouts.
const HEADS: [&str; 3] = ["roots", "min_roots", "zeros"];

/// The field of a panel with a plane of so many bits.
#[must_use]
pub const fn plane_name(bits: u32) -> &'static str {
    match bits {
        1 => "codes1",
        2 => "codes2",
        4 => "codes4",
        _ => "codes8",
    }
}

/// Where sub-mins begin among the bytes that a row has of its steps: behind sub-scales.
#[must_use]
pub const fn sub_scale_bytes(class: &Class) -> usize {
    if class.sub_scale.is_some() { class.steps() } else { 0 }
}

/// Whether the sub-scale and the sub-min of a step are the lower and the upper half of a byte.
#[must_use]
pub fn has_halves(class: &Class) -> bool {
    let mins = matches!(class.min, Some(Min::Sub(sub)) if sub.narrow);
    mins && class.sub_scale.is_some_and(|sub| sub.narrow) && class.span > class.step
}

/// Bytes that a row of a panel has of its steps: a power of two, so that they are few loads.
fn sub_bytes(class: &Class) -> usize {
    let mins = if has_halves(class) { 0 } else { 2 * class.min_pairs() };
    match sub_scale_bytes(class) + mins {
        0 => 0,
        bytes => bytes.next_power_of_two().max(4),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, Set, cards_dir};

    #[test]
    fn higher_panels_and_longer_lines_are_another_instance() {
        let plan = Config::new().cards(cards_dir()).variants(Set::Default).plan().unwrap();
        for (name, class) in &plan.classes {
            let (cpu, tall) = (PackedLayout::cpu(class), PackedLayout::new(class, 32, 128));
            assert_eq!(tall.content_bytes(), 2 * cpu.content_bytes(), "{name}");
            assert_eq!(tall.bytes(), 2 * cpu.bytes(), "{name}");
            for field in &cpu.fields {
                let at = cpu.offset_of(field.name).unwrap();
                assert_eq!(tall.offset_of(field.name), Some(2 * at), "{name}: {}", field.name);
                assert_eq!(at % field.element.bytes(), 0, "{name}: {} is not aligned", field.name);
            }
            assert_eq!(cpu.bytes() % LINE, 0, "{name}");
        }
    }

    #[test]
    fn fields_lie_one_after_the_other() {
        let plan = Config::new().cards(cards_dir()).variants(Set::Default).plan().unwrap();
        let layout = PackedLayout::cpu(&plan.classes["linear4z8_g32_h32_a32_u64"]);
        // Two half-precision roots of 16 rows, then 64 weights of 4 bits of each.
        assert_eq!((layout.offset_of("roots"), layout.offset_of("codes")), (Some(0), Some(2 * 2 * 16)));
        assert_eq!((layout.content_bytes(), layout.bytes()), (64 + 64 * 16 / 2, 576));
        assert_eq!(layout.offset_of("mins"), None);
    }
}
