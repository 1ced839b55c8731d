//! A scale or a min as it is stored: a value of its own per group, and perhaps one that the groups of a region share.

use quantloom_spec::model::{Format, Number};

use super::own::{Choice, Own};

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
    pub fn nearest(&self, root: Choice, wish: f32, unit: f64) -> Choice {
        let wish = f64::from(wish) * unit;
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
                roots.push(self.nearest_root(factor * f64::from(extreme) / f64::from(end), unit));
            }
        }
        roots.dedup();
        if roots.is_empty() { vec![self.nearest_root(0.0, unit)] } else { roots }
    }
}
