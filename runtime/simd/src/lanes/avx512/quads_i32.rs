//! Four products of bytes added to 32 bits: AVX-512 VNNI.

#[doc(no_inline)]
pub use super::*;

crate::lanes::vocabulary! { "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c":
    /// `sum + the products of four unsigned codes and four signed quants`, exact.
    fn dot(sum: I, codes: I, quants: I) -> I { _mm512_dpbusd_epi32(sum, codes, quants) }
    /// `sum + the products of two pairs of 16 bits`, exact. The intrinsic would do, but LLVM, tuning for no processor in
    /// particular, turns it into two instructions: by count 4% of the vector operations of a 32x6 tile with mins.
    fn dot_pairs(sum: I, a: I, b: I) -> I {
        let mut sum = sum;
        // SAFETY: the instruction belongs to the features of this function, and reads and writes nothing but its operands.
        unsafe {
            core::arch::asm!(
                "vpdpwssd {sum}, {a}, {b}",
                sum = inout(zmm_reg) sum, a = in(zmm_reg) a, b = in(zmm_reg) b,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        sum
    }
}
