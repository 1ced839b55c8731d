//! Four products of bytes added to 32 bits: AVX-VNNI.

#[doc(no_inline)]
pub use super::*;

crate::lanes::vocabulary! { "avx2,fma,f16c,avxvnni":
    /// `sum + the products of four unsigned codes and four signed quants`, exact.
    fn dot(sum: I, codes: I, quants: I) -> I { _mm256_dpbusd_avx_epi32(sum, codes, quants) }
    /// `sum + the products of two pairs of 16 bits`, exact. As assembly for the reason that [`super::super::avx512::quads_i32`] gives.
    fn dot_pairs(sum: I, a: I, b: I) -> I {
        let mut sum = sum;
        // SAFETY: the instruction belongs to the features of this function, and reads and writes nothing but its operands.
        unsafe {
            core::arch::asm!(
                "{{vex}} vpdpwssd {sum}, {a}, {b}",
                sum = inout(ymm_reg) sum, a = in(ymm_reg) a, b = in(ymm_reg) b,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        sum
    }
}
