//! The decision about weights that share a zero, a row of signs or a vector of levels.

use super::super::signs::SignTable;
use super::{Code, Coder, FEW_ZEROS, Group, MAX_UNIT, Picks, Sign};

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
    /// As [`Coder::assign`], for weights that do not each have a code alone.
    pub(super) fn assign_units(
        &self,
        group: Group<'_>,
        inverse: f32,
        min: f32,
        levels: &mut [f32],
        picks: &mut Picks,
        thorough: bool,
    ) {
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
        let plain = matches!((&self.code, &self.sign), (Code::Levels(_), Sign::None));
        let (best, last) = match self.zeros.len() {
            0 => {
                self.assign_signs(unit, 0.0);
                return;
            }
            count if count > FEW_ZEROS && plain && !unit.thorough => self.walk_zeros(unit),
            _ => self.try_zeros(unit),
        };
        let (zero, bits) = self.zeros[best];
        *unit.zero = bits;
        // The last zero that was tried has left its codes.
        if best != last {
            self.assign_signs(unit, zero);
        }
    }

    /// The place of the best of all zeros, and of the last that was tried.
    fn try_zeros(&self, unit: &mut Unit<'_>) -> (usize, usize) {
        let mut best = (0, f32::INFINITY);
        for (place, (zero, _)) in self.zeros.iter().enumerate() {
            let cost = self.assign_signs(unit, *zero);
            if cost < best.1 {
                best = (place, cost);
            }
        }
        (best.0, self.zeros.len() - 1)
    }

    /// The same where zeros shift even levels by whole steps: then only the clipped weights cost more under one zero than under
    /// another, and from the middle of the range it is downhill to the best. Elsewhere it is a good one.
    fn walk_zeros(&self, unit: &mut Unit<'_>) -> (usize, usize) {
        let range = unit.target.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), x| (low.min(*x), high.max(*x)));
        let (low, high) = self.ends_under(0.0);
        let wish = 0.5 * (low + high - range.0 - range.1);
        let mut last = self.zeros.partition_point(|(zero, _)| *zero < wish).min(self.zeros.len() - 1);
        let mut best = (last, self.assign_signs(unit, self.zeros[last].0));
        for up in [true, false] {
            while let Some(next) = if up { Some(best.0 + 1) } else { best.0.checked_sub(1) } {
                let Some((zero, _)) = self.zeros.get(next) else { break };
                let cost = self.assign_signs(unit, *zero);
                last = next;
                if cost >= best.1 {
                    break;
                }
                best = (next, cost);
            }
        }
        (best.0, last)
    }

    /// Decides signs and codes under a given zero. Returns what the errors cost, in levels.
    fn assign_signs(&self, unit: &mut Unit<'_>, zero: f32) -> f32 {
        let mut signed = [0.0; MAX_UNIT];
        let signed = &mut signed[..unit.target.len()];
        match &self.sign {
            Sign::None => {
                signed.iter_mut().zip(unit.target).for_each(|(signed, target)| *signed = target + zero);
                let cost = self.assign_codes(signed, unit.w, unit.codes, unit.levels, unit.thorough);
                unit.levels.iter_mut().for_each(|level| *level -= zero);
                cost
            }
            Sign::Free(bits) => {
                signed.iter_mut().zip(unit.target).for_each(|(signed, target)| *signed = target.abs() + zero);
                let cost = self.assign_codes(signed, unit.w, unit.codes, unit.levels, unit.thorough);
                for ((level, target), sign) in unit.levels.iter_mut().zip(unit.target).zip(&mut *unit.signs) {
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
        signed.iter_mut().zip(part.target).zip(signs).for_each(|((signed, target), sign)| *signed = target * sign + zero);
        let cost = self.assign_codes(signed, part.w, part.codes, part.levels, part.thorough);
        part.levels.iter_mut().zip(signs).for_each(|(level, sign)| *level = (*level - zero) * sign);
        cost
    }

    /// Decides the codes nearest to `target`; `levels` gets their values.
    fn assign_codes(&self, target: &[f32], w: &[f32], codes: &mut [u64], levels: &mut [f32], thorough: bool) -> f32 {
        match &self.code {
            Code::Levels(own) => {
                own.assign(target, 1.0, 0.0, levels);
                if thorough {
                    codes.iter_mut().zip(&*levels).for_each(|(code, level)| *code = own.bits(*level));
                }
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
