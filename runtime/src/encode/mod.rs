//! Encoding: from f32 weights to the blocks of any format, knowing only its card.
//!
//! The error that is made small is `sum w (x - y)^2`, `w` being the importance of a column, or 1. Scales are searched for by
//! least squares from many starts, then all that is stored is improved number by number; `docs/encoder.md` has the results.
//!
//! ```
//! use quantloom::{encode::Encoder, pool::Pool, registry};
//!
//! # fn main() -> quantloom::Result<()> {
//! let format = registry::formats().find(|format| format.block_weights == 32).expect("some format has such blocks");
//! let weights: Vec<f32> = (0..128).map(|i| (i as f32 * 0.7).sin()).collect();
//! let bytes = Encoder::new(format)?.encode(&weights, 64, None, Pool::global())?;
//! assert_eq!(Some(bytes.len()), format.stored_bytes(2, 64));
//! # Ok(())
//! # }
//! ```

mod chain;
mod coder;
mod fit;
mod grid;
mod layout;
mod levels;
mod numbers;
mod own;
mod region;
mod row;
mod signs;
#[cfg(test)]
mod tests;
mod wide;

use std::sync::{Mutex, PoisonError};

use quantloom_spec::model::{self, Number};

use crate::error::{Error, Result};
use crate::pool::Pool;
use crate::registry::{self, Format};
use chain::Chain;
use coder::Coder;
use layout::Rows;
use numbers::Numbers;
use row::Work;

/// Weights that a thread encodes at a time, about.
const AT_ONCE: usize = 4096;

/// The least weight of an error, as a part of the mean one: columns without importance are still encoded sensibly.
const LEAST_WEIGHT: f32 = 1e-6;

/// Encodes weights in one format.
#[derive(Debug)]
pub struct Encoder {
    name: String,
    rows: Rows,
    coder: Coder,
    scale: Option<Chain>,
    min: Option<Chain>,
    /// Weights of a region and of a group.
    region: usize,
    group: usize,
}

impl Encoder {
    /// The encoder of a format of the registry.
    ///
    /// # Errors
    /// [`Error::NotEncodable`] if the search cannot deal with the format's structure.
    pub fn new(format: &'static Format) -> Result<Self> {
        let model = registry::model(format).map_err(|wrong| {
            let why = wrong.iter().map(|wrong| wrong.message()).collect::<Vec<_>>().join("; ");
            Error::NotEncodable { format: format.name.to_owned(), why }
        });
        Self::of_model(&model?)
    }

    /// The encoder of a checked card.
    ///
    /// # Errors
    /// As [`Encoder::new`].
    pub fn of_model(format: &model::Format) -> Result<Self> {
        Self::compile(format).map_err(|why| Error::NotEncodable { format: format.name.clone(), why: why.to_owned() })
    }

