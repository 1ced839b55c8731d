//! The best codes of a group of weights under a given scale and min.

use quantloom_spec::model::{Format, Levels as Vectors, Number};

use super::grid::Grid;
use super::layout::Slots;
use super::levels::Levels;
use super::own::Own;
use super::signs::SignTable;

/// Most weights that are decided together.
const MAX_UNIT: usize = 256;

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

/// Weights that are decided together, and where the decision goes.
struct Unit<'u> {
    /// The levels to come near to.
    target: &'u [f32],
    w: &'u [f32],
    thorough: bool,
    levels: &'u mut [f32],
    codes: &'u mut [u64],
    signs: &'u mut [u64],
    zero: &'u mut u64,
}

impl Picks {
    /// Makes room for `weights` weights whose codes, signs and zeros have these runs.
    fn resize(&mut self, weights: usize, [code, sign, zero]: [usize; 3]) {
        self.codes.resize(weights / code, 0);
        self.signs.resize(weights / sign, 0);
        self.zeros.resize(weights / zero, 0);
    }
}

impl Coder {
    /// The coder of a format whose numbers lie as the slots say, or what about it cannot be encoded.
    pub fn new(format: &Format, code: &Slots, sign: Option<&Slots>, zero: Option<&Slots>) -> Result<Self, &'static str> {
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
            code: Code::new(format, first)?,
            sign: Sign::new(format)?,
            zeros: zeros(format)?,
            unit: [Some(code), sign, zero].iter().flatten().map(|slots| slots.run).max().unwrap_or(1),
            runs: [code.run, sign.map_or(1, |slots| slots.run), zero.map_or(1, |slots| slots.run)],
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

    /// The least and the greatest level.
    pub fn ends(&self) -> (f32, f32) {
        let (low, high) = match &self.code {
            Code::Levels(levels) => levels.own().ends(),
            Code::Grid(grid) => grid.ends(),
        };
        let zero = |pick: fn(f32, f32) -> f32| self.zeros.iter().map(|(zero, _)| *zero).reduce(pick).unwrap_or(0.0);
        let (low, high) = (low - zero(f32::max), high - zero(f32::min));
        let most = low.abs().max(high.abs());
        if matches!(self.sign, Sign::None) { (low, high) } else { (-most, most) }
    }

    /// How many levels a weight can have, about.
    pub fn level_count(&self) -> usize {
        let count = match &self.code {
            Code::Levels(levels) => levels.own().count(),
            Code::Grid(grid) => grid.letters(),
        };
        if matches!(self.sign, Sign::None) { count } else { count.saturating_mul(2) }
    }

