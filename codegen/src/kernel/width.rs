//! The vectors of an instruction set, and how codes go into its dots.

use quantloom_spec::isa::{Dot, Isa};

use crate::lower::class::{Class, Codes, PANEL_ROWS};

/// The vectors of an instruction set.
#[derive(Clone, Copy, Debug)]
pub struct Width {
    /// 32-bit lanes of a vector, 1 to 16.
    pub lanes: usize,
    /// The integer dot primitive.
    pub dot: Dot,
}

impl Width {
    /// Of an instruction set.
    #[must_use]
    pub fn of(isa: &Isa) -> Self {
        Self { lanes: isa.lanes(), dot: isa.dot }
    }

    /// Vectors that hold the 16 rows of a panel.
    #[must_use]
    pub const fn parts(self) -> usize {
        PANEL_ROWS / self.lanes
    }
}

/// What the sum of the quants of a step is multiplied by and its dot starts at, so that the dot is one of levels.
#[must_use]
pub fn bias(class: &Class, width: Width) -> i32 {
    let taken_off = if signed_palette(class, width) {
        class.zero
    } else if less_128(class, width) {
        128
    } else {
        0
    };
    taken_off - class.zero
}

/// Whether the palette has levels and not bytes: what is looked up is signed then.
#[must_use]
pub fn signed_palette(class: &Class, width: Width) -> bool {
    let narrow = width.dot.is_narrow() && narrow_budget(class.max_byte, width) == 0;
    (width.dot.is_signed() || narrow) && matches!(class.codes, Codes::Bytes(_))
}

/// Whether 128 is taken off every code before it is multiplied: it would not fit a signed byte otherwise, or pairs of products 16 bits.
#[must_use]
pub fn less_128(class: &Class, width: Width) -> bool {
    let fits = if width.dot.is_signed() { class.max_byte <= 127 } else { narrow_budget(class.max_byte, width) > 0 };
    (width.dot.is_signed() || width.dot.is_narrow()) && !fits && !signed_palette(class, width)
}

/// The largest integer that 1.5 * 2^23 may be added to in f32, so that taking it off again is exact.
const SUBTRACTED: u64 = 1 << 22;

/// Whether dots of steps are integers below that in magnitude.
#[must_use]
pub fn dots_are_small(class: &Class) -> bool {
    let zero = i64::from(class.zero);
    let most = zero.unsigned_abs().max((i64::from(class.max_byte) - zero).unsigned_abs());
    127 * most * (class.step as u64) < SUBTRACTED
}

/// How many quads' products are summed in 16 bits before they are widened.
#[must_use]
pub fn budget(class: &Class, width: Width) -> usize {
    let magnitude = if signed_palette(class, width) {
        class.zero.unsigned_abs()
    } else if less_128(class, width) {
        128
    } else {
        class.max_byte
    };
    narrow_budget(magnitude, width).max(1)
}

/// How many quads of bytes up to `magnitude` have sums that fit 16 bits: of products by themselves, or of pairs.
fn narrow_budget(magnitude: u32, width: Width) -> usize {
    let together = if width.dot == Dot::PairsI16 { 2 } else { 1 };
    i16::MAX as usize / (together * 127 * magnitude as usize)
}
