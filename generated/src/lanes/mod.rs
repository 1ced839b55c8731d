//! The vocabulary of generated kernels: one module per vector width, the same names in each. In it lies a module for each primitive
//! that products of bytes are summed with, which has the names of the width and its own.
//!
//! A lane is 32 bits: an integer, an f32, four bytes (a **quad**: the codes of four consecutive weights of one row, or four
//! quantised activations) or two halves of 16 bits. Every function is one or two instructions on the vector widths, and the plain
//! meaning of that instruction in [`v32`]. None of them goes through a function of the standard library that takes a closure: release
//! builds do not optimise over codegen units, and would call it.

#[cfg(target_arch = "aarch64")]
pub mod v128;
#[cfg(target_arch = "x86_64")]
pub mod v256;
pub mod v32;
#[cfg(target_arch = "x86_64")]
pub mod v512;

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

/// `after` and `after_f` of a width whose vectors lie in registers of a class, which a comment writes like that.
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

/// Bytes from a line that is read to the one that is moved into the first-level cache: a few lines more than the second-level
/// cache's latency takes.
const NEAR: isize = 1024;

/// Asks for what is needed after `line`: the line `ahead` bytes from it, which may be beyond what the caller can reach, into the
/// second-level cache, and a line close by into the first. The far one alone is slower by 6% at batch 1 and 4% at batch 8.
#[inline]
pub fn prefetch(line: &[u8], ahead: isize) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch never faults, whatever the address, and SSE is part of x86-64.
    unsafe {
        use core::arch::x86_64::{_MM_HINT_T0, _MM_HINT_T1, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T1>(line.as_ptr().wrapping_offset(ahead).cast());
        _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().wrapping_offset(NEAR).cast());
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: a prefetch never faults, whatever the address.
    unsafe {
        core::arch::asm!(
            "prfm pldl2keep, [{far}]", "prfm pldl1keep, [{near}]",
            far = in(reg) line.as_ptr().wrapping_offset(ahead), near = in(reg) line.as_ptr().wrapping_offset(NEAR),
            options(readonly, nostack, preserves_flags),
        );
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = (line, ahead);
}

/// Asks for the lines that lie `ahead` bytes from the first `len` bytes of a unit: its scales, which lie before its codes.
#[inline]
pub fn prefetch_head(unit: &[u8], len: usize, ahead: isize) {
    for line in unit[..len].chunks(crate::abi::ALIGNMENT) {
        prefetch(line, ahead);
    }
}

/// Bytes that [`prefetch_turn`] asks for in a turn.
pub const TURN_BYTES: usize = 8 * crate::abi::ALIGNMENT;

/// Asks for the lines of turn `turn` that lie `ahead` bytes from those of `bytes`: a few a turn, so that they arrive while others
/// are worked on.
#[inline]
pub fn prefetch_turn(bytes: &[u8], ahead: isize, turn: usize) {
    const LINE: usize = crate::abi::ALIGNMENT;
    const LINES: usize = TURN_BYTES / LINE;
    for line in bytes.chunks(LINE).skip(turn * LINES).take(LINES) {
        prefetch(line, ahead);
    }
}

/// Asks for the lines of the `len` bytes from `place`, which need not be memory, to write them.
#[inline]
pub fn prefetch_write(place: *const u8, len: usize) {
    #[cfg(target_arch = "x86_64")]
    for offset in (0..len).step_by(crate::abi::ALIGNMENT) {
        // SAFETY: a prefetch never faults, whatever the address, and SSE is part of x86-64.
        unsafe {
            use core::arch::x86_64::{_MM_HINT_ET0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_ET0>(place.wrapping_add(offset).cast());
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (place, len);
}

/// The order in which a kernel reads its weights: segment by segment, in each all tiles.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    /// Tiles.
    pub tiles: usize,
    /// Segments.
    pub segments: usize,
    /// Bytes from a tile to the next.
    pub tile_bytes: usize,
    /// Bytes from a segment to the next.
    pub segment_bytes: usize,
}

impl Order {
    /// Bytes from what is read at `(segment, tile)` to what is read `turns` turns later. After the last turn come the tiles that
    /// follow in memory.
    #[inline]
    #[must_use]
    pub fn ahead(&self, segment: usize, tile: usize, turns: usize) -> isize {
        let turn = segment * self.tiles + tile;
        (self.place(turn + turns) as isize).wrapping_sub(self.place(turn) as isize)
    }

    fn place(&self, turn: usize) -> usize {
        let (round, turn) = (turn / (self.tiles * self.segments), turn % (self.tiles * self.segments));
        let (segment, tile) = (turn / self.tiles, turn % self.tiles);
        (round * self.tiles + tile) * self.tile_bytes + segment * self.segment_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::Order;

    #[test]
    fn what_comes_next_is_known() {
        let order = Order { tiles: 2, segments: 3, tile_bytes: 30, segment_bytes: 10 };
        assert_eq!(order.ahead(0, 0, 1), 30);
        assert_eq!(order.ahead(0, 1, 1), -20);
        assert_eq!(order.ahead(1, 0, 2), 10);
        assert_eq!(order.ahead(2, 1, 1), 10, "the first segment of the tile after the last");
        let one = Order { tiles: 1, ..order };
        assert!((0..9).all(|turns| one.ahead(0, 0, turns) == 10 * turns as isize), "a single tile is read as it lies");
    }
}
