//! What multiplications ask of the tuner: which kernel to run.

use super::{Choices, Key, Lookup, choices};
use crate::error::Result;
use crate::machine::processor;
use crate::matmul::{Choose, Context, Launch, Request, Source, candidates_of};
use crate::pool::Pool;
use crate::weights::Shape;

impl Choose for Choices {
    /// The first source that knows a kernel: see [`Source::ORDER`].
    ///
    /// # Errors
    /// [`crate::Error::Setting`] if the user's environment says what cannot be followed.
    fn choose(&self, shape: Shape, batch: usize, request: &Request, threads: usize) -> Result<(Launch, Source)> {
        processor::here()?;
        let Shape { format, n, k, layout } = shape;
        let (numerics, isa) = (request.numerics_of(format), request.isa_of(format));
        let key = Key::of(format, (n, k), layout, batch, numerics, isa, threads);
        // Pins depend on more than the key.
        let remembers = isa.is_available() && self.pins()?.is_empty();
        if let Some(known) = remembers.then(|| self.answer(&key, batch)).flatten() {
            return Ok(known);
        }
        let candidates = candidates_of(format, numerics, isa)?;
        let chosen = Lookup::new(self, format, key.clone(), batch, request.isa, candidates).choose()?;
        if remembers {
            self.keep_answer(&key, batch, chosen);
        }
        Ok(chosen)
    }
}

impl Context<'static> {
    /// The pool and the choices of this process.
    #[must_use]
    pub fn global() -> Self {
        Pool::global().into()
    }
}

impl<'a> From<&'a Pool> for Context<'a> {
    /// A pool, and the choices of this process.
    fn from(pool: &'a Pool) -> Self {
        Self::new(pool, choices())
    }
}
