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

use std::array;
use std::sync::LazyLock;

use quantloom_kernels::OPERATIONS;
pub use quantloom_kernels::abi::{ActivationFunction, Operation, Projections, Prologue};

use crate::error::{Error, Result, suggest};
use crate::machine::StandardFloats;
pub use crate::matmul::activations::Norm;
use crate::matmul::activations::{Input, Prepared, Reader};
use crate::matmul::epilogue::Epilogue;
use crate::matmul::tiles::{self, Product, Task};
use crate::matmul::{Request, Used, select};
use crate::pool::Pool;
use crate::weights::Weights;
pub use rows::rms_norm;

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

/// Weights of a call, and what is added to their sums.
#[derive(Clone, Copy, Debug)]
pub struct Projection<'a> {
    /// `[N, K]`.
    pub weights: &'a Weights,
    /// N numbers, one for each row of the weights.
    pub bias: Option<&'a [f32]>,
}

impl<'a> From<&'a Weights> for Projection<'a> {
    fn from(weights: &'a Weights) -> Self {
        Self { weights, bias: None }
    }
}

/// What an operation is applied to. All arrays are row-major.
#[derive(Clone, Copy, Debug, Default)]
pub struct Call<'a> {
    /// The weights, which share K; of a gated pair, gate and up. Their formats may differ.
    pub projections: &'a [Projection<'a>],
    /// `[batch, K]`.
    pub x: &'a [f32],
    /// Rows of activations.
    pub batch: usize,
    /// The norm, if the operation has one.
    pub norm: Option<Norm<'a>>,
    /// `[batch, N]`, added to the output; where the operation takes one.
    pub residual: Option<&'a [f32]>,
}

/// Runs an operation: `outputs` are `[batch, N]` each, one for each projection, or one for a gated pair. The results depend on what the
/// call holds and on the numerics class alone, to the last bit. Of each projection it tells which kernel ran.
///
/// # Errors
/// [`Error::Operands`] if the operation takes other operands, [`Error::Batch`] or [`Error::Shape`] if one has another size; then as
/// [`crate::matmul::matmul`].
pub fn run(
    operation: &Operation,
    call: &Call<'_>,
    outputs: &mut [&mut [f32]],
    request: &Request<'_>,
    pool: &Pool,
) -> Result<Vec<Used>> {
    let _floats = StandardFloats::set();
    check::check(operation, call, outputs)?;
    let select = |projection: &Projection<'_>| select(projection.weights, call.batch, request, pool);
    let used = call.projections.iter().map(select).collect::<Result<Vec<_>>>()?;
    compute(operation, call, outputs, &used, request.threads_of(pool), pool)?;
    Ok(used)
}

/// Computes with kernels that are chosen.
fn compute(
    operation: &Operation,
    call: &Call<'_>,
    outputs: &mut [&mut [f32]],
    used: &[Used],
    threads: usize,
    pool: &Pool,
) -> Result<()> {
    let &Call { projections, x, norm, residual, .. } = call;
    let k = projections[0].weights.k();
    let epilogue_of = |index: usize| Epilogue {
        biases: array::from_fn(|second| projections.get(index + second).and_then(|projection| projection.bias)),
        gate: operation.epilogue.activation.and_then(|function| function.gate(used[index].launch.kernel.isa())),
        residual,
    };
    if outputs.iter().all(|y| y.is_empty()) {
        return Ok(());
    }
    if k == 0 {
        for (index, y) in outputs.iter_mut().enumerate() {
            epilogue_of(index).finish_zeros(projections[index].weights.n(), y);
        }
        return Ok(());
    }
    let reader =
        |(projection, used): (&Projection<'_>, &Used)| Reader { kernel: used.launch.kernel, class: projection.weights.class() };
    let readers = projections.iter().zip(used).map(reader).collect::<Vec<_>>();
    let prepared = Prepared::new(&readers, &Input { x, k, norm }, threads, pool)?;
    let product = |(index, used): (usize, &Used)| Product {
        weights: projections[index].weights,
        launch: used.launch,
        groups: prepared.groups(index),
    };
    let products = used.iter().enumerate().map(product).collect::<Vec<_>>();
    let tasks = products.chunks(projections.len() / outputs.len()).zip(outputs).enumerate();
    let tasks = tasks.filter(|(_, (_, y))| !y.is_empty());
    tiles::run(tasks.map(|(index, (products, y))| Task { products, epilogue: epilogue_of(index), y }), threads, pool);
    Ok(())
}

#[cfg(test)]
mod tests;
