//! Ours: keys and values in pages of f16.

use quantloom::attention::{self, KvCache, KvType, Preparation};
use quantloom::pool::Pool;
use quantloom_bench::record::OURS;

use super::Task;
use crate::contender::{Contender, Result};

/// A cache of all positions, and room for queries.
pub struct Ours<'a> {
    pool: &'a Pool,
    cache: KvCache,
    queries: Vec<f32>,
    out: Vec<f32>,
    /// The position of the first query.
    first: usize,
}

impl<'a> Ours<'a> {
    pub fn new(task: &Task, pool: &'a Pool) -> Result<Self> {
        let mut cache = KvCache::new(task.heads, KvType::F16, KvType::F16)?;
        // What positions asked when they were appended is of no interest here.
        let mut unused = vec![0.0; task.positions() * task.heads.query * task.heads.size];
        cache.append(&mut unused, &task.keys, &task.values, &Preparation::default(), pool)?;
        Ok(Self { pool, cache, queries: Vec::new(), out: Vec::new(), first: 0 })
    }
}

impl Contender for Ours<'_> {
    fn name(&self) -> &str {
        OURS
    }

    fn prepare(&mut self, x: &[f32], batch: usize) -> Result<()> {
        self.queries = x.to_vec();
        self.out = vec![0.0; x.len()];
        self.first = self.cache.len() - batch;
        Ok(())
    }

    fn multiply(&mut self, _call: usize) -> Result<()> {
        let attention = attention::Attention::new(self.cache.heads().size);
        Ok(attention.attend(&self.cache, &self.queries, self.first, &mut self.out, self.pool)?)
    }

    fn output(&self) -> Result<Vec<f32>> {
        Ok(self.out.clone())
    }
}
