//! One call: rows of activations, perhaps through a norm, by all weights that share them, and what becomes of the sums.

use std::array;

use quantloom_kernels::abi::ActivationFunction;

use super::activations::{Input, Norm, Prepared, Reader};
use super::epilogue::Epilogue;
use super::tiles::{self, Product, Task};
use super::{Context, Request, Used, select};
use crate::error::{Error, Result};
use crate::machine::StandardFloats;
use crate::pool::Pool;
use crate::weights::Weights;

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

/// Chooses kernels and computes; `activation` is the function of the gate of a pair. See [`crate::operation::run`], which knows what
/// operands each operation takes.
///
/// # Errors
/// As [`check_sizes`], [`select`] and [`compute`].
pub fn run(
    activation: Option<&ActivationFunction>,
    call: &Call<'_>,
    outputs: &mut [&mut [f32]],
    request: &Request,
    context: Context<'_>,
) -> Result<Vec<Used>> {
    let _floats = StandardFloats::set();
    check_sizes(call, outputs)?;
    let select = |projection: &Projection<'_>| select(projection.weights, call.batch, request, context);
    let used = call.projections.iter().map(select).collect::<Result<Vec<_>>>()?;
    compute(activation, call, outputs, &used, request.threads_of(context.pool()), context.pool())?;
    Ok(used)
}

/// Checks the sizes of arrays.
///
/// # Errors
/// [`Error::Batch`] or [`Error::Shape`].
pub fn check_sizes(call: &Call<'_>, outputs: &[&mut [f32]]) -> Result<()> {
    let &Call { projections, x, batch, norm, residual } = call;
    let k = projections[0].weights.k();
    if batch.checked_mul(k) != Some(x.len()) {
        return Err(Error::Batch { found: x.len(), batch, k });
    }
    let same = |what, found: usize, wanted: Option<usize>| match wanted {
        Some(wanted) if wanted == found => Ok(()),
        wanted => Err(Error::Shape { what, unit: "values", found, wanted: wanted.unwrap_or(usize::MAX) }),
    };
    if let Some(norm) = norm {
        same("the weights of the norm", norm.weights.len(), Some(k))?;
    }
    for projection in projections {
        if let Some(bias) = projection.bias {
            same("the bias", bias.len(), Some(projection.weights.n()))?;
        }
    }
    for (projection, y) in projections.iter().zip(outputs) {
        same("the output", y.len(), batch.checked_mul(projection.weights.n()))?;
    }
    residual.map_or(Ok(()), |residual| same("the residual", residual.len(), batch.checked_mul(projections[0].weights.n())))
}

/// Computes with kernels that are chosen.
///
/// # Errors
/// As [`Prepared::new`].
pub fn compute(
    activation: Option<&ActivationFunction>,
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
        gate: activation.and_then(|function| function.gate(used[index].launch.kernel.isa())),
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
