//! Operations: products with what comes before and after them, in one call.
//!
//! A card says what an operation is: whether rows of activations go through a norm first, how many weights multiply them, and what
//! becomes of the sums before they are written. Activations are made once for all weights of a call, in each layout that their kernels
//! read; then all tiles of all weights are one job of the pool, and what is added, gated or multiplied is so while the sums of a tile are
//! in the cache. `docs/numerics.md` defines the results, which have the same bits as the steps one by one.
//!
//! ```
//! use quantloom::matmul::Request;
//! use quantloom::operation::{self, Call, Norm};
//! use quantloom::{pool::Pool, registry, weights::Weights};
//!
//! # fn main() -> quantloom::Result<()> {
//! # let format = registry::formats().find(|format| format.packed.is_some() && format.row_multiple() == 1).unwrap();
//! # let (n, k, pool) = (3, 2 * format.block_weights, Pool::global());
//! # let matrix = || Weights::pack(format, n, k, &quantloom::measure::synthetic(format, n, k)?, pool);
//! # let (gate, up) = (matrix()?, matrix()?);
//! let (x, norm) = (vec![0.5; 2 * k], vec![1.0; k]);
//! let mut y = vec![0.0; 2 * n];
//!
//! // SwiGLU of two rows of activations, behind their norm.
//! let call = Call {
//!     projections: &[(&gate).into(), (&up).into()],
//!     x: &x,
//!     batch: 2,
//!     norm: Some(Norm { weights: &norm, eps: 1e-5 }),
//!     ..Call::default()
//! };
//! operation::run(operation::by_name("gated-silu")?, &call, &mut [&mut y], &Request::default(), pool)?;
//! # assert!(y.iter().all(|y| y.is_finite()) && y[..n] == y[n..]);
//! # Ok(())
//! # }
//! ```

mod check;
mod rows;

use std::sync::LazyLock;

use quantloom_kernels::OPERATIONS;
pub use quantloom_kernels::abi::{ActivationFunction, Operation, Projections, Prologue};

use crate::error::{Error, Result, suggest};
pub use crate::matmul::activations::Norm;
use crate::matmul::call;
pub use crate::matmul::call::{Call, Projection};
use crate::matmul::{Context, Request, Used};
pub use rows::{rms_norm, softmax};

/// Every operation, in the order of the cards.
#[must_use]
pub fn all() -> &'static [Operation] {
    OPERATIONS
}

/// The operation of that name, without regard to case.
///
/// # Errors
/// [`Error::UnknownOperation`] with the nearest names.
pub fn by_name(name: &str) -> Result<&'static Operation> {
    all().iter().find(|operation| operation.name.eq_ignore_ascii_case(name)).ok_or_else(|| {
        let names = all().iter().map(|operation| operation.name).collect::<Vec<_>>();
        let hint = suggest(name, names.iter().copied(), &format!("there is {}", names.join(", ")));
        Error::UnknownOperation { name: name.to_owned(), hint }
    })
}

/// The product alone.
pub(crate) fn product() -> &'static Operation {
    static PRODUCT: LazyLock<&Operation> =
        LazyLock::new(|| all().iter().find(|operation| operation.is_product()).expect("a card describes the product alone"));
    *PRODUCT
}

/// Runs an operation: `outputs` are `[batch, N]` each, one for each projection, or one for a gated pair. The results depend on what the
/// call holds and on the numerics class alone, to the last bit. Of each projection it tells which kernel ran.
///
/// # Errors
/// [`Error::Operands`] if the operation takes other operands, [`Error::Batch`] or [`Error::Shape`] if one has another size; then as
/// [`crate::matmul::matmul`].
pub fn run<'c>(
    operation: &Operation,
    call: &Call<'_>,
    outputs: &mut [&mut [f32]],
    request: &Request,
    context: impl Into<Context<'c>>,
) -> Result<Vec<Used>> {
    check::check(operation, call, outputs)?;
    call::run(operation.epilogue.activation, call, outputs, request, context.into())
}

#[cfg(test)]
mod tests;
