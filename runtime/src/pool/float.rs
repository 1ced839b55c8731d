//! The floating-point mode of workers.

/// Gives this thread the mode that Rust assumes: round to nearest even, subnormals kept.
///
/// A thread inherits the mode of the one that starts it, and a host program, or a library built with fast-math, may have set that
/// to flush subnormals. Results must not depend on which thread computed them.
pub(super) fn reset() {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        /// All exceptions masked, none raised, round to nearest, neither flush-to-zero nor denormals-are-zero.
        static DEFAULT: u32 = 0x1f80;
        // SAFETY: reads four bytes and sets the control register to the state that compiled code relies on.
        unsafe { std::arch::asm!("ldmxcsr [{}]", in(reg) &raw const DEFAULT, options(nostack, readonly)) }
    }
    #[cfg(all(target_arch = "aarch64", not(miri)))]
    // SAFETY: sets the control register to the state that compiled code relies on.
    unsafe {
        std::arch::asm!("msr fpcr, xzr", options(nostack, nomem));
    }
}
