//! Weights that a format holds exactly. A search among rounded scales need not find how: it is tried.
//!
//! If a group is held exactly, its largest weight is a level times the scale, and so are all others (with a min, the same holds of
//! how far weights are above the least). Nearly always the first other weight shows that it is not so.

use super::coder::{Coder, Group};
use super::fit::Scratch;
use super::own::Choice;
use super::region::{Found, Part, Searcher};

/// Distances of levels to try, at most: formats with more are not tried.
const MOST_STEPS: usize = 512;

/// Scales and mins to try for a group, about.
const MOST_WISHES: usize = 256;

/// What trying to store a region may cost, at most: values that are looked at.
const MOST_TRIED: usize = 1 << 15;

/// What it costs to choose the codes of a group.
const CODES: usize = 16;

/// How far rounding can take a product or a sum, and what follows from it, as a part of it.
const NEAR: f64 = 1.0 / (1 << 21) as f64;

/// The levels of a format, as far as trying needs them.
#[derive(Debug)]
pub struct Trial {
    /// What a weight can have, ascending.
    levels: Vec<f64>,
    /// Magnitudes of levels other than 0; with a min, distances between two levels. Ascending.
    steps: Vec<f64>,
    /// All steps are multiples of the first.
    even: bool,
}

/// A scale and a min under which a group may be held.
#[derive(Clone, Copy, Debug)]
struct Wish {
    scale: f64,
    min: f64,
    /// How far the scale and the min may be from what was stored.
    near: f64,
    min_near: f64,
}

impl Wish {
    /// A scale without a min.
    fn of(scale: f64) -> Self {
        Self { scale, min: 0.0, near: scale.abs() * NEAR, min_near: 0.0 }
    }
}

/// What a group can have under a root: its own value of the scale, and the wish that it comes near to.
type Held = (Choice, Wish);

impl Trial {
    /// What to try for a format with these levels, with or without a min; `None` if it is too much.
    pub fn new(coder: &Coder, has_min: bool) -> Option<Self> {
        let levels = coder.lone_levels()?.into_iter().map(f64::from).collect::<Vec<_>>();
        if levels.len() > MOST_STEPS {
            return None;
        }
        let mut steps = if has_min {
            levels.iter().flat_map(|low| levels.iter().map(move |high| high - low)).collect::<Vec<_>>()
        } else {
            levels.iter().map(|level| level.abs()).collect()
        };
        steps.retain(|step| *step > 0.0);
        steps.sort_by(f64::total_cmp);
        steps.dedup();
        let even = steps.iter().zip(1..).all(|(step, place)| *step == steps[0] * f64::from(place));
        (1..=MOST_STEPS).contains(&steps.len()).then_some(Self { levels, steps, even })
    }

    /// How the groups are stored exactly, if the trial finds that they can be; `x` are their weights, of which `groups` has those in
    /// the searcher's unit.
    pub fn find(&self, searcher: &Searcher<'_>, x: &[f32], groups: &[Group<'_>], scratch: &mut Scratch) -> Option<Found> {
        let length = groups.first()?.x.len();
        let mut wishes = Vec::with_capacity(groups.len());
        for group in x.chunks(length) {
            let wanted = if searcher.min.is_some() { self.above_min(group) } else { self.wishes(group) };
            wishes.push(Some(wanted).filter(|wanted| !wanted.is_empty())?);
        }
        let mut region = Region { searcher, x, groups, wishes, left: MOST_TRIED };
        region.find(scratch)
    }

    /// Scales under which all of a group are levels.
    fn wishes(&self, group: &[f32]) -> Vec<Wish> {
        let most = group.iter().copied().max_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap_or(0.0);
        if most == 0.0 {
            return vec![Wish::of(0.0)];
        }
        let most = f64::from(most);
        let fits = |step: &&f64| {
            let inverse = *step / most;
            group.iter().all(|x| self.has(f64::from(*x) * inverse, 0.0))
        };
        // The largest first: for them, most scales can be stored.
        let steps = self.steps.iter().rev().filter(fits);
        let levels = steps.flat_map(|step| [-step, *step]).filter(|level| self.levels.contains(level));
        levels.map(|level| Wish::of(most / level)).collect()
    }

    /// Scales and mins under which all of a group are levels.
    fn above_min(&self, group: &[f32]) -> Vec<Wish> {
        let range = group.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), x| (low.min(*x), high.max(*x)));
        let (low, high) = (f64::from(range.0), f64::from(range.1));
        if low == high {
            let alone = [Wish { min: low, min_near: low.abs() * NEAR, ..Wish::of(0.0) }].into_iter();
            return alone.chain(self.wishes(group).into_iter().filter(|wish| wish.scale != 0.0)).collect();
        }
        let most = low.abs().max(high.abs());
        let fits = |step: &&f64| {
            let scale = (high - low) / *step;
            group.iter().all(|x| self.has((f64::from(*x) - low) / scale, most * NEAR / scale))
        };
        let steps = self.steps.iter().rev().filter(fits).collect::<Vec<_>>();
        let mut wishes = Vec::new();
        // The least weight has the lower of two levels, or the higher under a negative scale.
        for level in &self.levels {
            for step in steps.iter().filter(|step| self.levels.contains(&(level + **step))) {
                let scale = (high - low) / **step;
                for (scale, level) in [(scale, *level), (-scale, level + **step)] {
                    let min = low - scale * level;
                    let rounding = 0.5 * (most + min.abs()) * NEAR;
                    let min_near = 2.0 * rounding * (1.0 + level.abs() / **step);
                    wishes.push(Wish { scale, min, near: rounding / **step, min_near });
                }
            }
            if wishes.len() >= MOST_WISHES {
                break;
            }
        }
        wishes
    }

    /// Whether a value is one of the steps, 0, or the negative of one, but for rounding.
    fn has(&self, value: f64, rounding: f64) -> bool {
        let value = value.abs();
        let is_near = |step: f64| (value - step).abs() <= value * NEAR + rounding;
        if self.even {
            let place = (value / self.steps[0] + 0.5) as usize;
            return place <= self.steps.len() && is_near(place as f64 * self.steps[0]);
        }
        let above = self.steps.partition_point(|step| *step < value);
        let below = above.checked_sub(1).map_or(0.0, |below| self.steps[below]);
        is_near(below) || self.steps.get(above).is_some_and(|step| is_near(*step))
    }
}