    /// Whether the negative of every level is a level.
    pub fn is_symmetric(&self) -> bool {
        match (&self.sign, &self.code) {
            (Sign::None, Code::Levels(levels)) => match levels.own() {
                Own::Listed { values, .. } => values.iter().zip(values.iter().rev()).all(|(a, b)| *a == -*b),
                Own::Wide { .. } => true,
            },
            _ => true,
        }
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

    fn assign_units(&self, group: Group<'_>, inverse: f32, min: f32, levels: &mut [f32], picks: &mut Picks, thorough: bool) {
        let mut buffer = [0.0; MAX_UNIT];
        let target = &mut buffer[..self.unit];
        picks.resize(group.x.len(), self.runs);
        let [codes, signs, zeros] = self.runs.map(|run| self.unit / run);
        for (unit, (x, w)) in group.x.chunks_exact(self.unit).zip(group.w.chunks_exact(self.unit)).enumerate() {
            target.iter_mut().zip(x).for_each(|(target, x)| *target = (x - min) * inverse);
            let mut unit = Unit {
                target,
                w,
                thorough,
                levels: &mut levels[unit * self.unit..][..self.unit],
                codes: &mut picks.codes[unit * codes..][..codes],
                signs: &mut picks.signs[unit * signs..][..signs],
                zero: &mut picks.zeros[unit * zeros],
            };
            self.assign_unit(&mut unit);
        }
    }

    /// Decides the zero of a unit, and with it all else.
    fn assign_unit(&self, unit: &mut Unit<'_>) {
        let mut best = (0, f32::INFINITY);
        for (place, (zero, _)) in self.zeros.iter().enumerate() {
            let cost = self.assign_signs(unit, *zero);
            if cost < best.1 {
                best = (place, cost);
            }
        }
        match self.zeros.get(best.0) {
            None => {
                self.assign_signs(unit, 0.0);
            }
            Some((zero, bits)) => {
                *unit.zero = *bits;
                // The last zero that was tried has left its codes.
                if best.0 + 1 != self.zeros.len() {
                    self.assign_signs(unit, *zero);
                }
            }
        }
    }

    /// Decides signs and codes under a given zero. Returns what the errors cost, in levels.
    fn assign_signs(&self, unit: &mut Unit<'_>, zero: f32) -> f32 {
        let mut signed = [0.0; MAX_UNIT];
        let signed = &mut signed[..unit.target.len()];
        match &self.sign {
            Sign::None => {
                signed.iter_mut().zip(&*unit.target).for_each(|(signed, target)| *signed = target + zero);
                let cost = self.assign_codes(signed, unit.w, unit.codes, unit.levels, unit.thorough);
                unit.levels.iter_mut().for_each(|level| *level -= zero);
                cost
            }
            Sign::Free(bits) => {
                signed.iter_mut().zip(&*unit.target).for_each(|(signed, target)| *signed = target.abs() + zero);
                let cost = self.assign_codes(signed, unit.w, unit.codes, unit.levels, unit.thorough);
                for ((level, target), sign) in unit.levels.iter_mut().zip(&*unit.target).zip(&mut *unit.signs) {
                    let negative = *target < 0.0;
                    *sign = bits[usize::from(negative)];
                    *level = if negative { -(*level - zero) } else { *level - zero };
                }
                cost
            }
            Sign::Table(table) => {
                let mut cost = 0.0;
                let codes = table.width / self.runs[0];
                for (span, sign) in unit.signs.iter_mut().enumerate() {
                    let range = span * table.width..(span + 1) * table.width;
                    let mut part = Unit {
                        target: &unit.target[range.clone()],
                        w: &unit.w[range.clone()],
                        thorough: unit.thorough,
                        levels: &mut unit.levels[range],
                        codes: &mut unit.codes[span * codes..][..codes],
                        signs: std::slice::from_mut(sign),
                        zero: &mut 0,
                    };
                    cost += self.assign_row(&mut part, table, zero);
                }
                cost
            }
        }
    }

    /// Decides one row of signs and the codes under it.
    fn assign_row(&self, part: &mut Unit<'_>, table: &SignTable, zero: f32) -> f32 {
        let cheapest = [table.cheapest(part.target, part.w)];
        let rows = if part.thorough { table.candidates(part.target) } else { &cheapest };
        let mut best = (rows[0], f32::INFINITY);
        for &row in rows {
            let cost = self.assign_under(part, table.row(row), zero);
            if cost < best.1 {
                best = (row, cost);
            }
        }
        if rows.last() != Some(&best.0) {
            self.assign_under(part, table.row(best.0), zero);
        }
        part.signs[0] = u64::from(best.0);
        best.1
    }

    /// Decides codes under given signs.
    fn assign_under(&self, part: &mut Unit<'_>, signs: &[f32], zero: f32) -> f32 {
        let mut signed = [0.0; MAX_UNIT];
        let signed = &mut signed[..part.target.len()];
        signed.iter_mut().zip(&*part.target).zip(signs).for_each(|((signed, target), sign)| *signed = target * sign + zero);
        let cost = self.assign_codes(signed, part.w, part.codes, part.levels, part.thorough);
        part.levels.iter_mut().zip(signs).for_each(|(level, sign)| *level = (*level - zero) * sign);
        cost
    }

    /// Decides the codes nearest to `target`; `levels` gets their values.
    fn assign_codes(&self, target: &[f32], w: &[f32], codes: &mut [u64], levels: &mut [f32], thorough: bool) -> f32 {
        match &self.code {
            Code::Levels(own) => {
                own.assign(target, 1.0, 0.0, levels);
                codes.iter_mut().zip(&*levels).for_each(|(code, level)| *code = own.bits(*level));
                let apart = levels.iter().zip(target).zip(w);
                apart.map(|((level, target), w)| w * (level - target) * (level - target)).sum()
            }
            Code::Grid(grid) => {
                let mut cost = 0.0;
                let vectors = target.chunks_exact(grid.width).zip(w.chunks_exact(grid.width));
                for ((target, w), (code, levels)) in vectors.zip(codes.iter_mut().zip(levels.chunks_exact_mut(grid.width))) {
                    let (row, distance) = grid.nearest(target, w, thorough);
                    *code = u64::from(row);
                    levels.copy_from_slice(grid.row(row));
                    cost += distance;
                }
                cost
            }
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
