//! Weights that a device holds for multiplications that are asked for by weights.

use std::ptr;
use std::sync::{Mutex, PoisonError};

use super::{Error, Module, Multiply, Result};
use crate::matmul;
use crate::registry::Numerics;
use crate::weights::Weights;

/// Weights that a device holds. In a [`matmul::Context`] it multiplies by them; by others, and where it fails, the processor does.
#[derive(Debug, Default)]
pub struct Held<'a> {
    matrices: Vec<(&'a Weights, Box<dyn Multiply + 'a>)>,
    /// What went wrong first.
    failure: Mutex<Option<Error>>,
}

impl<'a> Held<'a> {
    /// Brings weights to the device of a module of their format.
    ///
    /// # Errors
    /// As [`Module::bring`].
    pub fn add(&mut self, weights: &'a Weights, module: &'a impl Module) -> Result<()> {
        let matrix = weights.with_panels(|panels| module.bring(panels, weights.n(), weights.k()))?;
        self.matrices.push((weights, matrix));
        Ok(())
    }

    /// What went wrong first since it was asked last, if anything did: the processor multiplied instead.
    pub fn failure(&self) -> Option<Error> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl matmul::Device for Held<'_> {
    fn multiply(&self, weights: &Weights, numerics: Numerics, x: &[f32], batch: usize, y: &mut [f32]) -> bool {
        let Some((_, matrix)) = self.matrices.iter().find(|(known, _)| ptr::eq(*known, weights)) else { return false };
        matrix.multiply(x, batch, y, numerics).unwrap_or_else(|why| {
            self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
            false
        })
    }
}
