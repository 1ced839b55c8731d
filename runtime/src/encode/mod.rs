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
//! assert_eq!(bytes.len(), 128 / 32 * format.block_bytes);
//! # Ok(())
//! # }
//! ```

mod chain;
mod coder;
mod fit;
mod grid;
mod layout;
mod levels;
mod own;
mod region;
mod signs;
#[cfg(test)]
mod tests;
mod wide;

use std::sync::{Mutex, PoisonError};

use quantloom_spec::model::{self, Number};

use crate::error::{Error, Result};
use crate::gguf::BlockShape;
use crate::pool::Pool;
use crate::registry::{self, Format};
use chain::Chain;
use coder::{Coder, Group, Picks};
use fit::Scratch;
use layout::{Finish, Slots};
use region::Searcher;

/// Weights that a thread encodes at a time, about.
const AT_ONCE: usize = 4096;

/// The least weight of an error, as a part of the mean one: columns without importance are still encoded sensibly.
const LEAST_WEIGHT: f32 = 1e-6;

/// Encodes weights in one format.
#[derive(Debug)]
pub struct Encoder {
    name: String,
    shape: BlockShape,
    coder: Coder,
    scale: Option<Chain>,
    min: Option<Chain>,
    code: Slots,
    sign: Option<Slots>,
    zero: Option<Slots>,
    finish: Finish,
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
        const UNEVEN: &str = "its codes, signs or zeros belong to groups of unlike length";
        let blocks = format.blocks().ok_or("its parts are separate tensors")?;
        if blocks.header > 0 {
            return Err("its rows have headers");
        }
        let slots =
            |number: &Option<Number>| number.as_ref().map(|number| Slots::new(format, |_| number).ok_or(UNEVEN)).transpose();
        let code = Slots::new(format, |piece| &piece.code).ok_or(UNEVEN)?;
        let (sign, zero) = (slots(&format.sign)?, slots(&format.zero)?);
        let coder = Coder::new(format, &code, sign.as_ref(), zero.as_ref())?;
        let most = f64::from(f32::MAX) / if format.min.is_some() { 2.0 } else { 1.0 };
        let scale_most = most / f64::from(coder.most().max(1.0));
        let chain = |number: &Option<Number>, most| number.as_ref().map(|number| Chain::new(format, number, most)).transpose();
        let (scale, min) = (chain(&format.scale, scale_most)?, chain(&format.min, most)?);
        let (region, group) = structure(scale.as_ref(), min.as_ref(), coder.unit)?;
        Ok(Self {
            name: format.name.clone(),
            shape: BlockShape { header: 0, weights: blocks.weights, bytes: blocks.bytes },
            finish: Finish::new(format, &code),
            coder,
            scale,
            min,
            code,
            sign,
            zero,
            region,
            group,
        })
    }

    /// Weights and bytes of a block.
    #[must_use]
    pub const fn block(&self) -> BlockShape {
        self.shape
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
        let blocks = weights.len() / self.shape.weights;
        let mut bytes = vec![0; blocks * self.shape.bytes];
        let at_once = AT_ONCE.div_ceil(self.shape.weights);
        let parts = bytes.chunks_mut(at_once * self.shape.bytes).map(Mutex::new).collect::<Vec<_>>();
        pool.run(parts.len(), |part| {
            let mut work = Work::default();
            let mut bytes = parts[part].lock().unwrap_or_else(PoisonError::into_inner);
            for (number, bytes) in bytes.chunks_mut(self.shape.bytes).enumerate() {
                let first = (part * at_once + number) * self.shape.weights;
                let x = &weights[first..][..self.shape.weights];
                let w = column_weights.as_ref().map(|w| &w[first % k..][..self.shape.weights]);
                self.block_of(x, w, &mut work, bytes);
            }
        });
        drop(parts);
        Ok(bytes)
    }

    fn check(&self, weights: &[f32], k: usize, importance: Option<&[f32]>) -> Result<()> {
        if k == 0 || !k.is_multiple_of(self.shape.weights) {
            return Err(Error::BadK { format: self.name.clone(), k, multiple: self.shape.weights });
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

    /// Encodes one block to `bytes`, which are zero.
    fn block_of(&self, x: &[f32], w: Option<&[f32]>, work: &mut Work, bytes: &mut [u8]) {
        work.w.clear();
        match w {
            Some(w) => work.w.extend_from_slice(w),
            None => work.w.resize(x.len(), 1.0),
        }
        work.levels.resize(x.len(), 0.0);
        for start in (0..x.len()).step_by(self.region) {
            self.region_of(start, &x[start..][..self.region], work, bytes);
        }
        self.finish.apply(&work.levels, bytes);
    }

    fn region_of(&self, start: usize, x: &[f32], work: &mut Work, bytes: &mut [u8]) {
        let Some(scale) = &self.scale else {
            let group = Group { x, w: &work.w[start..][..self.region] };
            self.coder.assign(group, 1.0, 0.0, &mut work.levels[start..][..self.region], &mut work.scratch.picks, true);
            self.write_picks(start, &work.scratch.picks, bytes);
            #[cfg(test)]
            work.meant.extend_from_slice(&work.levels[start..][..self.region]);
            return;
        };
        let unit = unit_of(x);
        work.x.clear();
        work.x.extend(x.iter().map(|x| (f64::from(*x) / unit) as f32));
        let w = &work.w[start..][..self.region];
        let groups = work.x.chunks(self.group).zip(w.chunks(self.group)).map(|(x, w)| Group { x, w }).collect::<Vec<_>>();
        let searcher = Searcher { coder: &self.coder, scale, min: self.min.as_ref(), unit };
        let found = searcher.search(&groups, &mut work.scratch);
        write_root(scale, Some(found.scale), start, bytes);
        if let Some(min) = &self.min {
            write_root(min, found.min, start, bytes);
        }
        for (number, (group, part)) in groups.iter().zip(&found.parts).enumerate() {
            let at = start + number * self.group;
            scale.slots.write(at / self.group, scale.own.bits(part.scale), bytes);
            if let (Some(chain), Some(min)) = (&self.min, part.min) {
                chain.slots.write(at / self.group, chain.own.bits(min), bytes);
            }
            let (scale, min) = searcher.values(&found, part);
            self.coder.assign(*group, scale, min, &mut work.levels[at..][..self.group], &mut work.scratch.picks, true);
            self.write_picks(at, &work.scratch.picks, bytes);
            #[cfg(test)]
            {
                let (scale, min) = Searcher { unit: 1.0, ..searcher }.values(&found, part);
                let value = |level: &f32| if part.min.is_some() { scale * level + min } else { scale * level };
                work.meant.extend(work.levels[at..][..self.group].iter().map(value));
            }
        }
    }

    /// Writes codes, signs and zeros of the weights from `at` on.
    fn write_picks(&self, at: usize, picks: &Picks, bytes: &mut [u8]) {
        let all = [(Some(&self.code), &picks.codes), (self.sign.as_ref(), &picks.signs), (self.zero.as_ref(), &picks.zeros)];
        for (slots, values) in all {
            let Some(slots) = slots else { continue };
            for (slot, value) in (at / slots.run..).zip(values) {
                slots.write(slot, *value, bytes);
            }
        }
    }
}

/// Memory for encoding a block, used over and over.
#[derive(Debug, Default)]
struct Work {
    x: Vec<f32>,
    w: Vec<f32>,
    levels: Vec<f32>,
    scratch: Scratch,
    /// The values that the blocks so far are meant to decode to.
    #[cfg(test)]
    meant: Vec<f32>,
}

/// Weights of a region, in which roots tie the groups together, and of a group, which shares a scale and a min.
fn structure(scale: Option<&Chain>, min: Option<&Chain>, unit: usize) -> Result<(usize, usize), &'static str> {
    let Some(scale) = scale else {
        return if min.is_none() { Ok((unit, unit)) } else { Err("it has mins without scales") };
    };
    let group = scale.slots.run;
    let chains = [Some(scale), min];
    if chains.iter().flatten().any(|chain| chain.slots.run != group) || !group.is_multiple_of(unit) {
        return Err("its scales, mins and codes belong to groups of unlike length");
    }
    let mut roots = chains.iter().flatten().filter_map(|chain| chain.root.as_ref()).map(|(_, slots)| slots.run);
    let region = roots.next().unwrap_or(group);
    if roots.any(|run| run != region) || !region.is_multiple_of(group) {
        return Err("its super-scales belong to groups of unlike length");
    }
    Ok((region, group))
}

fn write_root(chain: &Chain, choice: Option<own::Choice>, start: usize, bytes: &mut [u8]) {
    if let (Some((root, slots)), Some(choice)) = (&chain.root, choice) {
        slots.write(start / slots.run, root.bits(choice), bytes);
    }
}

/// The largest power of two that is not above the largest magnitude; 1 if all are 0.
fn unit_of(x: &[f32]) -> f64 {
    // An f32 is never subnormal as an f64: without its mantissa it is such a power.
    const EXPONENT: u64 = 0x7FF << 52;
    let most = x.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
    if most == 0.0 { 1.0 } else { f64::from_bits(f64::from(most).to_bits() & EXPONENT) }
}

/// Importance as weights of errors, about 1, none of them 0.
fn normal(importance: &[f32]) -> Vec<f32> {
    let mean = importance.iter().map(|w| f64::from(*w)).sum::<f64>() / importance.len() as f64;
    let weight = |w: &f32| if mean > 0.0 { ((f64::from(*w) / mean) as f32).max(LEAST_WEIGHT) } else { 1.0 };
    importance.iter().map(weight).collect()
}
