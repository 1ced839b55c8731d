//! The geometry of a roofline: operations per byte of weights across, speed upwards, both logarithmic. Lengths are in units of the
//! drawing, whose origin is its upper left corner.

use std::f64::consts::PI;

use quantloom::machine::Ceilings;
use quantloom::registry::Numerics;

use super::model::{Problem, Variant};
use super::numbers;

/// Width and height of the drawing.
pub const SIZE: (f64, f64) = (800.0, 520.0);
/// Where the plot begins and ends across, and upwards from its lower edge.
pub const ACROSS: (f64, f64) = (76.0, 766.0);
/// See [`ACROSS`].
pub const UPWARDS: (f64, f64) = (444.0, 40.0);

/// From this many tens on, only whole ones are labelled.
const CROWDED: f64 = 100.0;

/// A drawing for one number of threads.
#[derive(Debug)]
pub struct Roofline<'a> {
    /// Places and labels across.
    pub across: Vec<(f64, String)>,
    /// Places and labels upwards.
    pub upwards: Vec<(f64, String)>,
    /// The limits: first of memory, then of the numerics classes.
    pub roofs: Vec<Roof>,
    /// What was measured.
    pub dots: Vec<Dot<'a>>,
}

/// A limit.
#[derive(Debug)]
pub struct Roof {
    /// Where its line begins and ends.
    pub line: [(f64, f64); 2],
    /// What it says.
    pub label: String,
    /// Where that is written: in the middle of a sloping line, at the end of another.
    pub at: (f64, f64),
    /// Whether it is written below the line.
    pub below: bool,
    /// Degrees that it is turned by: 0 for arithmetic.
    pub turn: f64,
}

/// A kernel that was measured.
#[derive(Debug)]
pub struct Dot<'a> {
    /// Where it is.
    pub at: (f64, f64),
    /// The problem.
    pub problem: &'a Problem,
    /// The kernel.
    pub variant: &'a Variant,
}

/// A logarithmic axis: the values at its ends, and where those are.
#[derive(Clone, Copy)]
struct Axis {
    values: (f64, f64),
    places: (f64, f64),
}

impl Axis {
    /// An axis with room for those of `values` that have a place on it, which are positive and finite, that ends at 1, 2 or 5 times a
    /// power of ten.
    fn over(values: impl Iterator<Item = f64> + Clone, places: (f64, f64)) -> Self {
        let values = values.filter(|value| value.is_normal() && *value > 0.0);
        let low = values.clone().fold(f64::INFINITY, f64::min) / 1.15;
        let high = values.fold(0.0, f64::max) * 1.15;
        let end = |near: f64, far: fn(f64, f64) -> bool, steps: [f64; 4]| {
            let ten = 10_f64.powf(near.log10().floor());
            steps.into_iter().map(|step| step * ten).find(|&end| far(end, near)).unwrap_or(near)
        };
        let values =
            (end(low, |end, low| end <= low, [5.0, 2.0, 1.0, 1.0]), end(high, |end, high| end >= high, [1.0, 2.0, 5.0, 10.0]));
        Self { values, places }
    }

    fn at(self, value: f64) -> f64 {
        let (low, high) = self.values;
        let (start, end) = self.places;
        start + (end - start) * (value / low).ln() / (high / low).ln()
    }

