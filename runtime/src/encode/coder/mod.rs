//! The best codes of a group of weights under a given scale and min.

mod assign;

use quantloom_spec::model::{Element, Format, Levels as Vectors, Number, Stored};

use super::grid::Grid;
use super::levels::Levels;
use super::numbers::Numbers;
use super::own::Own;
use super::signs::SignTable;

/// Most weights that are decided together.
const MAX_UNIT: usize = 256;

/// Zeros up to so many are all tried each time.
const FEW_ZEROS: usize = 4;

/// Most zeros to choose from.
const MAX_ZEROS: usize = 256;

/// What is stored for weights beside scale and min: one entry per run of weights that share it.
#[derive(Clone, Debug, Default)]
pub struct Picks {
    /// Bits of codes.
    pub codes: Vec<u64>,
    /// Bits of signs.
    pub signs: Vec<u64>,
    /// Bits of zeros.
    pub zeros: Vec<u64>,
}

/// Chooses `(code - zero) * sign` for each weight.
#[derive(Debug)]
pub struct Coder {
    code: Code,
    sign: Sign,
    zeros: Vec<(f32, u64)>,
    /// Weights that are decided together: the longest run of code, sign or zero.
    pub unit: usize,
    /// Runs of code, sign and zero.
    runs: [usize; 3],
}

#[derive(Debug)]
enum Code {
    Levels(Levels),
    Grid(Grid),
}

#[derive(Debug)]
enum Sign {
    None,
    /// One per weight: the bits for plus and for minus.
    Free([u64; 2]),
    Table(SignTable),
}

/// A group of weights: the values to come near to, and what an error of each costs.
#[derive(Clone, Copy, Debug)]
pub struct Group<'g> {
    /// The values.
    pub x: &'g [f32],
    /// Weights of their squared errors.
    pub w: &'g [f32],
}

impl Group<'_> {
    /// `sum w` and `sum w x`.
    pub fn ones(self) -> (f32, f32) {
        self.x.iter().zip(self.w).fold((0.0, 0.0), |(w, x), (value, weight)| (w + weight, x + weight * value))
    }
}

