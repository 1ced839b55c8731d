//! candle: `QMatMul` on the CPU, for the formats that it has.

use std::borrow::Cow;
use std::sync::Arc;

use candle_core::quantized::{GgmlDType, QMatMul, QStorage, QTensor};
use candle_core::{Device, Module, Tensor};
use quantloom::measure::copies;

use crate::contender::{Contender, Result, Task};

/// Weights in copies, and a batch.
pub struct Candle {
    weights: Vec<QMatMul>,
    stored_bytes: usize,
    /// Of `weights`, how many take turns.
    turns: usize,
    x: Option<Tensor>,
    y: Option<Tensor>,
}

impl Candle {
    /// None if candle has no such format.
    pub fn new(task: &Task<'_>) -> Result<Option<Self>> {
        let Some(dtype) = dtype(task.gguf) else { return Ok(None) };
        let shape = (task.shape.n, task.shape.k);
        let copy = |_| {
            let storage = QStorage::from_data(Cow::Borrowed(task.stored), &Device::Cpu, dtype)?;
            QMatMul::from_arc(Arc::new(QTensor::new(storage, shape)?))
        };
        let weights = (0..copies(task.stored.len(), task.least_batch)).map(copy).collect::<candle_core::Result<Vec<_>>>()?;
        Ok(Some(Self { weights, stored_bytes: task.stored.len(), turns: 1, x: None, y: None }))
    }
}

impl Contender for Candle {
    fn name(&self) -> &str {
        "candle"
    }

    fn prepare(&mut self, x: &[f32], batch: usize) -> Result<()> {
        self.turns = copies(self.stored_bytes, batch).min(self.weights.len());
        self.x = Some(Tensor::from_slice(x, (batch, x.len() / batch), &Device::Cpu)?);
        // It packs a matrix when that is first used.
        (0..self.turns).try_for_each(|call| self.multiply(call))
    }

    fn multiply(&mut self, call: usize) -> Result<()> {
        let x = self.x.as_ref().ok_or("candle was not prepared")?;
        self.y = Some(self.weights[call % self.turns].forward(x)?);
        Ok(())
    }

    fn output(&self) -> Result<Vec<f32>> {
        let y = self.y.as_ref().ok_or("candle was not run")?;
        Ok(y.flatten_all()?.to_vec1()?)
    }
}

/// The block formats that candle has, by their numbers in GGUF files.
fn dtype(gguf: u32) -> Option<GgmlDType> {
    Some(match gguf {
        2 => GgmlDType::Q4_0,
        3 => GgmlDType::Q4_1,
        6 => GgmlDType::Q5_0,
        7 => GgmlDType::Q5_1,
        8 => GgmlDType::Q8_0,
        10 => GgmlDType::Q2K,
        11 => GgmlDType::Q3K,
        12 => GgmlDType::Q4K,
        13 => GgmlDType::Q5K,
        14 => GgmlDType::Q6K,
        15 => GgmlDType::Q8K,
        _ => return None,
    })
}
