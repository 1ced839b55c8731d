//! The vocabulary of generated kernels: one module per instruction set that has vectors of its own, the same names in each. In it lies a
//! module for each primitive that products of bytes are summed with, which has the names of the instruction set and its own.
//!
//! A lane is 32 bits: an integer, an f32, four bytes (a **quad**: the codes of four consecutive weights of one row, or four
//! quantised activations) or two halves of 16 bits. Every function is one or two instructions on vectors, and the plain
//! meaning of that instruction in [`scalar`]. None of them goes through a function of the standard library that takes a closure: release
//! builds do not optimise over codegen units, and would call it.

#[cfg(target_arch = "x86_64")]
pub mod avx2;
#[cfg(target_arch = "x86_64")]
pub mod avx512;
#[cfg(target_arch = "aarch64")]
pub mod neon;
pub mod scalar;

/// Functions that are compiled for the given target features, and inlined into callers that have them.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! vocabulary {
    ($features:literal: $($(#[$doc:meta])* fn $name:ident $(<const $param:ident: $kind:ty>)? ($($arg:ident: $ty:ty),*) $(-> $ret:ty)? $body:block)*) => {
        $($(#[$doc])* #[inline] #[target_feature(enable = $features)]
        #[allow(clippy::missing_safety_doc, reason = "safe where the features are; the lint takes them for unsafe functions")]
        pub fn $name $(<const $param: $kind>)? ($($arg: $ty),*) $(-> $ret)? $body)*
    };
}
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use vocabulary;

/// `after` and `after_f` of an instruction set whose vectors lie in registers of a class, which a comment writes like that.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! after {
    ($features:literal, $class:ident, $comment:literal) => {
        super::after!($features, $class, $comment, after, I);
        super::after!($features, $class, $comment, after_f, F);
    };
    ($features:literal, $class:ident, $comment:literal, $name:ident, $vector:ty) => {
        /// The same place, for the compiler to look at when `value` has been computed and not before. The processor need not wait.
        #[allow(clippy::missing_safety_doc, reason = "it is safe where the instruction set is enabled")]
        #[expect(clippy::pointers_in_nomem_asm_block, reason = "no memory is touched: the pointer only passes through")]
        #[inline]
        #[target_feature(enable = $features)]
        #[must_use]
        pub fn $name<T>(place: &T, value: $vector) -> &T {
            let mut pointer: *const T = place;
            // SAFETY: nothing is executed; the pointer is what it was.
            unsafe {
                core::arch::asm!(
                    $comment, pointer = inout(reg) pointer, value = in($class) value,
                    options(nomem, nostack, preserves_flags),
                );
                &*pointer
            }
        }
    };
}
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use after;

/// The same place, of which the compiler no longer knows what it holds, so that it neither keeps it in registers nor takes those of
/// others for it.
#[inline(always)]
pub fn in_memory<T>(place: &mut T) -> &mut T {
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    {
        let mut pointer: *mut T = place;
        // SAFETY: nothing is executed; the pointer is what it was, and still the only one.
        unsafe {
            core::arch::asm!("/* {0} */", inout(reg) pointer, options(nostack, preserves_flags));
            &mut *pointer
        }
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    place
}

/// How far ahead of a line that is read the lines are that are asked for: see [`Order::ahead`].
#[derive(Clone, Copy, Debug)]
pub struct Ahead {
    /// The one for the second-level cache, in bytes.
    pub far: isize,
    /// The one for the first-level cache, in bytes.
    pub near: isize,
}

/// Asks for what is needed after `line`, which may be beyond what the caller can reach: if `FAR` for one line into the second-level cache, if
/// `NEAR` for one into the first. Nothing need lie there.
#[inline]
pub fn prefetch<const FAR: bool, const NEAR: bool>(line: *const u8, ahead: Ahead) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch never faults, whatever the address, and SSE is part of x86-64.
    unsafe {
        use core::arch::x86_64::{_MM_HINT_T0, _MM_HINT_T1, _mm_prefetch};
        if FAR {
            _mm_prefetch::<_MM_HINT_T1>(line.wrapping_offset(ahead.far).cast());
        }
        if NEAR {
            _mm_prefetch::<_MM_HINT_T0>(line.wrapping_offset(ahead.near).cast());
        }
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: a prefetch never faults, whatever the address.
    unsafe {
        if FAR {
            core::arch::asm!(
                "prfm pldl2keep, [{far}]",
                far = in(reg) line.wrapping_offset(ahead.far),
                options(readonly, nostack, preserves_flags),
            );
        }
        if NEAR {
            core::arch::asm!(
                "prfm pldl1keep, [{near}]",
                near = in(reg) line.wrapping_offset(ahead.near),
                options(readonly, nostack, preserves_flags),
            );
        }
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = (line, ahead);
}

/// Asks as [`prefetch`] for one line into the second-level cache.
#[inline]
pub fn prefetch_far(line: &[u8], ahead: Ahead) {
    prefetch::<true, false>(line.as_ptr(), ahead);
}

/// Asks as [`prefetch`] for one line into the first-level cache.
#[inline]
pub fn prefetch_near(line: &[u8], ahead: Ahead) {
    prefetch::<false, true>(line.as_ptr(), ahead);
}

/// Asks as [`prefetch`] for one line into each of both.
#[inline]
pub fn prefetch_both(line: &[u8], ahead: Ahead) {
    prefetch::<true, true>(line.as_ptr(), ahead);
}

/// Asks as [`prefetch`] for what is needed after the first `len` bytes of a unit: its scales, which lie before its codes.
#[inline]
pub fn prefetch_head<const FAR: bool, const NEAR: bool>(unit: &[u8], len: usize, ahead: Ahead) {
    for line in unit[..len].chunks(quantloom_abi::ALIGNMENT) {
        prefetch::<FAR, NEAR>(line.as_ptr(), ahead);
    }
}

/// Touches the activations of units that are used later, `stride` units from each other: half a tile later if the stride is half of the
/// units, and so on. Weights that stream through the first-level cache would throw them out between uses, and a line that comes from the
/// second-level cache takes as long as one of weights.
#[inline]
pub fn touch<T>(columns: &[T], unit: usize, stride: usize) {
    let mut ahead = stride;
    while ahead < columns.len() {
        let later = unit + ahead;
        let place = columns.as_ptr().wrapping_add(if later < columns.len() { later } else { later - columns.len() });
        for line in (0..size_of::<T>()).step_by(quantloom_abi::ALIGNMENT) {
            prefetch::<false, true>(place.cast::<u8>().wrapping_add(line), Ahead { far: 0, near: 0 });
        }
        ahead += stride;
    }
}

/// Bytes that [`prefetch_turn`] asks for in a turn.
pub const TURN_BYTES: usize = 8 * quantloom_abi::ALIGNMENT;

/// Asks as [`prefetch`] for what is needed after the lines of turn `turn` of `bytes`: a few a turn, so that they arrive while others are
/// worked on.
#[inline]
pub fn prefetch_turn<const FAR: bool, const NEAR: bool>(bytes: &[u8], ahead: Ahead, turn: usize) {
    const LINE: usize = quantloom_abi::ALIGNMENT;
    const LINES: usize = TURN_BYTES / LINE;
    for line in bytes.chunks(LINE).skip(turn * LINES).take(LINES) {
        prefetch::<FAR, NEAR>(line.as_ptr(), ahead);
    }
}

/// Asks for the lines of the `len` bytes from `place`, which need not be memory, to write them.
#[inline]
pub fn prefetch_write(place: *const u8, len: usize) {
    #[cfg(target_arch = "x86_64")]
    for offset in (0..len).step_by(quantloom_abi::ALIGNMENT) {
        // SAFETY: a prefetch never faults, whatever the address, and SSE is part of x86-64.
        unsafe {
            use core::arch::x86_64::{_MM_HINT_ET0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_ET0>(place.wrapping_add(offset).cast());
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (place, len);
}

/// The order in which a kernel reads its weights: some tiles, segment by segment in turn, then the next.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    /// Tiles that are read in turn.
    pub tiles: usize,
    /// Panels of a tile, which are read side by side.
    pub panels: usize,
    /// Segments.
    pub segments: usize,
    /// Bytes from a panel to the next.
    pub panel_bytes: usize,
    /// Bytes from a segment of a panel to the next.
    pub segment_bytes: usize,
    /// How far away the lines are that are asked for, in bytes.
    pub distances: Ahead,
}

impl Order {
    /// Where the lines are that are asked for while segment `segment` of tile `tile` of those in turn is read. A single panel is read as it
    /// lies. Otherwise the far line is what is read whole segments later, at least as far away as it should be; after the last come the
    /// tiles that follow in memory.
    #[inline]
    #[must_use]
    pub fn ahead(&self, segment: usize, tile: usize) -> Ahead {
        if self.tiles * self.panels == 1 {
            return self.distances;
        }
        let turn = segment * self.tiles + tile;
        let later = turn + self.distances.far.unsigned_abs().div_ceil(self.segment_bytes);
        Ahead { far: (self.place(later) as isize).wrapping_sub(self.place(turn) as isize), ..self.distances }
    }

    #[inline]
    fn place(&self, turn: usize) -> usize {
        let (round, turn) = (turn / (self.tiles * self.segments), turn % (self.tiles * self.segments));
        let (segment, tile) = (turn / self.tiles, turn % self.tiles);
        (round * self.tiles + tile) * self.panels * self.panel_bytes + segment * self.segment_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::{Ahead, Order};

    #[test]
    fn what_comes_next_is_known() {
        let distances = Ahead { far: 10, near: 7 };
        let order = Order { tiles: 2, panels: 1, segments: 3, panel_bytes: 30, segment_bytes: 10, distances };
        let far = |order: Order, segment, tile, far| {
            let ahead = Order { distances: Ahead { far, ..distances }, ..order }.ahead(segment, tile);
            assert_eq!(ahead.near, 7);
            ahead.far
        };
        assert_eq!(far(order, 0, 0, 10), 30);
        assert_eq!(far(order, 0, 0, 1), 30, "a whole segment later");
        assert_eq!(far(order, 0, 1, 10), -20);
        assert_eq!(far(order, 1, 0, 20), 10);
        assert_eq!(far(order, 2, 1, 10), 10, "the first segment of the tile after the last");
        let one = Order { tiles: 1, ..order };
        assert!((0..90).all(|bytes| far(one, 0, 0, bytes) == bytes), "a single panel is read as it lies");
        let wide = Order { panels: 2, ..one };
        assert_eq!(far(wide, 2, 0, 5), 40, "behind all panels of the tile");
    }
}
