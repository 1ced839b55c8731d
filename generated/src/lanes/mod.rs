//! The vocabulary of generated kernels: one module per vector width, the same names in each.
//!
//! A lane is 32 bits: an integer, an f32, four bytes (a **quad**: the codes of four consecutive weights of one row, or four
//! quantised activations) or two halves of 16 bits. Every function is one or two instructions on the vector widths, and the plain
//! meaning of that instruction in [`v32`].

#[cfg(target_arch = "x86_64")]
pub mod v256;
pub mod v32;
#[cfg(target_arch = "x86_64")]
pub mod v512;

/// Functions that are compiled for the given target features, and inlined into callers that have them.
#[cfg(target_arch = "x86_64")]
macro_rules! vocabulary {
    ($features:literal: $($(#[$doc:meta])* fn $name:ident $(<const $param:ident: $kind:ty>)? ($($arg:ident: $ty:ty),*) $(-> $ret:ty)? $body:block)*) => {
        $($(#[$doc])* #[inline] #[target_feature(enable = $features)]
        pub fn $name $(<const $param: $kind>)? ($($arg: $ty),*) $(-> $ret)? $body)*
    };
}
#[cfg(target_arch = "x86_64")]
use vocabulary;

/// Asks for the cache line `DISTANCE` bytes after `line`, which may lie beyond what the caller can reach.
#[inline]
pub fn prefetch<const DISTANCE: usize>(line: &[u8]) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch never faults, whatever the address, and SSE is part of x86-64.
    unsafe {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().wrapping_add(DISTANCE).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = line;
}