    /// Round values, and where they are.
    fn ticks(self) -> Vec<(f64, String)> {
        let (low, high) = self.values;
        let steps: &[f64] = if high / low >= CROWDED { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let tens = (low.log10().floor() as i32..=high.log10().ceil() as i32).map(|power| 10_f64.powi(power));
        let values = tens.flat_map(|ten| steps.iter().map(move |step| step * ten));
        values
            .filter(|&value| (low * 0.999..=high * 1.001).contains(&value))
            .map(|value| (self.at(value), plain(value)))
            .collect()
    }
}

/// A round number as an axis shows it.
fn plain(value: f64) -> String {
    if value < 1.0 { format!("{value}") } else { format!("{value:.0}") }
}

impl<'a> Roofline<'a> {
    /// Of the problems whose work is known, under limits, if those are. None if there is nothing to draw.
    pub fn new(problems: impl Iterator<Item = &'a Problem>, ceilings: Option<&Ceilings>) -> Option<Self> {
        let measured = problems
            .filter_map(|problem| Some((problem, problem.intensity()?)))
            .flat_map(|(problem, across)| problem.variants.iter().map(move |variant| (problem, variant, across)))
            .filter_map(|(problem, variant, across)| Some((problem, variant, across, variant.gops?)))
            .collect::<Vec<_>>();
        if measured.is_empty() {
            return None;
        }
        let peak = |ceilings: &Ceilings| ceilings.int8_gops.max(ceilings.f32_gflops);
        let corner = ceilings.map(|ceilings| 2.0 * peak(ceilings) / ceilings.read_gbps);
        let across = Axis::over(measured.iter().map(|dot| dot.2).chain(corner), ACROSS);
        let start = ceilings.map(|ceilings| ceilings.read_gbps * across.values.0);
        let upwards = Axis::over(measured.iter().map(|dot| dot.3).chain(start).chain(ceilings.map(peak)), UPWARDS);
        let dot = |(problem, variant, x, y)| Dot { at: (across.at(x), upwards.at(y)), problem, variant };
        Some(Self {
            across: across.ticks(),
            upwards: upwards.ticks(),
            roofs: ceilings.map_or_else(Vec::new, |ceilings| roofs(ceilings, across, upwards)),
            dots: measured.into_iter().map(dot).collect(),
        })
    }
}

/// The roof of memory up to the highest of arithmetic, and those of arithmetic from there on.
fn roofs(ceilings: &Ceilings, across: Axis, upwards: Axis) -> Vec<Roof> {
    const GAP: f64 = 9.0;
    // Nearer than this, the label of the lower roof would lie across the other.
    const CLOSE: f64 = 45.0;
    let bandwidth = ceilings.read_gbps;
    let peaks = Numerics::ALL.map(|class| match class {
        Numerics::Exact => (class, ceilings.f32_gflops),
        Numerics::Int8 => (class, ceilings.int8_gops),
    });
    let highest = peaks.iter().fold(0.0, |highest: f64, &(_, peak)| highest.max(peak));
    let (start, end) = across.values;
    let line = [start, highest / bandwidth].map(|x| (across.at(x), upwards.at(x * bandwidth)));
    let (dx, dy) = (line[1].0 - line[0].0, line[1].1 - line[0].1);
    let length = dx.hypot(dy);
    let middle = ((line[0].0 + line[1].0) / 2.0 + GAP * dy / length, (line[0].1 + line[1].1) / 2.0 - GAP * dx / length);
    let memory = Roof {
        line,
        label: format!("reads {}", numbers::bandwidth(bandwidth)),
        at: middle,
        below: false,
        turn: dy.atan2(dx) * 180.0 / PI,
    };
    let flat = peaks.map(|(class, peak)| {
        let (x, y) = (across.at(end), upwards.at(peak));
        let unit = if class == Numerics::Exact { "Gflop/s" } else { "Gop/s" };
        let label = format!("{class} {} {unit}", numbers::gops(peak));
        let below = peak < highest && y - upwards.at(highest) < CLOSE;
        let at = (x, if below { y + GAP } else { y - GAP });
        Roof { line: [(across.at(peak / bandwidth), y), (x, y)], label, at, below, turn: 0.0 }
    });
    [memory].into_iter().chain(flat).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_values_and_leave_room() {
        let axis = |values: &[f64]| Axis::over(values.iter().copied(), (0.0, 100.0)).values;
        let near = |(a, b): (f64, f64), (c, d): (f64, f64)| (a / c - 1.0).abs() < 1e-9 && (b / d - 1.0).abs() < 1e-9;
        assert!(near(axis(&[3.5, 1800.0]), (2.0, 5000.0)), "{:?}", axis(&[3.5, 1800.0]));
        assert!(near(axis(&[1.0]), (0.5, 2.0)), "{:?}", axis(&[1.0]));
        assert!(near(axis(&[0.02, 9.9]), (0.01, 20.0)), "{:?}", axis(&[0.02, 9.9]));
        let odd = [0.0, f64::INFINITY, f64::NAN, -1.0];
        assert_eq!(axis(&[&odd[..], &[1.0]].concat()), axis(&[1.0]));
        assert!(Axis::over(odd.into_iter(), (0.0, 100.0)).ticks().is_empty());
    }

    #[test]
    fn a_tenfold_is_as_far_everywhere() {
        let axis = Axis { values: (1.0, 1000.0), places: (404.0, 104.0) };
        assert_eq!([1.0, 10.0, 1000.0].map(|value| axis.at(value).round()), [404.0, 304.0, 104.0]);
        assert_eq!(axis.ticks().into_iter().map(|(_, label)| label).collect::<Vec<_>>(), ["1", "10", "100", "1000"]);
        let narrow = Axis { values: (0.5, 20.0), ..axis };
        assert_eq!(narrow.ticks().into_iter().map(|(_, label)| label).collect::<Vec<_>>(), ["0.5", "1", "2", "5", "10", "20"]);
    }

    #[test]
    fn roofs_meet_at_the_corner() {
        let ceilings = Ceilings { isa: "any", threads: 1, read_gbps: 10.0, int8_gops: 1000.0, f32_gflops: 100.0 };
        let across = Axis { values: (1.0, 1000.0), places: ACROSS };
        let upwards = Axis { values: (10.0, 1000.0), places: UPWARDS };
        let [memory, exact, int8] = &roofs(&ceilings, across, upwards)[..] else { panic!("three roofs") };
        assert_eq!(memory.line[0], (ACROSS.0, UPWARDS.0));
        assert_eq!(memory.line[1], int8.line[0]);
        assert!(exact.line[0].0 < int8.line[0].0 && exact.line[0].1 > int8.line[0].1);
        assert!(memory.turn < 0.0, "the drawing's y grows downwards");
    }
}
