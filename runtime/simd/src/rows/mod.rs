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
pub use softmax::{finish, merge, softmax};
pub use store::{bf16, f16};
pub use sum::{PARTIAL_SUMS, sum, sum_of_squares, total};

/// The row functions by the names that they have in a table of them.
#[doc(hidden)]
pub mod by_name {
    pub use super::softcap_row as softcap;
    pub use super::{bf16, f16, finish, merge, rms_norm, rotate, softmax, sum};
    pub use crate::activations::{dot, quantize};
}

/// A [`quantloom_abi::rows::Rows`] whose functions are compiled with attributes, given in brackets.
#[doc(hidden)]
#[macro_export]
macro_rules! compiled_rows {
    ($attributes:tt) => {
        $crate::abi::row_functions!([$crate::compiled_rows] $attributes)
    };
    ($attributes:tt $($(#[$doc:meta])* fn $name:ident($($argument:ident: $type:ty),*) $(-> $out:ty)?;)*) => {
        $crate::abi::rows::Rows {
            $($name: $crate::function_with!($attributes $name fn $name($($argument: $type),*) $(-> $out)? {
                $crate::rows::by_name::$name($($argument),*)
            }),)*
        }
    };
}

/// A function with attributes, as a value.
#[doc(hidden)]
#[macro_export]
macro_rules! function_with {
    ([$($attribute:tt)*] $name:ident $($function:tt)*) => {{
        $($attribute)*
        $($function)*
        $name
    }};
}
