//! Ours, as a program has it: the kernel that dispatch chooses.

use quantloom::matmul::{Request, Used, matmul};
use quantloom::measure::{Work, copies};
use quantloom::pool::Pool;
use quantloom::registry::{self, Format, Numerics};
use quantloom::weights::Weights;
use quantloom_bench::record::OURS;

use crate::contender::{Contender, Result, Task};

/// Packed weights in copies, and room for a batch.
pub struct Ours<'a> {
    pool: &'a Pool,
    weights: Vec<Weights>,
    /// Of `weights`, how many take turns.
    turns: usize,
    batch: usize,
    x: Vec<f32>,
    y: Vec<f32>,
    used: Option<Used>,
}

impl<'a> Ours<'a> {
    pub fn new(format: &'static Format, task: &Task<'_>, pool: &'a Pool) -> Result<Self> {
        let mut weights = vec![Weights::pack(format, task.shape.n, task.shape.k, task.stored, pool)?];
        while weights.len() < copies(weights[0].packed_bytes(), task.least_batch) {
            weights.push(weights[0].duplicate()?);
        }
        Ok(Self { pool, weights, turns: 1, batch: 0, x: Vec::new(), y: Vec::new(), used: None })
    }

    /// What a batch moves and computes.
    pub fn work(&self, batch: usize) -> Work {
        Work::of(&self.weights[0], batch)
    }

    /// The class of results.
    pub fn numerics(&self) -> Numerics {
        registry::default_numerics(self.weights[0].format())
    }
}

impl Contender for Ours<'_> {
    fn name(&self) -> &str {
        OURS
    }

    fn prepare(&mut self, x: &[f32], batch: usize) -> Result<()> {
        self.turns = copies(self.weights[0].packed_bytes(), batch).min(self.weights.len());
        self.batch = batch;
        self.x = x.to_vec();
        self.y = vec![0.0; batch * self.weights[0].n()];
        Ok(())
    }

    fn multiply(&mut self, call: usize) -> Result<()> {
        let weights = &self.weights[call % self.turns];
        self.used = Some(matmul(weights, &self.x, self.batch, &mut self.y, &Request::default(), self.pool)?);
        Ok(())
    }

    fn output(&self) -> Result<Vec<f32>> {
        Ok(self.y.clone())
    }

    fn kernel(&self) -> Option<String> {
        self.used.map(|used| format!("{} ({})", used.launch, used.source))
    }
}
