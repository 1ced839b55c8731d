//! Loops compiled for wider registers, where the processor has them. The results are the same to the bit: nothing is fused.

/// Loops go over so many values at a time.
pub const LANES: usize = 8;

/// Work whose loops gain by wide registers.
pub trait Loops {
    /// What comes of it.
    type Result;

    /// Does it; must be inlined into what calls it.
    fn run(self) -> Self::Result;
}

/// Does the work, compiled for AVX2 if this processor has it.
pub fn widest<L: Loops>(work: L) -> L::Result {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2")]
        fn wide<L: Loops>(work: L) -> L::Result {
            work.run()
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has AVX2.
            return unsafe { wide(work) };
        }
    }
    work.run()
}
