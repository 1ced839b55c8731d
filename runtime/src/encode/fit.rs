//! Scale and min of one group by weighted least squares: what they would be if they did not have to be stored.

use super::coder::{Coder, Group, Picks};
use super::wide::{LANES, Loops, widest};

/// Sums over a group with given levels: what least squares need.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sums {
    /// `sum w (x - scale level - min)^2`.
    pub error: f32,
    /// `sum w x level`.
    pub xl: f32,
    /// `sum w level^2`.
    pub ll: f32,
    /// `sum w level`.
    pub l: f32,
}

impl Sums {
    /// The sums of a group whose weights have these levels.
    #[inline(always)]
    pub fn of(group: Group<'_>, levels: &[f32], scale: f32, min: f32) -> Self {
        let ((xs, x), (ws, w), (ls, l)) = (group.x.as_chunks(), group.w.as_chunks(), levels.as_chunks());
        let mut sums = [[0.0_f32; LANES]; 4];
        for ((x, w), l) in xs.iter().zip(ws).zip(ls) {
            add(&mut sums, x, w, l, scale, min);
        }
        let mut ends = [[0.0; LANES]; 3];
        for (end, rest) in ends.iter_mut().zip([x, w, l]) {
            end[..rest.len()].copy_from_slice(rest);
        }
        if !x.is_empty() {
            add(&mut sums, &ends[0], &ends[1], &ends[2], scale, min);
        }
        let [error, xl, ll, l] = sums.map(|lanes| lanes.iter().sum());
        Self { error, xl, ll, l }
    }
}

/// Adds some weights to the sums of [`Sums::of`], lane by lane.
#[inline(always)]
fn add(sums: &mut [[f32; LANES]; 4], x: &[f32; LANES], w: &[f32; LANES], level: &[f32; LANES], scale: f32, min: f32) {
    for lane in 0..LANES {
        let apart = x[lane] - scale * level[lane] - min;
        let weighted = w[lane] * level[lane];
        sums[0][lane] += w[lane] * apart * apart;
        sums[1][lane] += weighted * x[lane];
        sums[2][lane] += weighted * level[lane];
        sums[3][lane] += weighted;
    }
}

/// Choosing the best codes, and summing up.
struct Measure<'m> {
    coder: &'m Coder,
    group: Group<'m>,
    scale: f32,
    min: f32,
    scratch: &'m mut Scratch,
}

impl Loops for Measure<'_> {
    type Result = Sums;

    #[inline(always)]
    fn run(self) -> Sums {
        let Self { coder, group, scale, min, scratch } = self;
        coder.assign(group, scale, min, &mut scratch.levels, &mut scratch.picks, false);
        Sums::of(group, &scratch.levels, scale, min)
    }
}

/// A scale and a min, and the weighted squared error with the best codes under them.
#[derive(Clone, Copy, Debug)]
pub struct Fit {
    /// Multiplies levels.
    pub scale: f32,
    /// Added then.
    pub min: f32,
    /// `sum w (x - scale level - min)^2`.
    pub error: f32,
}

/// Which scales and mins can be stored.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Scales of either sign make a difference.
    pub both: bool,
    /// There is a min.
    pub min: bool,
    /// Mins lie in this range.
    pub mins: (f32, f32),
}

/// Memory for searches, used over and over.
#[derive(Debug, Default)]
pub struct Scratch {
    /// Levels of the group that is being looked at.
    pub levels: Vec<f32>,
    /// Its picks.
    pub picks: Picks,
}

/// The range of scales is halved so often, in logarithms, for the first pass: the scales between are tried.
const COARSE: u32 = 4;
/// As often again, near the best, for the second pass.
const FINE: u32 = 3;
/// For coders that are slow.
const FINE_SLOW: u32 = 2;

/// An error so many times the least so far will not become the least.
const HOPELESS: f32 = 1.5;

/// Where the levels of the ends of a group's range are put first: both ends kept, only the lower, only the upper.
const ANCHORS: [f32; 3] = [0.5, 0.0, 1.0];

impl Coder {
    /// The sums with the best codes under a scale and a min.
    pub fn measure(&self, group: Group<'_>, scale: f32, min: f32, scratch: &mut Scratch) -> Sums {
        scratch.levels.resize(group.x.len(), 0.0);
        widest(Measure { coder: self, group, scale, min, scratch })
    }

    /// The best scale and min of a group.
    pub fn fit(&self, group: Group<'_>, bounds: Bounds, scratch: &mut Scratch) -> Fit {
        let search = Search::new(self, group, bounds);
        let mut best = Fit { scale: 0.0, min: 0.0, error: f32::INFINITY };
        // From the scale at which nothing is clipped, and a little more, down to one that suits but the bulk of the weights.
        let count = self.level_count().min(1 << 16) as f32;
        let (high, low) = (1.0 + (2.0 / count).min(0.2), count / (count + 24.0));
        let ratio = halved(low / high, COARSE);
        let signs: &[f32] = if bounds.both { &[1.0, -1.0] } else { &[1.0] };
        let anchors = if bounds.min { &ANCHORS[..] } else { &ANCHORS[..1] };
        for sign in signs {
            for anchor in anchors {
                let mut scale = search.widest(*sign) * high;
                for _ in 0..=1 << COARSE {
                    search.improve(scale, search.anchored(scale, *anchor), &mut best, scratch);
                    scale *= ratio;
                }
            }
        }
        let halvings = if self.is_slow() { FINE_SLOW } else { FINE };
        let (around, fine) = (best, halved(ratio, halvings));
        let mut scale = around.scale / ratio;
        for _ in 1..2 << halvings {
            scale *= fine;
            search.improve(scale, around.min, &mut best, scratch);
        }
        best
    }
}

