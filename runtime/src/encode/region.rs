//! Scales, mins and their roots of a region: the weights whose values depend on each other.
//!
//! Each group first gets the scale and min that would suit it best. Then roots are chosen under which the groups come near to
//! them, and then each stored number in turn is moved to a neighbouring value as long as the error becomes less, codes being
//! chosen anew each time (coordinate descent).

use super::chain::Chain;
use super::coder::{Coder, Group};
use super::fit::{Bounds, Fit, Scratch, Sums};
use super::own::{Choice, Own};

/// Rounds of descent, at most.
const ROUNDS: usize = 4;

/// Moves of one group in a round, at most.
const MOVES: usize = 4;

/// How the weights of a region are decided.
#[derive(Clone, Copy, Debug)]
pub struct Searcher<'s> {
    /// Chooses codes.
    pub coder: &'s Coder,
    /// The scales.
    pub scale: &'s Chain,
    /// The mins.
    pub min: Option<&'s Chain>,
    /// The unit of all values: a power of two.
    pub unit: f64,
}

/// What is stored for one group, and the error that comes of it.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// The scale's own value.
    pub scale: Choice,
    /// The min's own value, if there are mins.
    pub min: Option<Choice>,
    /// The weighted squared error, in units.
    pub error: f32,
}

/// What is stored for a region beside codes.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The root of the scales, if they have one.
    pub scale: Choice,
    /// The root of the mins, if they have one.
    pub min: Option<Choice>,
    /// The groups.
    pub parts: Vec<Part>,
}

impl Found {
    fn error(&self) -> f32 {
        self.parts.iter().map(|part| part.error).sum()
    }
}