/// A region whose groups may all be held.
struct Region<'r> {
    searcher: &'r Searcher<'r>,
    x: &'r [f32],
    groups: &'r [Group<'r>],
    /// By group.
    wishes: Vec<Vec<Wish>>,
    /// Values that may still be looked at.
    left: usize,
}

impl Region<'_> {
    fn find(&mut self, scratch: &mut Scratch) -> Option<Found> {
        let searcher = self.searcher;
        // Every group must be held: the one with the fewest ways says what the root can be.
        let scaled = |wishes: &&Vec<Wish>| wishes.iter().any(|wish| wish.scale != 0.0);
        let narrow = self.wishes.iter().filter(scaled).min_by_key(|wishes| wishes.len()).or(self.wishes.first())?.clone();
        for wish in narrow {
            self.spend(searcher.scale.own_count())?;
            for root in searcher.scale.roots_of(wish.scale, wish.near) {
                let held = (0..self.wishes.len()).map(|group| self.held(group, root)).collect::<Option<Vec<_>>>();
                if let Some(found) = held.and_then(|held| self.under(root, &held, scratch)) {
                    return Some(found);
                }
            }
        }
        None
    }

    /// Takes what trying costs from what it may.
    fn spend(&mut self, cost: usize) -> Option<()> {
        self.left = self.left.checked_sub(cost)?;
        Some(())
    }

    /// What a group can have under a root; `None` if that is nothing.
    fn held(&mut self, group: usize, root: Choice) -> Option<Vec<Held>> {
        self.spend(self.wishes[group].len())?;
        let scale = self.searcher.scale;
        let near = |wish: &Wish| {
            let wish = *wish;
            let is_near = move |own: &Choice| (f64::from(scale.value(root, *own, 1.0)) - wish.scale).abs() <= wish.near;
            let held = scale.around(root, wish.scale).filter(move |own| wish.scale == 0.0 || is_near(own));
            held.map(move |own| (own, wish))
        };
        let held = self.wishes[group].iter().flat_map(near).collect::<Vec<_>>();
        (!held.is_empty()).then_some(held)
    }

    /// How all groups are stored under a root of the scales.
    fn under(&mut self, root: Choice, held: &[Vec<Held>], scratch: &mut Scratch) -> Option<Found> {
        let Some(chain) = self.searcher.min else { return self.stored(root, None, held, scratch) };
        let shifted = |held: &&Vec<Held>| held.iter().all(|(_, wish)| wish.min != 0.0);
        let narrow = held.iter().filter(shifted).min_by_key(|held| held.len()).or(held.first())?;
        for (_, wish) in narrow {
            self.spend(chain.own_count())?;
            for min_root in chain.roots_of(wish.min, wish.min_near) {
                let found = self.stored(root, Some(min_root), held, scratch);
                if found.is_some() {
                    return found;
                }
            }
        }
        None
    }

    /// How all groups are stored under given roots.
    fn stored(&mut self, root: Choice, min_root: Option<Choice>, held: &[Vec<Held>], scratch: &mut Scratch) -> Option<Found> {
        let mut found = Found { scale: root, min: min_root, parts: Vec::with_capacity(held.len()) };
        for (group, held) in held.iter().enumerate() {
            let part = self.part(group, &found, held, scratch)?;
            found.parts.push(part);
        }
        Some(found)
    }

    /// How a group is stored under the roots that were found.
    fn part(&mut self, group: usize, found: &Found, held: &[Held], scratch: &mut Scratch) -> Option<Part> {
        let searcher = self.searcher;
        let x = &self.x[group * self.groups[0].x.len()..][..self.groups[group].x.len()];
        for &(scale, wish) in held {
            let mins = searcher.min.zip(found.min).map(|(chain, root)| chain.around(root, wish.min).map(Some).collect());
            for min in mins.unwrap_or_else(|| vec![None]) {
                self.spend(CODES)?;
                let part = Part { scale, min, error: 0.0 };
                if searcher.is_exact(found, &part, x, self.groups[group], scratch) {
                    return Some(part);
                }
            }
        }
        None
    }
}