/// The ratio whose powers come to `ratio` after as many doublings of the exponent. Square roots are the same everywhere.
fn halved(ratio: f32, times: u32) -> f32 {
    (0..times).fold(ratio, |ratio, _| ratio.sqrt())
}

/// A search for the scale and min of a group.
struct Search<'s> {
    coder: &'s Coder,
    group: Group<'s>,
    bounds: Bounds,
    /// Least and greatest value.
    range: (f32, f32),
    /// Least and greatest level.
    ends: (f32, f32),
    /// `sum w` and `sum w x`.
    ones: (f32, f32),
}

impl<'s> Search<'s> {
    fn new(coder: &'s Coder, group: Group<'s>, bounds: Bounds) -> Self {
        let range = group.x.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), x| (low.min(*x), high.max(*x)));
        Self { coder, group, bounds, range, ends: coder.ends(), ones: group.ones() }
    }

    /// The least scale of that sign at which no weight is beyond the last level.
    fn widest(&self, sign: f32) -> f32 {
        let (low, high) = self.range;
        if self.bounds.min {
            let (low, high) = (low.min(self.bounds.mins.1), high.max(self.bounds.mins.0));
            return sign * (high - low) / (self.ends.1 - self.ends.0);
        }
        let (low, high) = if sign > 0.0 { (low, high) } else { (-high, -low) };
        let end = |value: f32, end: f32| if end == 0.0 { 0.0 } else { value / end };
        let widest = end(high, self.ends.1).max(end(low, self.ends.0));
        let all = high.abs().max(low.abs()) / self.ends.0.abs().max(self.ends.1.abs());
        sign * if widest > 0.0 { widest } else { all }
    }

    /// The min that puts the middle, or an end, of the levels there in the range.
    fn anchored(&self, scale: f32, anchor: f32) -> f32 {
        if !self.bounds.min {
            return 0.0;
        }
        let (low, high) = self.range;
        let level = self.ends.0 + anchor * (self.ends.1 - self.ends.0);
        self.bound(low + anchor * (high - low) - scale * level)
    }

    fn bound(&self, min: f32) -> f32 {
        min.max(self.bounds.mins.0).min(self.bounds.mins.1)
    }

    /// Takes the scale and min if they are better than `best`, and what least squares make of them if that is better still.
    fn improve(&self, scale: f32, min: f32, best: &mut Fit, scratch: &mut Scratch) {
        let (mut scale, mut min) = (scale, min);
        let mut last = f32::INFINITY;
        for _ in 0..3 {
            let sums = self.coder.measure(self.group, scale, min, scratch);
            if sums.error >= last || sums.error > HOPELESS * best.error {
                break;
            }
            if sums.error < best.error {
                *best = Fit { scale, min, error: sums.error };
            }
            last = sums.error;
            let Some((next_scale, next_min)) = self.solve(sums) else { break };
            if (next_scale, next_min) == (scale, min) || (next_scale < 0.0 && !self.bounds.both) {
                break;
            }
            (scale, min) = (next_scale, next_min);
        }
    }

    /// The scale and min that suit given levels best.
    fn solve(&self, sums: Sums) -> Option<(f32, f32)> {
        let (w, x) = self.ones;
        let alone = |min: f32| (sums.ll > 0.0).then(|| ((sums.xl - min * sums.l) / sums.ll, min));
        if !self.bounds.min {
            return alone(0.0);
        }
        let determinant = sums.ll * w - sums.l * sums.l;
        if determinant <= 1e-6 * sums.ll * w {
            return None;
        }
        let min = (sums.ll * x - sums.l * sums.xl) / determinant;
        let bound = self.bound(min);
        if bound == min { Some(((sums.xl * w - sums.l * x) / determinant, min)) } else { alone(bound) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::Encoder;
    use crate::registry;

    /// Wide registers give the bits that narrow ones give.
    #[test]
    fn registers_do_not_change_the_result() {
        let x = (0..96).map(|at| ((at * at) as f32 * 0.11).sin()).collect::<Vec<_>>();
        let w = (0..96).map(|at| 1.0 + (at % 7) as f32).collect::<Vec<_>>();
        for encoder in registry::formats().filter_map(|format| Encoder::new(format).ok()) {
            let coder = &encoder.coder;
            let group = Group { x: &x, w: &w };
            for scale in [0.003, -0.02, 0.11, 0.7] {
                let run = |narrow: bool| {
                    let mut scratch = Scratch::default();
                    scratch.levels.resize(x.len(), 0.0);
                    let measure = Measure { coder, group, scale, min: 0.01, scratch: &mut scratch };
                    let sums = if narrow { measure.run() } else { widest(measure) };
                    ([sums.error, sums.xl, sums.ll, sums.l].map(f32::to_bits), scratch.levels)
                };
                assert_eq!(run(true), run(false), "{}", encoder.name);
            }
        }
    }
}