impl Coder {
    /// The coder of a format whose numbers are shared by such runs of weights, or what about it cannot be encoded.
    pub fn new(format: &Format, runs: &Numbers<Option<usize>>) -> Result<Self, &'static str> {
        Self::of_code(format, runs, Code::new(format, &format.pieces[0].code)?)
    }

    /// The coder that leaves out the least code where codes are whole signed integers, so that each has a negative: programs that take
    /// magnitudes of them take that one for something else. `None` where codes are not such.
    pub fn symmetric(format: &Format, runs: &Numbers<Option<usize>>) -> Option<Self> {
        let code = &format.pieces[0].code;
        let Stored::Item { field, .. } = &code.stored else { return None };
        let is_plain = code.levels.is_none() && code.step.is_none() && code.offset.is_none();
        if !is_plain || !matches!(format.storage.element(*field), Element::Signed(_)) {
            return None;
        }
        let mut own = Own::new(&format.storage, code)?;
        own.leave_out_least();
        Self::of_code(format, runs, Code::Levels(Levels::new(own))).ok()
    }

    fn of_code(format: &Format, runs: &Numbers<Option<usize>>, code: Code) -> Result<Self, &'static str> {
        let numbers = format.pieces.iter().map(|piece| &piece.code).chain(&format.sign).chain(&format.zero);
        if numbers.clone().any(|number| number.outer.is_some()) {
            return Err("its codes, signs or zeros have supers");
        }
        let first = &format.pieces[0].code;
        let alike = |number: &Number| {
            (&number.levels, number.step, number.offset, number.codes())
                == (&first.levels, first.step, first.offset, first.codes())
        };
        if !format.pieces.iter().all(|piece| alike(&piece.code)) {
            return Err("its pieces have unlike codes");
        }
        let coder = Self {
            code,
            sign: Sign::new(format)?,
            zeros: zeros(format)?,
            unit: [runs.code, runs.sign, runs.zero].into_iter().flatten().max().unwrap_or(1),
            runs: [runs.code, runs.sign, runs.zero].map(|run| run.unwrap_or(1)),
        };
        let [code, sign, _] = coder.runs;
        let widths = match (&coder.code, &coder.sign) {
            (Code::Grid(grid), Sign::Table(table)) => grid.width == code && table.width == sign,
            (Code::Grid(grid), _) => grid.width == code && sign == 1,
            (Code::Levels(_), Sign::Table(table)) => table.width == sign && code == 1,
            (Code::Levels(_), _) => code == 1 && sign == 1,
        };
        let nested = coder.runs.iter().all(|run| coder.unit.is_multiple_of(*run));
        let ordered = format.zero.is_none() || coder.unit == coder.runs[2];
        match () {
            () if !widths => Err("its codes or signs are shared by weights without a table of vectors"),
            () if !nested || !ordered || coder.unit > MAX_UNIT => Err("its zeros are shared by fewer weights than its codes"),
            () => Ok(coder),
        }
    }

    /// The largest magnitude of a level.
    pub fn most(&self) -> f32 {
        let zeros = || self.zeros.iter().map(|(zero, _)| *zero).chain(self.zeros.is_empty().then_some(0.0));
        zeros().map(|zero| self.ends_under(zero)).fold(0.0, |most, (low, high)| most.max(low.abs()).max(high.abs()))
    }

    /// The least and the greatest level, under the zero in the middle.
    pub fn ends(&self) -> (f32, f32) {
        self.ends_under(self.zeros.get(self.zeros.len() / 2).map_or(0.0, |(zero, _)| *zero))
    }

    fn ends_under(&self, zero: f32) -> (f32, f32) {
        let (low, high) = match &self.code {
            Code::Levels(levels) => levels.own().ends(),
            Code::Grid(grid) => grid.ends(),
        };
        let (low, high) = (low - zero, high - zero);
        let most = low.abs().max(high.abs());
        if matches!(self.sign, Sign::None) { (low, high) } else { (-most, most) }
    }

    /// How many levels a weight can have, about.
    pub fn level_count(&self) -> usize {
        let count = match &self.code {
            Code::Levels(levels) => levels.own().count(),
            Code::Grid(grid) => grid.letters().len(),
        };
        if matches!(self.sign, Sign::None) { count } else { count.saturating_mul(2) }
    }

    /// Whether the negative of every level is a level.
    pub fn is_symmetric(&self) -> bool {
        match (&self.sign, &self.code) {
            (Sign::None, Code::Levels(levels)) => match levels.own() {
                Own::Listed { values, .. } => {
                    // Levels less a zero, turned round, must be levels less another zero; without zeros that is 0.
                    let turned = |value: f32| values[0] + values[values.len() - 1] - value;
                    let is_zero = |value: f32| self.zeros.iter().any(|(zero, _)| *zero == value);
                    let zeros = self.zeros.iter().all(|(zero, _)| is_zero(turned(*zero)));
                    let levels = values.iter().zip(values.iter().rev()).all(|(a, b)| *a == turned(*b));
                    levels && zeros && !(self.zeros.is_empty() && turned(0.0) != 0.0)
                }
                Own::Wide { .. } => true,
            },
            _ => true,
        }
    }

    /// The levels that a weight can have, whatever its neighbours have, ascending; `None` if they cannot be listed.
    pub fn lone_levels(&self) -> Option<Vec<f32>> {
        let codes = match &self.code {
            Code::Grid(grid) => grid.letters(),
            Code::Levels(levels) => match levels.own() {
                Own::Listed { values, .. } => values,
                Own::Wide { .. } => return None,
            },
        };
        let zeros = if self.zeros.is_empty() { vec![0.0] } else { self.zeros.iter().map(|(zero, _)| *zero).collect() };
        let signs: &[f32] = if matches!(self.sign, Sign::None) { &[1.0] } else { &[1.0, -1.0] };
        let both = |level: f32| signs.iter().map(move |sign| sign * level);
        let under = |zero: f32| codes.iter().map(move |code| code - zero).flat_map(both);
        let mut levels = zeros.into_iter().flat_map(under).collect::<Vec<_>>();
        levels.sort_by(f32::total_cmp);
        levels.dedup();
        Some(levels)
    }

    /// Whether a search for codes takes long.
    pub fn is_slow(&self) -> bool {
        matches!(self.code, Code::Grid(_))
    }

    /// The best level of each weight. A thorough search takes longer, and leaves in `picks` what must be stored.
    #[inline(always)]
    pub fn assign(&self, group: Group<'_>, scale: f32, min: f32, levels: &mut [f32], picks: &mut Picks, thorough: bool) {
        let inverse = 1.0 / scale;
        let inverse = if inverse.is_finite() { inverse } else { 0.0 };
        match (&self.code, &self.sign, self.zeros.as_slice()) {
            (Code::Levels(own), Sign::None, []) => {
                own.assign(group.x, inverse, min, levels);
                if thorough {
                    picks.codes.clear();
                    picks.codes.extend(levels.iter().map(|level| own.bits(*level)));
                }
            }
            _ => self.assign_units(group, inverse, min, levels, picks, thorough),
        }
    }
}

impl Code {
    fn new(format: &Format, number: &Number) -> Result<Self, &'static str> {
        match &number.levels {
            Some(levels) if levels.width > 1 => {
                let (step, offset) = (number.step.unwrap_or(1.0), number.offset.unwrap_or(0.0));
                let values = levels.values.iter().map(|level| (f64::from(*level) * step + offset) as f32).collect();
                let grid = Grid::new(&Vectors { values, ..levels.clone() });
                grid.map(Self::Grid).ok_or("its vectors are of an odd length")
            }
            _ => Own::new(&format.storage, number).map(|own| Self::Levels(Levels::new(own))).ok_or("its codes are too wide"),
        }
    }
}

impl Sign {
    fn new(format: &Format) -> Result<Self, &'static str> {
        const WRONG: &str = "its signs are not signs";
        let Some(number) = &format.sign else { return Ok(Self::None) };
        match &number.levels {
            Some(levels) if levels.width > 1 => {
                let (step, offset) = (number.step.unwrap_or(1.0), number.offset.unwrap_or(0.0));
                SignTable::new(levels, step, offset).map(Self::Table).ok_or(WRONG)
            }
            _ => {
                let own = Own::new(&format.storage, number).ok_or(WRONG)?;
                let [plus, minus] = [1.0, -1.0].map(|sign| own.nearest(sign));
                if (plus.value, minus.value) != (1.0, -1.0) {
                    return Err(WRONG);
                }
                Ok(Self::Free([own.bits(plus), own.bits(minus)]))
            }
        }
    }
}

/// The zeros to choose from: values and bits.
fn zeros(format: &Format) -> Result<Vec<(f32, u64)>, &'static str> {
    let Some(number) = &format.zero else { return Ok(Vec::new()) };
    match Own::new(&format.storage, number) {
        Some(Own::Listed { values, bits }) if values.len() <= MAX_ZEROS => Ok(values.into_iter().zip(bits).collect()),
        _ => Err("its zeros are too many to try"),
    }
}
