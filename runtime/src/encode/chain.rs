//! A scale or a min as it is stored: a value of its own per group, and perhaps one that the groups of a region share.

use quantloom_spec::model::{Format, Number};

use super::own::{Choice, Own};

/// A root is this far from a wish, as a part of it, only where floats of 16 bits lose digits, or have few.
const COARSE: f64 = 1.0 / 256.0;

/// Roots that a search tries.
const ROOTS: usize = 12;

/// A scale or a min, with its super if it has one.
#[derive(Debug)]
pub struct Chain {
    /// The values of a group.
    pub own: Own,
    /// The super, which multiplies them.
    pub root: Option<Own>,
}

impl Chain {
    /// The chain of a number of a format; the magnitude of its values stays within `most`.
    pub fn new(format: &Format, number: &Number, most: f64) -> Result<Self, &'static str> {
        const WIDE: &str = "its scales or mins are vectors or too wide";
        let mut own = Own::new(&format.storage, number).ok_or(WIDE)?;
        let root = match &number.outer {
            None => {
                own.limit(most);
                None
            }
            Some(outer) if outer.outer.is_some() => return Err("its supers are nested"),
            Some(outer) => {
                let mut root = Own::new(&format.storage, outer).ok_or(WIDE)?;
                let (low, high) = own.ends();
                root.limit(most / f64::from(low.abs().max(high.abs()).max(1.0)));
                Some(root)
            }
        };
        Ok(Self { own, root })
    }

    /// Whether groups can have values of either sign, each as it likes.
    pub fn is_signed(&self) -> bool {
        let (low, high) = self.own.ends();
        low < 0.0 && high > 0.0
    }

    /// The values that can be stored when roots are at least 0.
    pub fn bounds(&self) -> (f32, f32) {
        let (low, high) = self.own.ends();
        (if low < 0.0 { f32::NEG_INFINITY } else { 0.0 }, if high > 0.0 { f32::INFINITY } else { 0.0 })
    }

    /// The value of a group in units of `unit`.
    pub fn value(&self, root: Choice, own: Choice, unit: f64) -> f32 {
        let value = if self.root.is_some() { root.value * own.value } else { own.value };
        (f64::from(value) / unit) as f32
    }

    /// The own value under a root that comes nearest to `wish`, which is in units of `unit`.
    pub fn nearest(&self, root: Choice, wish: f64, unit: f64) -> Choice {
        let wish = wish * unit;
        let own = match f64::from(root.value) {
            _ if self.root.is_none() => wish,
            0.0 => 0.0,
            root => wish / root,
        };
        self.own.nearest(own)
    }

    /// The root nearest to `wish`, which is in units of `unit`; without a root, anything.
    pub fn nearest_root(&self, wish: f64, unit: f64) -> Choice {
        self.root.as_ref().map_or_else(|| self.own.nearest(0.0), |root| root.nearest(wish * unit))
    }

    /// The roots next to one.
    pub fn next_roots(&self, root: Choice) -> impl Iterator<Item = Choice> {
        [true, false].into_iter().filter_map(move |up| self.root.as_ref()?.next(root, up))
    }

    /// How many own values [`Chain::roots_of`] looks at.
    pub fn own_count(&self) -> usize {
        if self.root.is_some() { self.own.count() } else { 1 }
    }

    /// The own value that comes nearest to `wish` under a root, and those next to it.
    pub fn around(&self, root: Choice, wish: f64) -> impl Iterator<Item = Choice> {
        let nearest = self.nearest(root, wish, 1.0);
        [Some(nearest), self.own.next(nearest, true), self.own.next(nearest, false)].into_iter().flatten()
    }

    /// The roots under which an own value comes within `near` of `wish`; one, whichever it is, if there are no roots or nothing is wished
    /// for.
    pub fn roots_of(&self, wish: f64, near: f64) -> impl Iterator<Item = Choice> {
        let owns = match (&self.root, &self.own) {
            (Some(_), Own::Listed { values, .. }) if wish != 0.0 => values.as_slice(),
            _ => &[],
        };
        let any = owns.is_empty().then(|| self.nearest_root(0.0, 1.0));
        let of_own = move |own: &f32| {
            let own = f64::from(*own);
            let nearest = self.nearest_root(wish / own, 1.0);
            let is_near = move |root: &Choice| root.value != 0.0 && (f64::from(root.value) * own - wish).abs() <= near;
            [nearest].into_iter().chain(self.next_roots(nearest)).filter(is_near)
        };
        any.into_iter().chain(owns.iter().filter(|own| **own != 0.0).flat_map(of_own))
    }

    /// Roots under which the groups can have about the values they wish, in units of `unit`.
    pub fn roots(&self, wishes: &[f32], unit: f64) -> Vec<Choice> {
        let extreme = wishes.iter().copied().max_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap_or(0.0);
        let (low, high) = self.own.ends();
        let (own_steps, most) = (self.own.count() as f64, low.abs().max(high.abs()));
        let (least, range) = (1.0 - (4.0 / own_steps).min(0.4), (4.0 / own_steps).min(0.4) + (8.0 / own_steps).min(0.8));
        let mut roots = Vec::new();
        for end in [high, low] {
            if self.root.is_none() || end.abs() * 2.0 < most || end == 0.0 || extreme == 0.0 {
                continue;
            }
            for step in 0..ROOTS {
                let factor = least + range * step as f64 / (ROOTS - 1) as f64;
                let wish = factor * f64::from(extreme) / f64::from(end);
                let root = self.nearest_root(wish, unit);
                // Among the least roots, and under 0 above all, one of the next may suit better.
                let is_coarse = (f64::from(root.value) - wish * unit).abs() > COARSE * (wish * unit).abs();
                let next = self.next_roots(root).filter(|next| is_coarse && f64::from(next.value) * wish > 0.0);
                for root in next.chain([root]) {
                    if !roots.contains(&root) {
                        roots.push(root);
                    }
                }
            }
        }
        if roots.is_empty() { vec![self.nearest_root(0.0, unit)] } else { roots }
    }
}