    fn compile(format: &model::Format) -> Result<Self, &'static str> {
        let blocks = format.blocks().ok_or("its parts are separate tensors")?;
        let rows = Rows::new(format, blocks, &Numbers::of(format))?;
        let runs = rows.runs();
        let coder = Coder::new(format, &runs)?;
        let most = f64::from(f32::MAX) / if format.min.is_some() { 2.0 } else { 1.0 };
        let scale_most = most / f64::from(coder.most().max(1.0));
        let chain = |number: &Option<Number>, most| number.as_ref().map(|number| Chain::new(format, number, most)).transpose();
        let (scale, min) = (chain(&format.scale, scale_most)?, chain(&format.min, most)?);
        let (region, group) = structure(&runs, coder.unit, blocks.weights)?;
        Ok(Self { name: format.name.clone(), rows, coder, scale, min, region, group })
    }

    /// Encodes rows of `k` weights, in row order. `importance` has one weight per column, by which squared errors count; only
    /// their ratios matter. The result does not depend on the number of threads.
    ///
    /// # Errors
    /// [`Error::BadK`] if `k` is not whole blocks, [`Error::Shape`] if `weights` are not whole rows or `importance` is not one
    /// row, [`Error::BadValue`] if a weight is not finite or an importance is not a finite number of at least 0.
    pub fn encode(&self, weights: &[f32], k: usize, importance: Option<&[f32]>, pool: &Pool) -> Result<Vec<u8>> {
        self.check(weights, k, importance)?;
        let column_weights = importance.map(normal);
        let (length, unit_bytes) = self.rows.unit(k);
        let mut bytes = vec![0; weights.len() / length * unit_bytes];
        let at_once = AT_ONCE.div_ceil(length);
        let parts = bytes.chunks_mut(at_once * unit_bytes).map(Mutex::new).collect::<Vec<_>>();
        pool.run(parts.len(), |part| {
            let mut work = Work::default();
            let mut bytes = parts[part].lock().unwrap_or_else(PoisonError::into_inner);
            for (number, bytes) in bytes.chunks_mut(unit_bytes).enumerate() {
                let first = (part * at_once + number) * length;
                let w = column_weights.as_ref().map(|w| &w[first % k..][..length]);
                self.decide(&weights[first..][..length], w, &mut work);
                self.rows.write(&work.bits, &work.levels, bytes);
            }
        });
        drop(parts);
        Ok(bytes)
    }

    fn check(&self, weights: &[f32], k: usize, importance: Option<&[f32]>) -> Result<()> {
        if k == 0 || !k.is_multiple_of(self.rows.shape.weights) {
            return Err(Error::BadK { format: self.name.clone(), k, multiple: self.rows.shape.weights });
        }
        if !weights.len().is_multiple_of(k) {
            let wanted = weights.len().next_multiple_of(k);
            return Err(Error::Shape { what: "the weights", unit: "values", found: weights.len(), wanted });
        }
        if let Some(index) = weights.iter().position(|weight| !weight.is_finite()) {
            return Err(Error::BadValue { what: "the weights".to_owned(), index, wanted: "finite" });
        }
        let Some(importance) = importance else { return Ok(()) };
        if importance.len() != k {
            return Err(Error::Shape { what: "the importance", unit: "values", found: importance.len(), wanted: k });
        }
        match importance.iter().position(|w| !w.is_finite() || *w < 0.0) {
            Some(index) => Err(Error::BadValue { what: "the importance".to_owned(), index, wanted: "finite and at least 0" }),
            None => Ok(()),
        }
    }
}

/// Weights of a region, in which roots tie the groups together, and of a group, which shares a scale and a min. `unit` weights are
/// decided together; all else repeats after `period` weights of a row.
fn structure(runs: &Numbers<Option<usize>>, unit: usize, period: usize) -> Result<(usize, usize), &'static str> {
    let Some(group) = runs.scale else {
        return if runs.min.is_none() { Ok((unit, unit)) } else { Err("it has mins without scales") };
    };
    // A run of the whole row consists of whole periods.
    let whole = |length: usize, of: usize| length.min(period).is_multiple_of(of.min(period));
    if runs.min.is_some_and(|run| run != group) || !whole(group, unit) {
        return Err("its scales, mins and codes belong to groups of unlike length");
    }
    let region = runs.scale_root.or(runs.min_root).unwrap_or(group);
    if runs.min_root.is_some_and(|run| run != region) || !whole(region, group) {
        return Err("its super-scales belong to groups of unlike length");
    }
    Ok((region, group))
}

/// Importance as weights of errors, about 1, none of them 0.
fn normal(importance: &[f32]) -> Vec<f32> {
    let mean = importance.iter().map(|w| f64::from(*w)).sum::<f64>() / importance.len() as f64;
    let weight = |w: &f32| if mean > 0.0 { ((f64::from(*w) / mean) as f32).max(LEAST_WEIGHT) } else { 1.0 };
    importance.iter().map(weight).collect()
}
