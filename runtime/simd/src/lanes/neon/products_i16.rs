//! Products of signed bytes, each by itself in 16 bits: NEON alone.

#[doc(no_inline)]
pub use super::*;

/// Products in 16 bits: those of the first two lanes, and those of the last two.
pub type Products = [int16x8_t; 2];

crate::lanes::vocabulary! { "neon":
    /// Four quants of a column, which meet every row's codes.
    fn quants(four: i32) -> I { splat_i(four) }
    /// The products of signed codes and signed quants.
    fn products(codes: I, quants: I) -> Products {
        let (codes, quants) = (vreinterpretq_s8_u32(codes), vreinterpretq_s8_u32(quants));
        [vmull_s8(vget_low_s8(codes), vget_low_s8(quants)), vmull_high_s8(codes, quants)]
    }
    /// Adds product by product, 16 bits: with the multiplication, which comes before, one instruction for each half.
    fn add_products(a: Products, b: Products) -> Products { [vaddq_s16(a[0], b[0]), vaddq_s16(a[1], b[1])] }
    /// `sum + the four products of each lane`.
    fn widen(sum: I, products: Products) -> I {
        let [first, last] = products;
        add_i(sum, vreinterpretq_u32_s32(vpaddq_s32(vpaddlq_s16(first), vpaddlq_s16(last))))
    }
}
