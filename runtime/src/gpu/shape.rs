//! The sizes of a product by panels, checked once for every host.

use std::ops::Range;

use super::{Error, PanelKernels, Result};
use crate::kernels::abi::SEGMENT;
use crate::kernels::abi::panels::{DEVICE_ROWS, HELPERS};
use crate::matmul::activations::Norm;
use crate::registry::Numerics;

/// Most groups along an axis of a launch on any device.
pub const MAX_GROUPS: usize = 65_535;
/// Columns of one submission.
pub const COLUMNS: usize = 64;
/// Groups that are wanted at least: K is shared out where there are fewer.
const GROUPS: usize = 128;
/// Most sums of segments that are kept.
const PARTIALS: usize = 1 << 24;

/// How a product is computed. No bit depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Columns that a kernel takes at a time: one of [`PanelKernels::columns`].
    pub columns: usize,
    /// Groups that share K: at least 1.
    pub splits: usize,
}

/// A product that is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Product<'a> {
    /// Activations, `[batch, K]`.
    pub x: &'a [f32],
    /// Rows of them.
    pub batch: usize,
    /// The numerics class.
    pub numerics: Numerics,
    /// How it is computed; without it, as seems best.
    pub schedule: Option<Schedule>,
}

/// What surrounds a product in a linear layer: `docs/numerics.md` has the order. What there is none of is left out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Around<'a> {
    /// The norm of rows of activations.
    pub norm: Option<Norm<'a>>,
    /// N numbers, one for each row of the weights.
    pub bias: Option<&'a [f32]>,
    /// `[batch, N]`, added to the output.
    pub residual: Option<&'a [f32]>,
}

impl Around<'_> {
    /// Which of them `reduce` adds.
    pub(super) fn added(&self) -> usize {
        usize::from(self.bias.is_some()) + 2 * usize::from(self.residual.is_some())
    }
}

/// Weights in panels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Rows.
    pub n: usize,
    /// Weights of a row.
    pub k: usize,
    /// Weights of a unit.
    unit: usize,
}

impl Shape {
    /// `n` rows of `k` weights, and their panels, of what a processor multiplies by; a device takes no more bytes at once than `most`.
    ///
    /// # Errors
    /// [`Error::Size`] if the packed weights are fewer, or the panels more than a device or an index takes.
    pub fn panels(kernels: &PanelKernels, packed: &[u8], n: usize, k: usize, most: usize) -> Result<(Self, Vec<u8>)> {
        let unit = kernels.interleave.to.weights;
        at_most("the rows", n, MAX_GROUPS * DEVICE_ROWS)?;
        at_most("the length of a row", k, (u32::MAX as usize / COLUMNS).min(MAX_GROUPS * HELPERS) - unit)?;
        at_most("the bytes of the weights", kernels.interleave.bytes(n, k).unwrap_or(usize::MAX), most)?;
        let panels = kernels.interleave.panels(packed, n, k);
        let wanted = || size("the packed weights", packed.len(), format!("{n} rows of {k} weights needed"));
        Ok((Self { n, k, unit }, panels.ok_or_else(wanted)?))
    }

    /// Units of a row.
    pub fn units(&self) -> usize {
        self.k.div_ceil(self.unit)
    }

    /// Weights of a row that is filled up to whole units.
    pub fn padded(&self) -> usize {
        self.units() * self.unit
    }

    /// Segments of a row.
    pub fn segments(&self) -> usize {
        self.padded().div_ceil(SEGMENT)
    }

