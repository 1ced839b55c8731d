//! One multiplication: packed weights by a batch of activations.

pub(crate) mod activations;
pub(crate) mod blocking;
pub(crate) mod call;
mod context;
mod dispatch;
pub(crate) mod epilogue;
mod launch;
mod rows;
mod start;
pub(crate) mod tiles;

use std::fmt;

use crate::error::Result;
use crate::pool::Pool;
use crate::registry::{self, Format, Isa, Numerics};
use crate::weights::Weights;

pub use blocking::Problem;
use call::Call;
pub use context::{ByCards, Choose, Context, Device};
pub use dispatch::{candidates, candidates_of, select};
pub use launch::Launch;
pub use rows::decode_rows;
pub use start::is_start;
pub(crate) use start::{begun, changes, default};

/// What the caller wants of a multiplication; `Request::default()` leaves all to the library.
///
/// ```
/// use quantloom::matmul::Request;
/// use quantloom::registry::Numerics;
///
/// let request = Request::default().numerics(Numerics::Exact).threads(2);
/// assert_eq!((request.numerics, request.threads), (Some(Numerics::Exact), 2));
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Request {
    /// The numerics class; `None`: see [`Request::numerics_of`].
    pub numerics: Option<Numerics>,
    /// The instruction set; `None`: the best that this processor has.
    pub isa: Option<&'static Isa>,
    /// The kernel and its arguments; `None`: what dispatch chooses.
    pub launch: Option<Launch>,
    /// Threads to use at most; 0: all of the pool.
    pub threads: usize,
}

impl Request {
    /// Asks for a numerics class.
    #[must_use]
    pub fn numerics(self, numerics: impl Into<Option<Numerics>>) -> Self {
        Self { numerics: numerics.into(), ..self }
    }

    /// Asks for an instruction set.
    #[must_use]
    pub fn isa(self, isa: impl Into<Option<&'static Isa>>) -> Self {
        Self { isa: isa.into(), ..self }
    }

    /// Asks for a kernel, perhaps with arguments.
    #[must_use]
    pub fn launch(self, launch: impl Into<Launch>) -> Self {
        Self { launch: Some(launch.into()), ..self }
    }

    /// Asks for so many threads at most; for all of the pool with 0.
    #[must_use]
    pub const fn threads(self, threads: usize) -> Self {
        Self { threads, ..self }
    }

    /// The class for weights of a format: the one that is asked for, or that of the kernel, or else `int8` where the format has it and
    /// `exact` where it has not.
    #[must_use]
    pub fn numerics_of(&self, format: &Format) -> Numerics {
        let of_kernel = || self.launch.map(|launch| launch.kernel.numerics);
        self.numerics.or_else(of_kernel).unwrap_or_else(|| registry::default_numerics(format))
    }

    /// The instruction set for weights of a format: the one that is asked for, or else the best that has kernels for it here.
    #[must_use]
    pub fn isa_of(&self, format: &Format) -> &'static Isa {
        self.isa.unwrap_or_else(|| registry::best_isa_of(format))
    }

    /// Threads that share the work on a pool; at least 1.
    #[must_use]
    pub fn threads_of(&self, pool: &Pool) -> usize {
        if self.threads == 0 { pool.threads() } else { self.threads.min(pool.threads()) }
    }
}

/// Who chose a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The caller named it, or the user did: [`crate::tune::Pins`].
    Pin,
    /// The tuner measured it in this process.
    Memory,
    /// The tuner measured it before: the user's cache.
    Cache,
    /// It was measured on such a processor before the program was shipped.
    Shipped,
    /// It was measured on a processor that is said to be like this one.
    Relative,
    /// The cost model expects it to be clearly faster than the default.
    Model,
    /// The kernel card's default for the batch size.
    Default,
}

impl Source {
    /// All of them in the order in which they are asked: the first that knows decides.
    pub const ORDER: [Self; 7] =
        [Self::Pin, Self::Memory, Self::Cache, Self::Shipped, Self::Relative, Self::Model, Self::Default];

    /// The word that is printed.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pin => "pin",
            Self::Memory => "memory",
            Self::Cache => "cache",
            Self::Shipped => "shipped",
            Self::Relative => "relative",
            Self::Model => "model",
            Self::Default => "default",
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Which kernel ran, and who chose it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Used {
    /// The kernel and its arguments.
    pub launch: Launch,
    /// Who chose it.
    pub source: Source,
    /// Whether a device multiplied: then the kernel is what the processor would have begun with.
    pub on_device: bool,
}

/// `y = x * weights^T`: `x` is `[batch, K]`, `y` is `[batch, N]`, both row-major. The result depends on the weights, the activations
/// and the numerics class alone, to the last bit.
///
/// # Errors
/// [`Error::Batch`](crate::Error::Batch) or [`Error::Shape`](crate::Error::Shape) if `x` or `y` has another size,
/// [`Error::NotFinite`](crate::Error::NotFinite) if an activation cannot be quantised,
/// [`Error::OutOfMemory`](crate::Error::OutOfMemory), and as [`select`].
pub fn matmul<'c>(
    weights: &Weights,
    x: &[f32],
    batch: usize,
    y: &mut [f32],
    request: &Request,
    context: impl Into<Context<'c>>,
) -> Result<Used> {
    let context = context.into();
    let call = Call { projections: &[weights.into()], x, batch, ..Call::default() };
    let is_free = request.launch.is_none() && request.isa.is_none();
    if let Some(device) = context.device().filter(|_| is_free) {
        call::check_sizes(&call, &[&mut *y])?;
        if device.multiply(weights, request.numerics_of(weights.format()), x, batch, y) {
            let (launch, source) = ByCards.choose(weights.into(), batch, request, context.pool().threads())?;
            return Ok(Used { launch, source, on_device: true });
        }
    }
    let used = call::run(None, &call, &mut [y], request, context)?;
    Ok(used[0])
}
