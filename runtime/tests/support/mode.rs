//! Other floating-point modes than the one that Rust assumes.

/// What libraries built with fast-math leave behind, and rounding towards zero besides.
#[cfg(target_arch = "x86_64")]
mod register {
    use std::arch::asm;

    /// Flush-to-zero, round towards zero, denormals-are-zero, exceptions masked.
    pub const OTHER: u32 = 0x8000 | 0x6000 | 0x1f80 | 0x0040;
    pub const STANDARD: u32 = 0x1f80;

    /// Without the flags that say what happened.
    pub fn get() -> u32 {
        let mut register = 0_u32;
        // SAFETY: writes four bytes.
        unsafe { asm!("stmxcsr [{}]", in(reg) &raw mut register) };
        register & !0x3f
    }

    pub fn set(register: u32) {
        // SAFETY: reads four bytes; what this thread computes meanwhile is compared with what it computes otherwise.
        unsafe { asm!("ldmxcsr [{}]", in(reg) &raw const register) };
    }
}

/// What libraries built with fast-math leave behind, and rounding towards zero besides.
#[cfg(target_arch = "aarch64")]
mod register {
    use std::arch::asm;

    /// Flush-to-zero, round towards zero.
    pub const OTHER: u64 = 0b111 << 22;
    pub const STANDARD: u64 = 0;

    pub fn get() -> u64 {
        let register;
        // SAFETY: only reads.
        unsafe { asm!("mrs {}, fpcr", out(reg) register) };
        register
    }

    pub fn set(register: u64) {
        // SAFETY: what this thread computes meanwhile is compared with what it computes otherwise.
        unsafe { asm!("msr fpcr, {}", in(reg) register) };
    }
}

/// What `compute` comes to in the other mode, which it must leave as it is.
pub fn in_other_mode<T>(compute: impl FnOnce() -> T) -> T {
    register::set(register::OTHER);
    let result = compute();
    let left = register::get();
    register::set(register::STANDARD);
    assert_eq!(left, register::OTHER, "the mode of the caller");
    result
}