    /// Computes a product, `[batch, N]`, in parts of as many columns as a submission takes, by kernels of at most so many columns at a time. A part is
    /// given the place of its outputs, its activations and outputs, and its schedule; it says `false` where no product came of it, and so does this.
    ///
    /// # Errors
    /// [`Error::Size`] if there is no such product; those of a part.
    pub fn in_parts(
        &self,
        kernels: &PanelKernels,
        product: &Product<'_>,
        y: &mut [f32],
        most: usize,
        mut part: impl FnMut(Range<usize>, &[f32], &mut [f32], Schedule) -> Result<bool>,
    ) -> Result<bool> {
        self.check(kernels, product, y)?;
        let (n, k) = (self.n, self.k);
        if y.is_empty() || k == 0 {
            y.fill(0.0);
            return Ok(true);
        }
        for (index, (x, y)) in product.x.chunks(COLUMNS * k).zip(y.chunks_mut(COLUMNS * n)).enumerate() {
            let schedule = product.schedule.unwrap_or_else(|| self.schedule(kernels, y.len() / n, most));
            let first = index * COLUMNS * n;
            if !part(first..first + y.len(), x, y, schedule)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn check(&self, kernels: &PanelKernels, product: &Product<'_>, y: &[f32]) -> Result<()> {
        let Product { x, batch, numerics, schedule } = *product;
        if batch.checked_mul(self.k) != Some(x.len()) {
            return Err(size("the activations", x.len(), format!("{batch} rows of {} needed", self.k)));
        }
        if batch.checked_mul(self.n) != Some(y.len()) {
            return Err(size("the output", y.len(), format!("{batch} rows of {} needed", self.n)));
        }
        if !kernels.numerics.contains(&numerics) {
            return Err(size("the kernels of the class", 0, format!("the format has no class {numerics}")));
        }
        match schedule {
            Some(Schedule { columns, .. }) if !kernels.columns.contains(&columns) => {
                Err(size("the columns at a time", columns, format!("one of {:?} possible", kernels.columns)))
            }
            Some(Schedule { splits, .. }) if !(1..=MAX_GROUPS).contains(&splits) => {
                Err(size("the groups that share K", splits, format!("1 to {MAX_GROUPS} possible")))
            }
            Some(Schedule { splits: 2.., .. }) => {
                at_most("the sums of a submission", batch.min(COLUMNS) * self.n, MAX_GROUPS * HELPERS)
            }
            _ => Ok(()),
        }
    }

    /// That what surrounds a product with so many outputs has its sizes.
    ///
    /// # Errors
    /// [`Error::Size`] if it does not.
    pub fn check_around(&self, around: &Around<'_>, outputs: usize) -> Result<()> {
        let wanted = [
            ("the weights of the norm", around.norm.map(|norm| norm.weights.len()), self.k),
            ("the bias", around.bias.map(<[f32]>::len), self.n),
            ("the residual", around.residual.map(<[f32]>::len), outputs),
        ];
        for (what, found, wanted) in wanted {
            if let Some(found) = found.filter(|found| *found != wanted) {
                return Err(size(what, found, format!("{wanted} needed")));
            }
        }
        if around.added() == 0 {
            Ok(())
        } else {
            at_most("the sums of a submission", outputs.min(COLUMNS * self.n), MAX_GROUPS * HELPERS)
        }
    }

    /// A schedule for so many columns, of which a kernel takes at most so many at a time: as few as do, and groups enough for a device to be busy.
    fn schedule(&self, kernels: &PanelKernels, columns: usize, most: usize) -> Schedule {
        let wanted = columns.min(most);
        let known = &kernels.columns;
        let at_once = known.iter().copied().find(|known| *known >= wanted).or(known.last().copied()).unwrap_or(1);
        let (panels, segments) = (self.n.div_ceil(DEVICE_ROWS), self.segments());
        let splits = (GROUPS / panels / columns.div_ceil(at_once)).clamp(1, segments.max(1));
        let splits = if segments * columns * self.n > PARTIALS { 1 } else { splits };
        Schedule { columns: at_once, splits }
    }

    /// Weights that are decoded, and groups along a row; a device takes no more bytes at once than `most`.
    ///
    /// # Errors
    /// [`Error::Size`] if it cannot decode so many.
    pub fn decoded(&self, kernels: &PanelKernels, most: usize) -> Result<(usize, usize)> {
        let count = self.n.saturating_mul(self.k);
        // Indices have 32 bits.
        at_most("the decoded weights", count, most.min(u32::MAX as usize) / size_of::<f32>())?;
        let groups = self.units().div_ceil(kernels.warps);
        at_most("the groups along a row", groups, MAX_GROUPS)?;
        Ok((count, groups))
    }
}

fn at_most(what: &'static str, found: usize, most: usize) -> Result<()> {
    if found <= most { Ok(()) } else { Err(size(what, found, format!("at most {most} possible"))) }
}

fn size(what: &'static str, found: usize, wanted: String) -> Error {
    Error::Size { what, found, wanted }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::abi::panels::{Interleave, Unit};

    fn kernels() -> PanelKernels {
        let interleave = Interleave {
            from: Unit { weights: 64, bytes: 640 },
            to: Unit { weights: 64, bytes: 1280 },
            parts: vec![Vec::new()],
        };
        PanelKernels {
            source: String::new(),
            interleave,
            numerics: vec![Numerics::Exact],
            span: 64,
            step: 32,
            columns: vec![1, 2, 4, 8],
            warps: 4,
        }
    }

    const SHAPE: Shape = Shape { n: 65, k: 1088, unit: 64 };

    #[test]
    fn rows_are_cut_into_units_and_segments() {
        assert_eq!((SHAPE.units(), SHAPE.padded(), SHAPE.segments()), (17, 1088, 3));
        assert_eq!(SHAPE.decoded(&kernels(), 1 << 20).unwrap(), (65 * 1088, 5));
    }

    #[test]
    fn sizes_that_do_not_fit_are_refused() {
        let wrong = |n, k, most| Shape::panels(&kernels(), &[0; 10], n, k, most).unwrap_err().to_string();
        assert_eq!(wrong(1, 64, 1 << 20), "the packed weights: 10 given, 1 rows of 64 weights needed");
        assert_eq!(wrong(1, 64, 1000), "the bytes of the weights: 1280 given, at most 1000 possible");
        assert!(wrong(1 << 30, 64, 1 << 20).starts_with("the rows: "));
        assert!(wrong(1, 1 << 40, 1 << 20).starts_with("the length of a row: "));
        let wrong = |x: usize, y: usize, numerics, schedule| {
            let product = Product { x: &vec![0.0; x], batch: 2, numerics, schedule };
            SHAPE.check(&kernels(), &product, &vec![0.0; y]).unwrap_err().to_string()
        };
        assert_eq!(wrong(1088, 130, Numerics::Exact, None), "the activations: 1088 given, 2 rows of 1088 needed");
        assert_eq!(wrong(2176, 65, Numerics::Exact, None), "the output: 65 given, 2 rows of 65 needed");
        assert!(wrong(2176, 130, Numerics::Int8, None).contains("has no class int8"));
        let schedule = |columns, splits| Some(Schedule { columns, splits });
        assert!(wrong(2176, 130, Numerics::Exact, schedule(3, 1)).contains("one of [1, 2, 4, 8] possible"));
        assert!(wrong(2176, 130, Numerics::Exact, schedule(1, 0)).contains("1 to 65535 possible"));
    }

    #[test]
    fn few_rows_share_k_among_groups() {
        assert_eq!(SHAPE.schedule(&kernels(), 3, 8), Schedule { columns: 4, splits: 3 });
        assert_eq!(SHAPE.schedule(&kernels(), 64, 8), Schedule { columns: 8, splits: 3 });
        assert_eq!(SHAPE.schedule(&kernels(), 3, 1), Schedule { columns: 1, splits: 3 });
        assert_eq!(Shape { n: 1 << 14, ..SHAPE }.schedule(&kernels(), 1, 8), Schedule { columns: 1, splits: 1 });
    }
}
