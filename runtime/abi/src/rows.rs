//! The row functions of an instruction set: what is done with rows of numbers between multiplications.

/// What the weights of keys are relative to, and what they come to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stats {
    /// The largest score.
    pub max: f32,
    /// The sum of `e^(score - max)`.
    pub sum: f32,
}

impl Stats {
    /// Of no key.
    pub const NONE: Self = Self { max: f32::NEG_INFINITY, sum: 0.0 };
}

/// Hands the list of row functions to a macro, after what else is to be handed to it.
#[doc(hidden)]
#[macro_export]
macro_rules! row_functions {
    ([$($macro:tt)*] $($before:tt)*) => {
        $($macro)*! {
            $($before)*
            /// See `activations::quantize` of the crate of SIMD wrappers.
            fn quantize(values: &[f32], lengths: (usize, usize), quants: &mut [i8], scales: &mut [f32], sums: &mut [i32]) -> bool;
            /// See `activations::dot` of the crate of SIMD wrappers.
            fn dot(a: &[f32], b: &[f32]) -> f32;
            /// See `rows::sum` of the crate of SIMD wrappers.
            fn sum(values: &[f32]) -> f32;
            /// See `rows::rms_norm` of the crate of SIMD wrappers.
            fn rms_norm(values: &[f32], weights: &[f32], eps: f32, out: &mut [f32]);
            /// See `rows::softcap_row` of the crate of SIMD wrappers.
            fn softcap(values: &mut [f32], cap: f32);
            /// See `rows::rotate` of the crate of SIMD wrappers.
            fn rotate(head: &mut [f32], cos: &[f32], sin: &[f32], neighbours: bool);
            /// See `rows::softmax` of the crate of SIMD wrappers.
            fn softmax(scores: &mut [f32], visible: std::ops::Range<usize>, scale: f32, cap: Option<f32>) -> $crate::rows::Stats;
            /// See `rows::merge` of the crate of SIMD wrappers.
            fn merge(total: &mut [f32], stats: &mut $crate::rows::Stats, span: &[f32], of_span: $crate::rows::Stats);
            /// See `rows::finish` of the crate of SIMD wrappers.
            fn finish(total: &[f32], stats: $crate::rows::Stats, out: &mut [f32]);
            /// See `rows::f16` of the crate of SIMD wrappers.
            fn f16(values: &[f32], bits: &mut [u16]) -> bool;
            /// See `rows::bf16` of the crate of SIMD wrappers.
            fn bf16(values: &[f32], bits: &mut [u16]) -> bool;
        }
    };
}

/// The type that holds the row functions of an instruction set.
macro_rules! table {
    ($($(#[$doc:meta])* fn $name:ident($($argument:ident: $type:ty),*) $(-> $out:ty)?;)*) => {
        /// The row functions, compiled for an instruction set. To call one is sound where that is available.
        #[derive(Clone, Copy, Debug)]
        pub struct Rows {
            $(
                $(#[$doc])*
                ///
                /// # Safety
                /// The instruction set that it belongs to must be available.
                pub $name: unsafe fn($($type),*) $(-> $out)?,
            )*
        }
    };
}

row_functions!([table]);
