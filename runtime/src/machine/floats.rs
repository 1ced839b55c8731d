//! The floating-point mode that results are computed in.

use std::marker::PhantomData;

use register::{MODE, Register, STANDARD, read, write};

/// While it lives, this thread has the mode that Rust assumes: round to nearest even, subnormals kept, no exception trapped. Then it has
/// its own again.
///
/// A host program, or a library built with fast-math, may have set another, and a thread inherits that of the one that starts it. Results
/// must not depend on who computed them.
#[derive(Debug)]
pub struct StandardFloats {
    /// The register as it was, if that is something else.
    other: Option<Register>,
    /// It belongs to the thread.
    _of_thread: PhantomData<*const ()>,
}

impl StandardFloats {
    /// Changes the mode, if it is another.
    #[must_use]
    pub fn set() -> Self {
        let found = read();
        let other = (found & MODE != STANDARD).then_some(found);
        if other.is_some() {
            write(STANDARD);
        }
        Self { other, _of_thread: PhantomData }
    }
}

impl Drop for StandardFloats {
    fn drop(&mut self) {
        if let Some(register) = self.other {
            write(register);
        }
    }
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
mod register {
    use std::arch::asm;

    /// The control register.
    pub type Register = u32;
    /// Its bits that say how to compute; the others say what happened.
    pub const MODE: Register = !0x3f;
    /// All exceptions masked, none raised, round to nearest, neither flush-to-zero nor denormals-are-zero.
    pub const STANDARD: Register = 0x1f80;

    pub fn read() -> Register {
        let mut register = 0;
        // SAFETY: writes the four bytes of `register`.
        unsafe { asm!("stmxcsr [{}]", in(reg) &raw mut register, options(nostack, preserves_flags)) };
        register
    }

    pub fn write(register: Register) {
        // SAFETY: reads four bytes, which are the state that compiled code relies on, or one that this thread was in.
        unsafe { asm!("ldmxcsr [{}]", in(reg) &raw const register, options(nostack, preserves_flags)) };
    }
}

#[cfg(all(target_arch = "aarch64", not(miri)))]
mod register {
    use std::arch::asm;

    /// The control register.
    pub type Register = u64;
    /// All of it says how to compute.
    pub const MODE: Register = !0;
    /// Nothing trapped, round to nearest, subnormals kept.
    pub const STANDARD: Register = 0;

    pub fn read() -> Register {
        let register;
        // SAFETY: only reads the register.
        unsafe { asm!("mrs {}, fpcr", out(reg) register, options(nostack, preserves_flags)) };
        register
    }

    pub fn write(register: Register) {
        // SAFETY: it is the state that compiled code relies on, or one that this thread was in.
        unsafe { asm!("msr fpcr, {}", in(reg) register, options(nostack, preserves_flags)) };
    }
}

#[cfg(any(miri, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
mod register {
    /// Nothing is known of the mode.
    pub type Register = u32;
    pub const MODE: Register = 0;
    pub const STANDARD: Register = 0;

    pub const fn read() -> Register {
        STANDARD
    }

    pub const fn write(_: Register) {}
}
