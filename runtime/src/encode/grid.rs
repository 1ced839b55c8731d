//! The nearest of the vectors of a table.

use std::sync::OnceLock;

use quantloom_spec::model::Levels;

use super::wide::{LANES, Loops, widest};

/// Vectors near a point that a quick search looks at.
const NEAR: usize = 32;

/// Most points for which the near vectors are remembered.
const MAX_POINTS: usize = 1 << 16;

/// A table of vectors, made for finding the nearest.
///
/// A *point* is a combination of letters, one per lane. The point nearest to a target is found lane by lane; if it is a vector
/// of the table, it is the nearest. Otherwise one of the vectors near the point nearly always is.
#[derive(Debug)]
pub struct Grid {
    /// Length of a vector.
    pub width: usize,
    /// The distinct values in the table, ascending.
    letters: Vec<f32>,
    /// The vectors, each padded with zeros to `stride` lanes.
    rows: Vec<f32>,
    stride: usize,
    /// The vectors near each point, nearest first; empty if there are too many points.
    near: Vec<OnceLock<Vec<u32>>>,
}

impl Grid {
    /// The vectors of a table; `None` if their width is neither at most nor a multiple of [`LANES`].
    pub fn new(levels: &Levels) -> Option<Self> {
        let width = levels.width;
        if width > LANES && !width.is_multiple_of(LANES) {
            return None;
        }
        let mut letters = levels.values.clone();
        letters.sort_by(f32::total_cmp);
        letters.dedup();
        let stride = width.next_multiple_of(LANES);
        let mut rows = Vec::with_capacity(levels.values.len() / width * stride);
        for row in levels.values.chunks(width) {
            rows.extend_from_slice(row);
            rows.resize(rows.len() + stride - width, 0.0);
        }
        let points = letters.len().checked_pow(u32::try_from(width).ok()?).filter(|points| *points <= MAX_POINTS);
        let near = (0..points.unwrap_or(0)).map(|_| OnceLock::new()).collect();
        Some(Self { width, letters, rows, stride, near })
    }

    /// The least and the greatest letter.
    pub fn ends(&self) -> (f32, f32) {
        (self.letters[0], self.letters[self.letters.len() - 1])
    }

    /// The distinct values in the table, ascending.
    pub fn letters(&self) -> &[f32] {
        &self.letters
    }

    /// Vector `row`.
    pub fn row(&self, row: u32) -> &[f32] {
        &self.rows[row as usize * self.stride..][..self.width]
    }

    /// The vector nearest to `target` under the weights `w`, and its weighted squared distance. A thorough search looks at all
    /// vectors, another one only at those near the nearest point.
    pub fn nearest(&self, target: &[f32], w: &[f32], thorough: bool) -> (u32, f32) {
        let mut padded = [[0.0; LANES]; 2];
        let [target, w] = if self.width == self.stride {
            [target, w]
        } else {
            padded[0][..self.width].copy_from_slice(target);
            padded[1][..self.width].copy_from_slice(w);
            [&padded[0][..], &padded[1][..]]
        };
        let all = 0..(self.rows.len() / self.stride) as u32;
        if self.near.is_empty() {
            return self.best(all, target, w);
        }
        let point = self.point(&target[..self.width]);
        let near = self.near[point].get_or_init(|| self.near(point));
        if self.is_at(near[0], point) {
            (near[0], self.distance(near[0], target, w))
        } else if thorough {
            self.best(all, target, w)
        } else {
            self.best(near.iter().copied(), target, w)
        }
    }

    fn best(&self, rows: impl Iterator<Item = u32>, target: &[f32], w: &[f32]) -> (u32, f32) {
        widest(Nearest { grid: self, rows, target, w })
    }

    #[inline(always)]
    fn distance(&self, row: u32, target: &[f32], w: &[f32]) -> f32 {
        let row = &self.rows[row as usize * self.stride..][..self.stride];
        let mut sums = [0.0; LANES];
        let (rows, targets, ws) = (row.as_chunks::<LANES>().0, target.as_chunks::<LANES>().0, w.as_chunks::<LANES>().0);
        for ((row, target), w) in rows.iter().zip(targets).zip(ws) {
            for lane in 0..LANES {
                let apart = row[lane] - target[lane];
                sums[lane] += w[lane] * apart * apart;
            }
        }
        let half: [f32; 4] = std::array::from_fn(|lane| sums[lane] + sums[lane + 4]);
        (half[0] + half[2]) + (half[1] + half[3])
    }

    /// The number of the point nearest to `target`, its letters being digits.
    fn point(&self, target: &[f32]) -> usize {
        let digit = |target: f32| self.letters.windows(2).filter(|pair| target > 0.5 * (pair[0] + pair[1])).count();
        target.iter().fold(0, |point, target| point * self.letters.len() + digit(*target))
    }

    /// The letters of a point.
    fn letters_of(&self, mut point: usize) -> Vec<f32> {
        let mut letters = vec![0.0; self.stride];
        for letter in letters[..self.width].iter_mut().rev() {
            *letter = self.letters[point % self.letters.len()];
            point /= self.letters.len();
        }
        letters
    }

    fn is_at(&self, row: u32, point: usize) -> bool {
        self.row(row)
            .iter()
            .rev()
            .try_fold(point, |point, letter| {
                (self.letters[point % self.letters.len()] == *letter).then_some(point / self.letters.len())
            })
            .is_some()
    }

    /// The vectors near a point.
    fn near(&self, point: usize) -> Vec<u32> {
        let (at, w) = (self.letters_of(point), vec![1.0; self.stride]);
        let rows = 0..(self.rows.len() / self.stride) as u32;
        let mut near = rows.map(|row| (self.distance(row, &at, &w), row)).collect::<Vec<_>>();
        let order = |a: &(f32, u32), b: &(f32, u32)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1));
        if near.len() > NEAR {
            near.select_nth_unstable_by(NEAR, order);
            near.truncate(NEAR);
        }
        near.sort_unstable_by(order);
        near.into_iter().map(|(_, row)| row).collect()
    }
}

/// Looking for the row nearest to a target.
struct Nearest<'n, R> {
    grid: &'n Grid,
    rows: R,
    target: &'n [f32],
    w: &'n [f32],
}

impl<R: Iterator<Item = u32>> Loops for Nearest<'_, R> {
    type Result = (u32, f32);

    #[inline(always)]
    fn run(self) -> (u32, f32) {
        let mut best = (0, f32::INFINITY);
        for row in self.rows {
            let distance = self.grid.distance(row, self.target, self.w);
            if distance < best.1 {
                best = (row, distance);
            }
        }
        best
    }
}
