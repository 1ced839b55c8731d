//! Encoding: from f32 weights to the blocks or separate tensors of any format, knowing only its card.
//!
//! The error that is made small is `sum w (x - y)^2`, `w` being the importance of a column, or 1. Scales are searched for by
//! least squares from many starts, then all that is stored is improved number by number; `docs/encoder.md` has the results.
//!
//! ```
//! use quantloom::{encode::Encoder, pool::Pool, registry};
//!
//! # fn main() -> quantloom::Result<()> {
//! let has_blocks = |format: &&registry::Format| format.gguf.is_some() && format.block_weights == 32;
//! let format = registry::formats().find(has_blocks).expect("some format has such blocks");
//! let weights: Vec<f32> = (0..128).map(|i| (i as f32 * 0.7).sin()).collect();
//! let bytes = Encoder::new(format)?.encode(&weights, 64, None, Pool::global())?;
//! assert_eq!(Some(bytes.len()), format.stored_bytes(2, 64));
//! # Ok(())
//! # }
//! ```

mod chain;
mod coder;
mod exact;
mod fit;
mod grid;
mod layout;
mod levels;
mod numbers;
mod own;
mod region;
mod row;
mod signs;
mod tensors;
#[cfg(test)]
mod tests;
mod wide;

use std::sync::{Mutex, PoisonError};

use quantloom_spec::model::{self, Number, Storage};

use crate::error::{Error, Result};
use crate::machine::StandardFloats;
use crate::pool::Pool;
use crate::registry::{self, Format};
use chain::Chain;
use coder::Coder;
use exact::Trial;
use layout::Rows;
use numbers::Numbers;
use row::Work;
pub use tensors::EncodedTensor;
use tensors::Tensors;

/// Weights that a thread encodes at a time, about.
const AT_ONCE: usize = 4096;

/// The least weight of an error, as a part of the mean one: columns without importance are still encoded sensibly.
const LEAST_WEIGHT: f32 = 1e-6;

/// Magnitudes of values stay below it: a little less than the largest f32, as products are rounded.
const MOST: f64 = f32::MAX as f64 * (1.0 - 1e-6);

/// Where numbers are stored.
#[derive(Debug)]
enum Layout {
    Rows(Rows),
    Tensors(Tensors),
}

/// Encodes weights in one format.
#[derive(Debug)]
pub struct Encoder {
    name: String,
    layout: Layout,
    /// K must be a multiple of it.
    period: usize,
    coder: Coder,
    /// The coder for weights for which the other uses a code that has no negative.
    symmetric: Option<Coder>,
    scale: Option<Chain>,
    min: Option<Chain>,
    /// What is tried for weights that are held exactly, if they can be.
    trial: Option<Trial>,
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
        Self::of_model(model?)
    }

    /// The encoder of a checked card.
    ///
    /// # Errors
    /// As [`Encoder::new`].
    pub fn of_model(format: &model::Format) -> Result<Self> {
        Self::compile(format).map_err(|why| Error::NotEncodable { format: format.name.clone(), why: why.to_owned() })
    }

    fn compile(format: &model::Format) -> Result<Self, &'static str> {
        let numbers = Numbers::of(format);
        let (layout, runs, period) = match &format.storage {
            Storage::Blocks(blocks) => {
                let rows = Rows::new(format, blocks, &numbers)?;
                let runs = rows.runs();
                (Layout::Rows(rows), runs, blocks.weights)
            }
            Storage::Tensors(tensors) => {
                let tensors = Tensors::new(format, tensors, &numbers)?;
                let (runs, period) = (tensors.runs(), tensors.columns);
                (Layout::Tensors(tensors), runs, period)
            }
        };
        let coder = Coder::new(format, &runs)?;
        let most = MOST / if format.min.is_some() { 2.0 } else { 1.0 };
        let scale_most = most / f64::from(coder.most().max(1.0));
        let chain = |number: &Option<Number>, most| number.as_ref().map(|number| Chain::new(format, number, most)).transpose();
        let (scale, min) = (chain(&format.scale, scale_most)?, chain(&format.min, most)?);
        let (region, group) = structure(&runs, coder.unit, period)?;
        let symmetric = Coder::symmetric(format, &runs);
        let trial = Trial::new(symmetric.as_ref().unwrap_or(&coder), min.is_some());
        Ok(Self { name: format.name.clone(), layout, period, coder, symmetric, scale, min, trial, region, group })
    }

    /// Encodes rows of `k` weights, in row order. `importance` has one weight per column, by which squared errors count; only
    /// their ratios matter. The result does not depend on the number of threads.
    ///
    /// # Errors
    /// [`Error::BadK`] if `k` is not whole blocks, [`Error::Shape`] if `weights` are not whole rows or `importance` is not one
    /// row, [`Error::BadValue`] if a weight is not finite or an importance is not a finite number of at least 0,
    /// [`Error::NotEncodable`] if the format is one of separate tensors.
    pub fn encode(&self, weights: &[f32], k: usize, importance: Option<&[f32]>, pool: &Pool) -> Result<Vec<u8>> {
        let Layout::Rows(rows) = &self.layout else {
            return Err(self.refusal("its parts are separate tensors, not rows of blocks"));
        };
        self.check(weights, k, importance)?;
        let _floats = StandardFloats::set();
        let column_weights = importance.map(normal);
        let (length, unit_bytes) = rows.unit(k);
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
                rows.write(&work.bits, &work.levels, bytes);
            }
        });
        drop(parts);
        Ok(bytes)
    }

    /// Encodes `n` rows of `k` weights as separate tensors: those that the card reads, in card order, and then those that say again
    /// what follows from k. Otherwise as [`Encoder::encode`].
    ///
    /// # Errors
    /// As [`Encoder::encode`], and [`Error::BadN`] if the format cannot store `n` rows, [`Error::Shape`] if `weights` are not `n * k`,
    /// [`Error::NotEncodable`] if the format is one of rows of blocks.
    pub fn encode_tensors(
        &self,
        weights: &[f32],
        n: usize,
        k: usize,
        importance: Option<&[f32]>,
        pool: &Pool,
    ) -> Result<Vec<EncodedTensor>> {
        let Layout::Tensors(tensors) = &self.layout else {
            return Err(self.refusal("it is stored in rows of blocks, not in separate tensors"));
        };
        self.check(weights, k, importance)?;
        if !n.is_multiple_of(tensors.rows) {
            return Err(Error::BadN { format: self.name.clone(), n, multiple: tensors.rows });
        }
        if weights.len() / k != n {
            let wanted = n.saturating_mul(k);
            return Err(Error::Shape { what: "the weights", unit: "values", found: weights.len(), wanted });
        }
        let _floats = StandardFloats::set();
        let column_weights = importance.map(normal);
        let filling = tensors.empty(n, k)?;
        let at_once = AT_ONCE.div_ceil(k);
        pool.run(n.div_ceil(at_once), |part| {
            let mut work = Work::default();
            let rows = weights.chunks_exact(k).enumerate().skip(part * at_once).take(at_once);
            for (row, x) in rows {
                self.decide(x, column_weights.as_deref(), &mut work);
                filling.write(row, &work.bits);
            }
        });
        Ok(filling.finish())
    }

    fn refusal(&self, why: &str) -> Error {
        Error::NotEncodable { format: self.name.clone(), why: why.to_owned() }
    }

    fn check(&self, weights: &[f32], k: usize, importance: Option<&[f32]>) -> Result<()> {
        if k == 0 || !k.is_multiple_of(self.period) {
            return Err(Error::BadK { format: self.name.clone(), k, multiple: self.period });
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
