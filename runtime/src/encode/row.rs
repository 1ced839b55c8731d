//! The search for what is stored, region by region.

use super::Encoder;
use super::chain::Chain;
use super::coder::{Group, Picks};
use super::fit::Scratch;
use super::numbers::Numbers;
use super::own::Choice;
use super::region::{Found, Searcher};

/// Memory for encoding a row or a block, used over and over.
#[derive(Debug, Default)]
pub struct Work {
    x: Vec<f32>,
    w: Vec<f32>,
    scratch: Scratch,
    /// The level of each weight.
    pub levels: Vec<f32>,
    /// The bits of each number, run by run.
    pub bits: Numbers<Vec<u64>>,
    /// The values that all weights so far are meant to decode to.
    #[cfg(test)]
    pub meant: Vec<f32>,
}

impl Encoder {
    /// Decides what is stored for `x`, a row or a block; `w` are weights of errors.
    pub(super) fn decide(&self, x: &[f32], w: Option<&[f32]>, work: &mut Work) {
        work.w.clear();
        match w {
            Some(w) => work.w.extend_from_slice(w),
            None => work.w.resize(x.len(), 1.0),
        }
        work.levels.resize(x.len(), 0.0);
        work.bits.all_mut().into_iter().for_each(Vec::clear);
        let region = self.region.min(x.len());
        for start in (0..x.len()).step_by(region) {
            self.region_of(start, &x[start..][..region], work);
        }
    }

    fn region_of(&self, start: usize, x: &[f32], work: &mut Work) {
        let w = &work.w[start..][..x.len()];
        let levels = &mut work.levels[start..][..x.len()];
        let Some(scale) = &self.scale else {
            self.coder.assign(Group { x, w }, 1.0, 0.0, levels, &mut work.scratch.picks, true);
            add_picks(&work.scratch.picks, &mut work.bits);
            #[cfg(test)]
            work.meant.extend_from_slice(levels);
            return;
        };
        let unit = unit_of(x);
        work.x.clear();
        work.x.extend(x.iter().map(|x| (f64::from(*x) / unit) as f32));
        let length = self.group.min(x.len());
        let groups = work.x.chunks(length).zip(w.chunks(length)).map(|(x, w)| Group { x, w }).collect::<Vec<_>>();
        let mut searcher = Searcher { coder: &self.coder, scale, min: self.min.as_ref(), unit };
        let mut found = self.find(&searcher, x, &groups, &mut work.scratch);
        if let Some(symmetric) = &self.symmetric
            && searcher.uses_least(&found, &groups, &mut work.scratch)
        {
            searcher.coder = symmetric;
            found = self.find(&searcher, x, &groups, &mut work.scratch);
        }
        add_root(scale, found.scale, &mut work.bits.scale_root);
        if let (Some(chain), Some(root)) = (&self.min, found.min) {
            add_root(chain, root, &mut work.bits.min_root);
        }
        for ((group, part), levels) in groups.iter().zip(&found.parts).zip(levels.chunks_mut(length)) {
            work.bits.scale.push(scale.own.bits(part.scale));
            if let (Some(chain), Some(min)) = (&self.min, part.min) {
                work.bits.min.push(chain.own.bits(min));
            }
            let (scale, min) = searcher.values(&found, part);
            searcher.coder.assign(*group, scale, min, levels, &mut work.scratch.picks, true);
            add_picks(&work.scratch.picks, &mut work.bits);
            #[cfg(test)]
            {
                let (scale, min) = Searcher { unit: 1.0, ..searcher }.values(&found, part);
                let value = |level: &f32| if part.min.is_some() { scale * level + min } else { scale * level };
                work.meant.extend(levels.iter().map(value));
            }
        }
    }

    /// What is stored for a region with weights `x`, of which `groups` has those in the searcher's unit: the best that a search finds, unless
    /// it can be held exactly.
    fn find(&self, searcher: &Searcher<'_>, x: &[f32], groups: &[Group<'_>], scratch: &mut Scratch) -> Found {
        let found = searcher.search(groups, scratch);
        let Some(trial) = &self.trial else { return found };
        let length = groups.first().map_or(1, |group| group.x.len());
        let mut parts = groups.iter().zip(&found.parts).zip(x.chunks(length));
        let is_exact = parts.all(|((group, part), x)| searcher.is_exact(&found, part, x, *group, scratch));
        if is_exact { found } else { trial.find(searcher, x, groups, scratch).unwrap_or(found) }
    }
}

fn add_picks(picks: &Picks, bits: &mut Numbers<Vec<u64>>) {
    bits.code.extend_from_slice(&picks.codes);
    bits.sign.extend_from_slice(&picks.signs);
    bits.zero.extend_from_slice(&picks.zeros);
}

fn add_root(chain: &Chain, choice: Choice, bits: &mut Vec<u64>) {
    bits.extend(chain.root.as_ref().map(|root| root.bits(choice)));
}

/// The largest power of two that is not above the largest magnitude; 1 if all are 0.
fn unit_of(x: &[f32]) -> f64 {
    // An f32 is never subnormal as an f64: without its mantissa it is such a power.
    const EXPONENT: u64 = 0x7FF << 52;
    let most = x.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
    if most == 0.0 { 1.0 } else { f64::from_bits(f64::from(most).to_bits() & EXPONENT) }
}
