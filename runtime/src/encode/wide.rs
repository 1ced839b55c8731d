//! Loops compiled for wider registers, where the processor has them. The results are the same to the bit: nothing is fused.

/// Calls `body`, compiled for AVX2 if this processor has it.
#[inline(always)]
pub fn widest<R>(body: impl FnOnce() -> R) -> R {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2")]
        fn wide<R>(body: impl FnOnce() -> R) -> R {
            body()
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has AVX2.
            return unsafe { wide(body) };
        }
    }
    body()
}
