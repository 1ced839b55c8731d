//! Functions of rows of numbers, as `docs/numerics.md` defines them: plain code that is compiled once per instruction set.
//!
//! Every operation rounds by itself and every fma is fused, so all instruction sets give the same bits. No function of the
//! platform's mathematics library is called but the square root, which IEEE 754 defines.

mod activation;
mod exp;
mod norm;
mod rope;
mod softmax;
mod store;
mod sum;

pub use activation::{softcap, softcap_row};
pub use exp::{exp, tanh};
pub use norm::rms_norm;
pub use rope::rotate;
pub use softmax::{Stats, finish, merge, softmax};
pub use store::{bf16, f16};
pub use sum::{PARTIAL_SUMS, sum, sum_of_squares, total};

/// Hands the list of row functions to a macro, after what else is to be handed to it.
macro_rules! row_functions {
    ($macro:ident $($before:tt)*) => {
        $crate::rows::$macro! {
            $($before)*
            /// See [`crate::activations::quantize`].
            fn quantize(values: &[f32], lengths: (usize, usize), quants: &mut [i8], scales: &mut [f32], sums: &mut [i32]) -> bool
                = $crate::activations::quantize;
            /// See [`crate::activations::dot`].
            fn dot(a: &[f32], b: &[f32]) -> f32 = $crate::activations::dot;
            /// See [`sum`].
            fn sum(values: &[f32]) -> f32 = $crate::rows::sum;
            /// See [`rms_norm`].
            fn rms_norm(values: &[f32], weights: &[f32], eps: f32, out: &mut [f32]) = $crate::rows::rms_norm;
            /// See [`softcap_row`].
            fn softcap(values: &mut [f32], cap: f32) = $crate::rows::softcap_row;
            /// See [`rotate`].
            fn rotate(head: &mut [f32], cos: &[f32], sin: &[f32], neighbours: bool) = $crate::rows::rotate;
            /// See [`softmax`].
            fn softmax(scores: &mut [f32], visible: std::ops::Range<usize>, scale: f32, cap: Option<f32>) -> $crate::rows::Stats
                = $crate::rows::softmax;
            /// See [`merge`].
            fn merge(total: &mut [f32], stats: &mut $crate::rows::Stats, span: &[f32], of_span: $crate::rows::Stats)
                = $crate::rows::merge;
            /// See [`finish`].
            fn finish(total: &[f32], stats: $crate::rows::Stats, out: &mut [f32]) = $crate::rows::finish;
            /// See [`f16`].
            fn f16(values: &[f32], bits: &mut [u16]) -> bool = $crate::rows::f16;
            /// See [`bf16`].
            fn bf16(values: &[f32], bits: &mut [u16]) -> bool = $crate::rows::bf16;
        }
    };
}

/// The type that holds the row functions of an instruction set.
macro_rules! table {
    ($($(#[$doc:meta])* fn $name:ident($($argument:ident: $type:ty),*) $(-> $out:ty)? = $body:path;)*) => {
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

/// A [`Rows`] whose functions are compiled with attributes, given in brackets.
macro_rules! compiled {
    ($attributes:tt) => {
        $crate::rows::row_functions!(compiled $attributes)
    };
    ($attributes:tt $($(#[$doc:meta])* fn $name:ident($($argument:ident: $type:ty),*) $(-> $out:ty)? = $body:path;)*) => {
        $crate::rows::Rows {
            $($name: $crate::rows::with!($attributes $name fn $name($($argument: $type),*) $(-> $out)? { $body($($argument),*) }),)*
        }
    };
}

/// A function with attributes, as a value.
macro_rules! with {
    ([$($attribute:tt)*] $name:ident $($function:tt)*) => {{
        $($attribute)*
        $($function)*
        $name
    }};
}

pub(crate) use {compiled, row_functions, table, with};

row_functions!(table);

#[cfg(test)]
mod tests;
