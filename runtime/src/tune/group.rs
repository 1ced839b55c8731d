//! Problems that share everything but their batch size: matrices of one format and shape, one class, one instruction set.

use std::mem;
use std::time::Duration;

use super::bench::Bench;
use super::deadline::Deadline;
use super::turn::Turn;
use super::{Bucket, Choices, Effort, Key, Outcome, Status};
use crate::error::Result;
use crate::matmul::{self, Launch, Request, candidates};
use crate::pool::Pool;
use crate::registry::{Isa, Kernel};
use crate::weights::Weights;

/// Matrices, the batch sizes that they are multiplied by, and the kernels that can do it.
#[derive(Debug)]
pub struct Group<'a> {
    matrices: Vec<&'a Weights>,
    /// Rows of the problem: more than the matrices have, where those are samples.
    n: usize,
    /// One of each bucket.
    batches: Vec<usize>,
    candidates: Vec<&'static Kernel>,
    request: Request,
    isa: &'static Isa,
    effort: Effort,
    pool: &'a Pool,
    /// Made when first needed: not for problems that are known.
    bench: Option<Bench<'a>>,
}

impl<'a> Group<'a> {
    /// The group of one matrix.
    ///
    /// # Errors
    /// As [`candidates`].
    pub fn new(matrix: &'a Weights, batches: &[usize], request: &Request, pool: &'a Pool) -> Result<Self> {
        let isa = request.isa_of(matrix.format());
        let candidates = candidates(matrix, request.numerics_of(matrix.format()), isa)?;
        let (matrices, n, request) = (vec![matrix], matrix.n(), *request);
        let mut group =
            Self { matrices, n, batches: Vec::new(), candidates, request, isa, effort: Effort::Full, pool, bench: None };
        group.add_batches(batches);
        Ok(group)
    }

    /// The same group, of problems with `n` rows of which the matrix is a sample.
    #[must_use]
    pub fn with_rows(self, n: usize) -> Self {
        Self { n, ..self }
    }

    /// The same group, measured as thoroughly as that.
    #[must_use]
    pub fn with_effort(self, effort: Effort) -> Self {
        Self { effort, ..self }
    }

    /// Adds the batch sizes whose bucket is not there yet.
    fn add_batches(&mut self, batches: &[usize]) {
        for &batch in batches {
            if self.batches.iter().all(|&known| self.bucket(known) != self.bucket(batch)) {
                self.batches.push(batch);
            }
        }
    }

    fn bucket(&self, batch: usize) -> Bucket {
        let first = self.candidates[0];
        Bucket::of(batch, matmul::changes(first.isa(), first.numerics, self.candidates.iter().copied()))
    }

    /// Takes in the matrices and batch sizes of a group about the same problems, batch sizes apart: with the same key for each.
    pub fn absorb(&mut self, other: &Self) {
        self.matrices.extend(&other.matrices);
        self.add_batches(&other.batches);
    }

    /// The batch sizes, one of each bucket.
    pub fn batches(&self) -> &[usize] {
        &self.batches
    }

    /// Bytes of the weights, packed.
    pub fn bytes(&self) -> usize {
        self.matrices.iter().map(|matrix| matrix.held_bytes()).sum()
    }

    /// What is known of a batch size, if anything.
    pub fn known(&self, batch: usize, choices: &Choices) -> Option<Outcome> {
        let (_, source) = choices.measured(&self.key(batch), self.effort)?;
        Some(self.unmeasured(batch, choices, Status::Known(source)))
    }

    /// The outcome for a batch size that is not measured: what is known, or else `status` and the default.
    pub fn unmeasured(&self, batch: usize, choices: &Choices, status: Status) -> Outcome {
        let key = self.key(batch);
        let default = self.default(batch, choices);
        let known = choices.find(&key);
        let (launch, status) = known.map_or((default, status), |(launch, source)| (launch, Status::Known(source)));
        Outcome { quarantined: self.quarantined(choices), ..Outcome::unmeasured(key, launch, default, status) }
    }

    /// Measures a batch size and records the choice, if there is time.
    ///
    /// # Errors
    /// As [`Bench::new`].
    pub fn tune(&mut self, batch: usize, turn: &Turn<'_>, deadline: Deadline) -> Result<Outcome> {
        let choices = turn.choices();
        let key = self.key(batch);
        let empty = self.matrices[0].n() == 0 || self.matrices[0].k() == 0 || batch == 0;
        if !empty && deadline.allows(Duration::ZERO) {
            if self.bench.is_none() {
                self.bench = Some(Bench::new(&self.candidates, &self.matrices, self.pool, turn)?);
            }
            if let Some(bench) = &mut self.bench
                && let Some(outcome) = bench.measure(&key, batch, self.effort, choices, deadline)?
            {
                return Ok(Outcome { quarantined: self.quarantined(choices), ..outcome });
            }
        }
        Ok(self.unmeasured(batch, choices, Status::Untuned))
    }

    /// Measures a batch size again if the machine was too restless before and there is time.
    ///
    /// # Errors
    /// As [`Group::tune`].
    pub fn settle(&mut self, batch: usize, outcome: &mut Outcome, turn: &Turn<'_>, deadline: Deadline) -> Result<()> {
        if outcome.status == Status::Unsteady {
            let again = self.tune(batch, turn, deadline)?;
            if !again.timings.is_empty() {
                *outcome = Outcome { warnings: mem::take(&mut outcome.warnings), ..again };
            }
        }
        Ok(())
    }

    /// Gives back the memory that measuring took.
    pub fn rest(&mut self) {
        self.bench = None;
    }

    /// What is known of a batch size is kept under this.
    pub fn key(&self, batch: usize) -> Key {
        let (numerics, threads) = (self.candidates[0].numerics, self.request.threads_of(self.pool));
        Key { n: self.n, ..Key::new(self.matrices[0], batch, numerics, self.isa, threads) }
    }

    /// The card's default among those that may run; of all, if none may.
    fn default(&self, batch: usize, choices: &Choices) -> Launch {
        let healthy = choices.variants().healthy(&self.candidates);
        matmul::default(if healthy.is_empty() { &self.candidates } else { &healthy }, batch)
    }

    fn quarantined(&self, choices: &Choices) -> Vec<&'static Kernel> {
        let quarantined = |kernel: &&'static Kernel| choices.variants().is_quarantined(kernel);
        self.candidates.iter().copied().filter(quarantined).collect()
    }
}
