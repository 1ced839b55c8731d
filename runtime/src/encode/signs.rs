//! Signs that weights do not have each for itself: rows of a table.

use quantloom_spec::model::Levels;

/// Longest rows: all patterns of signs are listed.
const MAX_WIDTH: usize = 8;

/// A table of rows of signs, with the rows that come nearest to each pattern of signs.
#[derive(Debug)]
pub struct SignTable {
    /// Length of a row.
    pub width: usize,
    rows: Vec<f32>,
    /// By pattern (bit i is set where weight i is negative): the rows that differ from it in the fewest places.
    nearest: Vec<Vec<u32>>,
}

impl SignTable {
    /// `values` times `step` plus `offset` must be signs; `None` if they are not, or too many.
    pub fn new(levels: &Levels, step: f64, offset: f64) -> Option<Self> {
        let width = levels.width;
        let rows = levels.values.iter().map(|level| (f64::from(*level) * step + offset) as f32).collect::<Vec<_>>();
        if width > MAX_WIDTH || rows.iter().any(|sign| sign.abs() != 1.0) {
            return None;
        }
        let patterns = rows.chunks(width).map(pattern).collect::<Vec<_>>();
        let nearest = (0..1_usize << width).map(|wanted| {
            let apart = |row: usize| (patterns[row] ^ wanted).count_ones();
            let least = (0..patterns.len()).map(apart).min().unwrap_or(0);
            (0..patterns.len()).filter(|row| apart(*row) == least).map(|row| row as u32).collect()
        });
        Some(Self { nearest: nearest.collect(), width, rows })
    }

    /// Row `row`.
    pub fn row(&self, row: u32) -> &[f32] {
        &self.rows[row as usize * self.width..][..self.width]
    }

    /// The rows that differ from the signs of `target` in the fewest places.
    pub fn candidates(&self, target: &[f32]) -> &[u32] {
        &self.nearest[pattern(target)]
    }

    /// Of the candidates the row whose wrong signs cost least.
    pub fn cheapest(&self, target: &[f32], w: &[f32]) -> u32 {
        let candidates = self.candidates(target);
        let cost = |row: u32| -> f32 {
            let places = self.row(row).iter().zip(target).zip(w);
            places.map(|((sign, target), w)| if sign * target < 0.0 { w * target.abs() } else { 0.0 }).sum()
        };
        let mut best = (candidates[0], f32::INFINITY);
        for &row in candidates.iter().filter(|_| candidates.len() > 1) {
            let cost = cost(row);
            if cost < best.1 {
                best = (row, cost);
            }
        }
        best.0
    }
}

fn pattern(signs: &[f32]) -> usize {
    signs.iter().enumerate().fold(0, |pattern, (place, sign)| pattern | usize::from(*sign < 0.0) << place)
}
