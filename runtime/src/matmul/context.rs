//! Who multiplies, and who chooses by which kernels.

use std::fmt::Debug;

use super::{Launch, Request, Source, candidates_of, default};
use crate::error::Result;
use crate::pool::Pool;
use crate::registry::Numerics;
use crate::weights::{Shape, Weights};

/// Chooses kernels: [`crate::tune::Choices`] by what was measured, [`ByCards`] by the cards alone, or a program's own.
pub trait Choose: Debug + Sync {
    /// The kernel for a batch of rows of activations by weights of a shape on so many threads, at least one, and who knew it. A kernel that the
    /// request names is not asked for. One that is chosen must be of the class that is asked for and run here; whatever is chosen, the
    /// result is the same.
    ///
    /// # Errors
    /// [`crate::Error::NoClass`] or [`crate::Error::NoKernel`] if nothing on this processor does what was asked.
    fn choose(&self, shape: Shape, batch: usize, request: &Request, threads: usize) -> Result<(Launch, Source)>;
}

/// Something beside the processor that multiplies by weights that it holds, as a graphics processor does.
pub trait Device: Debug + Sync {
    /// `y = x * weights^T` in a numerics class, to the last bit: `x` is `[batch, K]`, `y` is `[batch, N]`. `false` if it did not, because it does not
    /// hold the weights, lacks the class, or failed; then `y` has nothing of worth, and the processor multiplies.
    fn multiply(&self, weights: &Weights, numerics: Numerics, x: &[f32], batch: usize, y: &mut [f32]) -> bool;
}

/// Chooses what the cards of the processor and of the kernels begin with, whatever was measured.
#[derive(Clone, Copy, Debug, Default)]
pub struct ByCards;

impl Choose for ByCards {
    fn choose(&self, shape: Shape, batch: usize, request: &Request, _threads: usize) -> Result<(Launch, Source)> {
        let format = shape.format;
        let kernels = candidates_of(format, request.numerics_of(format), request.isa_of(format))?;
        Ok((default(&kernels, batch), Source::Default))
    }
}

/// Who multiplies, and who chooses by which kernels. A program may have several. A [`Pool`] alone stands for itself and for the choices of
/// the process: see [`crate::tune::choices`].
///
/// ```
/// use quantloom::matmul::{Context, Request, matmul};
/// use quantloom::pool::Pool;
/// use quantloom::tune::{CacheFile, Choices, environment};
/// # use quantloom::{measure::synthetic, registry, weights::Weights};
///
/// # fn main() -> quantloom::Result<()> {
/// # let folder = tempfile::tempdir().unwrap();
/// # let folder = folder.path();
/// # let format = registry::formats().find(|format| format.packed.is_some() && format.row_multiple() == 1).unwrap();
/// # let (n, k) = (3, 2 * format.block_weights);
/// // Two threads of its own, and a cache beside the program's data; no environment variable is followed.
/// let (pool, choices) = (Pool::new(2), Choices::new(Some(CacheFile::new(folder, environment()))));
/// let context = Context::new(&pool, &choices);
/// # let weights = Weights::pack(format, n, k, &synthetic(format, n, k)?, &pool)?;
/// # let (x, mut y) = (vec![0.5; k], vec![0.0; n]);
/// matmul(&weights, &x, 1, &mut y, &Request::default(), context)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    pool: &'a Pool,
    choose: &'a dyn Choose,
    device: Option<&'a dyn Device>,
}

impl<'a> Context<'a> {
    /// Multiplies on the threads of a pool, by kernels that somebody chooses.
    #[must_use]
    pub const fn new(pool: &'a Pool, choose: &'a dyn Choose) -> Self {
        Self { pool, choose, device: None }
    }

    /// The same, and [`matmul`](super::matmul) asks a device first, unless the request names a kernel or an instruction set.
    #[must_use]
    pub const fn on(self, device: &'a dyn Device) -> Self {
        Self { device: Some(device), ..self }
    }

    /// The device.
    pub(super) const fn device(&self) -> Option<&'a dyn Device> {
        self.device
    }

    /// The pool.
    #[must_use]
    pub const fn pool(&self) -> &'a Pool {
        self.pool
    }

    /// What is chosen for a request that names no kernel.
    pub(super) fn choose(&self, shape: Shape, batch: usize, request: &Request) -> Result<(Launch, Source)> {
        self.choose.choose(shape, batch, request, request.threads_of(self.pool))
    }
}
