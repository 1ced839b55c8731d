//! Products of packed weights: held against each other, and against what they should be.

use quantloom::matmul::{Request, matmul};
use quantloom::pool::Pool;
use quantloom::registry::{self, Format, Kernel, Numerics, kernels};
use quantloom::weights::Weights;

/// The numerics classes that a format has kernels for.
pub fn numerics_of(format: &Format) -> impl Iterator<Item = Numerics> {
    let has = |numerics| registry::kernels(format).iter().any(move |kernel| kernel.numerics == numerics);
    Numerics::ALL.into_iter().filter(move |&numerics| has(numerics))
}

/// The squared error, relative to the squares of what was wanted.
pub fn nmse(found: &[f32], wanted: &[f32]) -> f64 {
    let error: f64 = found.iter().zip(wanted).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
    error / wanted.iter().map(|b| f64::from(*b).powi(2)).sum::<f64>()
}

/// Numbers that repeat from run to run.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as u32
    }

    /// A number between -1 and 1.
    pub fn unit(&mut self) -> f32 {
        self.next() as f32 / (1_u64 << 30) as f32 - 1.0
    }
}

/// The bits of each value.
pub fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// The largest batch that is compared.
const BATCH: usize = 256;

/// Every kernel, batch size and thread count gives the bits of the scalar kernel, one row at a time.
pub fn every_kernel_agrees(what: &str, weights: &Weights, pool: &Pool) {
    let (n, k) = (weights.n(), weights.k());
    let mut random = Random(7);
    let mut x = (0..BATCH * k).map(|_| random.unit()).collect::<Vec<_>>();
    adversarial(&mut x, k);
    for numerics in numerics_of(weights.format()) {
        let scalar = registry::isas()[0];
        let one = Request::default().numerics(numerics).isa(scalar).threads(1);
        let mut wanted = vec![0.0; BATCH * n];
        for (x, y) in x.chunks(k).zip(wanted.chunks_mut(n)) {
            matmul(weights, x, 1, y, &one, pool).unwrap();
        }
        let here = |kernel: &&Kernel| kernel.numerics == numerics && kernel.isa().is_available();
        for kernel in kernels(weights.format()).iter().filter(here) {
            for batch in [1, 2, 3, 4, 5, 6, 7, 8, 9, 31, 32, 33, BATCH] {
                for threads in [1, 2] {
                    let request = Request::default().launch(kernel).threads(threads);
                    let mut y = vec![f32::NAN; batch * n];
                    matmul(weights, &x[..batch * k], batch, &mut y, &request, pool).unwrap();
                    let same = bits(&y) == bits(&wanted[..batch * n]);
                    assert!(same, "{what}: {} n {n} k {k} batch {batch} threads {threads}", kernel.name);
                }
            }
        }
    }
}

/// Rows that are zero, tiny, huge or all at the limit of the quantised range.
fn adversarial(x: &mut [f32], k: usize) {
    let patterns: [&dyn Fn(usize) -> f32; 6] = [
        &|_| 0.0,
        &|_| 1e-42,
        &|index| if index % 2 == 0 { 1.0 } else { -1.0 },
        &|index| if index == 3 { 1e30 } else { 1e-30 },
        &|_| -1.0,
        &|index| if index % 32 < 16 { 0.0 } else { 3.0 },
    ];
    for (row, pattern) in x.chunks_mut(k).zip(patterns) {
        row.iter_mut().enumerate().for_each(|(index, value)| *value = pattern(index));
    }
}
