//! What the instructions of a kernel leave of the arithmetic ceiling: those that are no products take their time too.

use quantloom_kernels::abi::{Kernel, Kind, Operations, Pipes};

use crate::machine::Caches;
use crate::matmul::Problem;
use crate::matmul::blocking::Work;

/// The part of the arithmetic ceiling, above 0 and at most 1, that a kernel's instructions leave of it on a processor with such pipes, if
/// nothing is waited for: the cycles that its products alone would take, over those that all of its instructions take, each bound of the
/// processor by itself. `None` if the processor says nothing of products in vectors as wide as the kernel's, or nothing is multiplied.
#[must_use]
pub fn share(kernel: &Kernel, problem: &Problem, caches: &Caches, pipes: &[Pipes]) -> Option<f64> {
    let Problem { n, k, batch, threads } = *problem;
    if n == 0 || k == 0 || batch == 0 {
        return None;
    }
    let work = Work::new(kernel, n, k, batch.div_ceil(kernel.cols), threads.max(1));
    let blocks = work.groups.div_ceil(work.blocking(caches).groups_a_block);
    let tile = Tile { units: k.div_ceil(kernel.counts.weights), segments: work.segments, groups: work.groups, blocks };
    let pipes = pipes.iter().filter(|pipes| pipes.vector_bits == kernel.isa().vector_bits).collect::<Vec<_>>();
    let products = cycles(&pipes, |kind| if kind == Kind::Products { tile.instructions(kernel, kind) } else { 0.0 });
    let all = cycles(&pipes, |kind| tile.instructions(kernel, kind));
    (products > 0.0).then(|| products / all)
}

/// How often the parts of a kernel are done for one of its tiles.
struct Tile {
    units: usize,
    segments: usize,
    groups: usize,
    /// Blocks of column groups, each of which unpacks the tile once.
    blocks: usize,
}

impl Tile {
    /// Instructions of a kind.
    fn instructions(&self, kernel: &Kernel, kind: Kind) -> f64 {
        let [units, segments, groups, blocks] = [self.units, self.segments, self.groups, self.blocks].map(|count| count as f64);
        let [unit, unpacking, sums] =
            [kernel.counts.unit, kernel.counts.unpacking, kernel.counts.sums].map(|counts: Operations| counts.of(kind) as f64);
        units * (groups * unit + blocks * unpacking) + segments * groups * sums
    }
}

/// The cycles that so many instructions take at least: the longest that any of the bounds says.
fn cycles(pipes: &[&Pipes], instructions: impl Fn(Kind) -> f64) -> f64 {
    let bound = |pipes: &&Pipes| pipes.of.iter().map(|&kind| instructions(kind)).sum::<f64>() / pipes.a_cycle;
    pipes.iter().map(bound).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Schedule;
    use crate::tune::fake;

    const CACHES: Caches = Caches { l1d: 32 << 10, l2: 1 << 20, l3: 0, l3_sharers: 1 };
    const NONE: Operations = Operations::NONE;

    /// A kernel of tiles of so many columns, with such counts.
    fn kernel(schedule: Schedule, cols: usize, unit: Operations, unpacking: Operations, sums: Operations) -> Kernel {
        let any = fake::kernel(&fake::weights(1, 1), "any");
        let counts = quantloom_kernels::abi::Counts { weights: 64, unit, unpacking, sums, ..any.counts };
        Kernel { schedule, cols, counts, ..any }
    }

    fn pipes(kernel: &Kernel, of: &'static [Kind], a_cycle: f64) -> Pipes {
        Pipes { vector_bits: kernel.isa().vector_bits, of, a_cycle }
    }

    fn problem(k: usize, batch: usize) -> Problem {
        Problem { n: 256, k, batch, threads: 1 }
    }

    #[test]
    fn the_tightest_bound_counts() {
        let unit = Operations { products: 10, floats: 2, integers: 8, loads: 6, ..NONE };
        let kernel = kernel(Schedule::Direct, 1, unit, NONE, NONE);
        let multiply = pipes(&kernel, &[Kind::Products, Kind::Floats], 2.0);
        let all = pipes(&kernel, &[Kind::Products, Kind::Floats, Kind::Integers, Kind::Converts], 2.5);
        let load = pipes(&kernel, &[Kind::Loads, Kind::Broadcasts], 0.5);
        let of = |pipes: &[Pipes]| share(&kernel, &problem(640, 1), &CACHES, pipes).unwrap();
        assert_eq!(of(&[multiply]), 10.0 / 12.0);
        // 5 cycles of products alone, 8 of all arithmetic, 12 of loads.
        assert_eq!(of(&[multiply, all]), 5.0 / 8.0);
        assert_eq!(of(&[multiply, all, load]), 5.0 / 12.0);
        assert_eq!(of(&[pipes(&kernel, &[Kind::Products], 0.1), load]), 1.0, "products take longest");
    }

    #[test]
    fn unpacking_is_shared_by_the_column_groups_of_a_block_and_sums_by_the_units_of_a_segment() {
        let (unit, unpacking, sums) =
            (Operations { products: 10, ..NONE }, Operations { integers: 40, ..NONE }, Operations { floats: 16, ..NONE });
        let of = |k, batch, kernel: &Kernel| {
            let bound = pipes(kernel, &[Kind::Products, Kind::Floats, Kind::Integers], 1.0);
            share(kernel, &problem(k, batch), &CACHES, &[bound]).unwrap()
        };
        let panel = kernel(Schedule::Panel, 4, unit, unpacking, NONE);
        assert_eq!(of(512, 4, &panel), 10.0 / 50.0);
        assert_eq!(of(512, 16, &panel), 10.0 / 20.0);
        // A segment is 8 units of 64 weights.
        let summing = kernel(Schedule::Direct, 1, unit, NONE, sums);
        assert_eq!(of(512, 1, &summing), 10.0 / 12.0);
        assert_eq!(of(1024, 5, &summing), 10.0 / 12.0);
        assert_eq!(of(64, 1, &summing), 10.0 / 26.0);
        let blocks = of(512, 1 << 20, &panel);
        assert!(blocks > 0.9 && blocks < 1.0, "each block unpacks again: {blocks}");
    }

    #[test]
    fn what_no_card_says_is_not_made_up() {
        let kernel = kernel(Schedule::Direct, 1, Operations { products: 1, ..NONE }, NONE, NONE);
        let known = pipes(&kernel, &[Kind::Products], 1.0);
        let of = |problem: &Problem, pipes: &[Pipes]| share(&kernel, problem, &CACHES, pipes);
        assert_eq!(of(&problem(64, 1), &[known]), Some(1.0));
        assert_eq!(of(&problem(64, 1), &[]), None);
        assert_eq!(of(&problem(64, 1), &[Pipes { vector_bits: 1 << 12, ..known }]), None);
        assert_eq!(of(&problem(64, 1), &[pipes(&kernel, &[Kind::Loads], 1.0)]), None);
        assert_eq!(
            [problem(0, 1), problem(64, 0), Problem { n: 0, ..problem(64, 1) }].map(|problem| of(&problem, &[known])),
            [None; 3]
        );
    }
}