impl Searcher<'_> {
    /// The best of what can be stored.
    pub fn search(&self, groups: &[Group<'_>], scratch: &mut Scratch) -> Found {
        let bounds = self.bounds(groups);
        let fits = groups.iter().map(|group| self.coder.fit(*group, bounds, scratch)).collect::<Vec<_>>();
        let mut found = self.start(groups, &fits, scratch);
        for _ in 0..ROUNDS {
            let before = found.error();
            for (place, group) in groups.iter().enumerate() {
                self.move_part(*group, &mut found, place, scratch);
            }
            self.move_roots(groups, &mut found, scratch);
            if found.error() >= before {
                break;
            }
        }
        found
    }

    /// Scale and min of a group, in units.
    pub fn values(&self, found: &Found, part: &Part) -> (f32, f32) {
        let min = match (self.min, found.min, part.min) {
            (Some(chain), Some(root), Some(own)) => chain.value(root, own, self.unit),
            _ => 0.0,
        };
        (self.scale.value(found.scale, part.scale, self.unit), min)
    }

    /// Whether a weight of the groups has the least level that there is.
    pub fn uses_least(&self, found: &Found, groups: &[Group<'_>], scratch: &mut Scratch) -> bool {
        let (least, _) = self.coder.ends();
        groups.iter().zip(&found.parts).any(|(group, part)| {
            let (scale, min) = self.values(found, part);
            self.coder.measure(*group, scale, min, scratch);
            scratch.levels.contains(&least)
        })
    }

    /// Whether a group decodes to its weights `x`, which `group` has in units.
    pub fn is_exact(&self, found: &Found, part: &Part, x: &[f32], group: Group<'_>, scratch: &mut Scratch) -> bool {
        let (scale, min) = self.values(found, part);
        scratch.levels.resize(x.len(), 0.0);
        self.coder.assign(group, scale, min, &mut scratch.levels, &mut scratch.picks, true);
        let (scale, min) = Searcher { unit: 1.0, ..*self }.values(found, part);
        let value = |level: &f32| if part.min.is_some() { scale * level + min } else { scale * level };
        x.iter().zip(&scratch.levels).all(|(x, level)| *x == value(level))
    }

    fn bounds(&self, groups: &[Group<'_>]) -> Bounds {
        let mins = self.min.map_or((0.0, 0.0), |chain| match (chain.bounds(), &chain.root) {
            // Mins of one sign: the root's sign decides which.
            ((low, high), Some(_)) if low == 0.0 || high == 0.0 => {
                let least = |group: &Group<'_>| group.x.iter().copied().fold(f32::INFINITY, f32::min);
                if groups.iter().map(least).sum::<f32>() < 0.0 { (f32::NEG_INFINITY, 0.0) } else { (0.0, f32::INFINITY) }
            }
            (bounds, _) => bounds,
        });
        Bounds {
            both: self.min.is_none() && self.scale.is_signed() && !self.coder.is_symmetric(),
            min: self.min.is_some(),
            mins,
        }
    }

    fn error(&self, group: Group<'_>, found: &Found, part: &Part, scratch: &mut Scratch) -> f32 {
        let (scale, min) = self.values(found, part);
        self.coder.measure(group, scale, min, scratch).error
    }

    /// The best roots for what the groups would like best.
    fn start(&self, groups: &[Group<'_>], fits: &[Fit], scratch: &mut Scratch) -> Found {
        let scales = fits.iter().map(|fit| fit.scale).collect::<Vec<_>>();
        let mut best: Option<(f32, Found, Vec<f32>)> = None;
        for root in self.scale.roots(&scales, self.unit) {
            let mut found = Found { scale: root, min: None, parts: Vec::with_capacity(groups.len()) };
            let mut mins = Vec::with_capacity(groups.len());
            for (group, fit) in groups.iter().zip(fits) {
                let own = self.scale.nearest(root, f64::from(fit.scale), self.unit);
                let scale = self.scale.value(root, own, self.unit);
                let sums = self.coder.measure(*group, scale, fit.min, scratch);
                let (min, error) =
                    if self.min.is_some() { better_min(*group, scale, fit.min, sums) } else { (0.0, sums.error) };
                found.parts.push(Part { scale: own, min: None, error });
                mins.push(min);
            }
            let error = found.error();
            if best.as_ref().is_none_or(|(least, ..)| error < *least) {
                best = Some((error, found, mins));
            }
        }
        let (_, found, mins) = best.unwrap_or_default();
        match self.min {
            None => found,
            Some(chain) => self.start_mins(chain, groups, found, &mins, scratch),
        }
    }

    /// The best root of the mins.
    fn start_mins(&self, chain: &Chain, groups: &[Group<'_>], found: Found, mins: &[f32], scratch: &mut Scratch) -> Found {
        let mut best: Option<Found> = None;
        for root in chain.roots(mins, self.unit) {
            let mut found = Found { min: Some(root), ..found.clone() };
            for (place, (group, min)) in groups.iter().zip(mins).enumerate() {
                let mut part = found.parts[place];
                part.min = Some(chain.nearest(root, f64::from(*min), self.unit));
                part.error = self.error(*group, &found, &part, scratch);
                found.parts[place] = part;
            }
            if best.as_ref().is_none_or(|best| found.error() < best.error()) {
                best = Some(found);
            }
        }
        best.unwrap_or(found)
    }

    /// Moves a group's scale and min to neighbouring values as long as that helps.
    fn move_part(&self, group: Group<'_>, found: &mut Found, place: usize, scratch: &mut Scratch) {
        for _ in 0..MOVES {
            let here = found.parts[place];
            let mut best = here;
            for scale in around(Some(&self.scale.own), Some(here.scale)).into_iter().flatten() {
                for min in around(self.min.map(|chain| &chain.own), here.min) {
                    let mut part = Part { scale, min, error: 0.0 };
                    if (part.scale, part.min) != (here.scale, here.min) {
                        part.error = self.error(group, found, &part, scratch);
                        best = if part.error < best.error { part } else { best };
                    }
                }
            }
            if best.error >= here.error {
                break;
            }
            found.parts[place] = best;
        }
    }

    /// Moves the roots to where least squares put them, if that helps.
    fn move_roots(&self, groups: &[Group<'_>], found: &mut Found, scratch: &mut Scratch) {
        let Some((scale, min)) = self.solve(groups, found, scratch) else { return };
        let root = scale.map_or(found.scale, |scale| self.scale.nearest_root(scale, self.unit));
        let min_root = match (self.min, min) {
            (Some(chain), Some(min)) => Some(chain.nearest_root(min, self.unit)),
            _ => found.min,
        };
        self.take_if_better(groups, found, root, min_root, scratch);
        for root in self.scale.next_roots(found.scale).collect::<Vec<_>>() {
            self.take_if_better(groups, found, root, found.min, scratch);
        }
    }

    fn take_if_better(
        &self,
        groups: &[Group<'_>],
        found: &mut Found,
        root: Choice,
        min: Option<Choice>,
        scratch: &mut Scratch,
    ) {
        if (root, min) == (found.scale, found.min) {
            return;
        }
        let mut other = Found { scale: root, min, parts: found.parts.clone() };
        for (place, group) in groups.iter().enumerate() {
            other.parts[place].error = self.error(*group, &other, &other.parts[place], scratch);
        }
        if other.error() < found.error() {
            *found = other;
        }
    }

    /// The roots that suit the present codes and own values best.
    fn solve(&self, groups: &[Group<'_>], found: &Found, scratch: &mut Scratch) -> Option<(Option<f64>, Option<f64>)> {
        let scale_root = self.scale.root.is_some();
        let min_root = self.min.is_some_and(|chain| chain.root.is_some());
        if !scale_root && !min_root {
            return None;
        }
        // x = scale a level + min b, in which a root may be known.
        let ([mut aa, mut ab, mut bb], [mut xa, mut xb]) = ([0.0; 3], [0.0; 2]);
        for (group, part) in groups.iter().zip(&found.parts) {
            let (scale, min) = self.values(found, part);
            let sums = self.coder.measure(*group, scale, min, scratch);
            let (w, x) = group.ones();
            let [w, x, l, ll, xl] = [w, x, sums.l, sums.ll, sums.xl].map(f64::from);
            let (a, b) = (f64::from(part.scale.value), part.min.map_or(0.0, |min| f64::from(min.value)));
            let known_scale = if scale_root { 0.0 } else { f64::from(scale) };
            let known_min = if min_root { 0.0 } else { f64::from(min) };
            aa += a * a * ll;
            ab += a * b * l;
            bb += b * b * w;
            xa += a * (xl - known_min * l);
            xb += b * (x - known_scale * l);
        }
        match (scale_root, min_root) {
            (true, false) => (aa > 0.0).then(|| (Some(xa / aa), None)),
            (false, _) => (bb > 0.0).then(|| (None, Some(xb / bb))),
            (true, true) => {
                let determinant = aa * bb - ab * ab;
                let solved = determinant > 1e-9 * aa * bb;
                solved.then(|| (Some((xa * bb - xb * ab) / determinant), Some((xb * aa - xa * ab) / determinant)))
            }
        }
    }
}

/// The min that suits levels of a given scale best, and the error with it.
fn better_min(group: Group<'_>, scale: f32, min: f32, sums: Sums) -> (f32, f32) {
    let (w, x) = group.ones();
    if w <= 0.0 {
        return (min, sums.error);
    }
    let better = (x - scale * sums.l) / w;
    (better, sums.error - w * (better - min) * (better - min))
}

/// A value and its neighbours; nothing but nothing when there is none.
fn around(own: Option<&Own>, choice: Option<Choice>) -> Vec<Option<Choice>> {
    let mut all = vec![choice];
    if let (Some(own), Some(choice)) = (own, choice) {
        all.extend([own.next(choice, true), own.next(choice, false)].into_iter().flatten().map(Some));
    }
    all
}
