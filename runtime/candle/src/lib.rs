//! candle's `QMatMul` on the kernels of quantloom: a model of candle switches by one import line.
//!
//! ```
//! use candle_core::quantized::gguf_file::Content;
//! use candle_core::{Device, Module, Tensor};
//! use quantloom::matmul::Request;
//! use quantloom::registry::Numerics;
//! use quantloom_candle::{QMatMul, with_request}; // instead of candle_core::quantized::QMatMul
//!
//! # fn main() -> candle_core::Result<()> {
//! # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/models/rustbook.gguf");
//! let mut file = std::fs::File::open(path)?;
//! let content = Content::read(&mut file)?;
//! let linear = QMatMul::from_qtensor(content.tensor(&mut file, "blk.0.ffn_gate.weight", &Device::Cpu)?)?;
//! let x = Tensor::randn(0f32, 1.0, (2, 5, 256), &Device::Cpu)?;
//! let y = linear.forward(&x)?;
//! assert_eq!(y.dims(), [2, 5, 768]);
//!
//! // The batch changes no bit.
//! let alone = linear.forward(&x.narrow(1, 3, 1)?)?;
//! assert_eq!(alone.flatten_all()?.to_vec1::<f32>()?, y.narrow(1, 3, 1)?.flatten_all()?.to_vec1::<f32>()?);
//!
//! // Activations are quantised, where the format of the weights allows it, unless the class `exact` is asked for while a model is made.
//! let weights = content.tensor(&mut file, "blk.0.ffn_gate.weight", &Device::Cpu)?;
//! let exact = with_request(Request::default().numerics(Numerics::Exact), || QMatMul::from_qtensor(weights))?;
//! exact.forward(&x)?;
//! # Ok(())
//! # }
//! ```

mod defaults;
mod weights;

use std::sync::Arc;

use candle_core::quantized::{self, QTensor};
use candle_core::{DType, Module, Result, Tensor, bail};

pub use defaults::with_request;
use weights::Packed;

/// A matrix that activations are multiplied by, as [`candle_core::quantized::QMatMul`] is.
///
/// Weights on the processor of a type that quantloom has kernels for are packed, once, and what candle held of them is given back when its last
/// owner goes. All others are candle's, with its results.
#[derive(Clone, Debug)]
pub struct QMatMul(Held);

#[derive(Clone, Debug)]
enum Held {
    Kernels(Arc<Packed>),
    Candle(quantized::QMatMul),
}

impl QMatMul {
    /// Of a tensor.
    ///
    /// # Errors
    /// If memory is short; as candle's.
    pub fn from_qtensor(tensor: QTensor) -> Result<Self> {
        Self::from_arc(Arc::new(tensor))
    }

    /// Of a tensor that others may hold, too.
    ///
    /// # Errors
    /// As [`QMatMul::from_qtensor`].
    pub fn from_arc(tensor: Arc<QTensor>) -> Result<Self> {
        let held = match Packed::of(&tensor)? {
            Some(packed) => Held::Kernels(Arc::new(packed)),
            None => Held::Candle(quantized::QMatMul::from_arc(tensor)?),
        };
        Ok(Self(held))
    }

    /// The same, as models of `candle-transformers` call it.
    ///
    /// # Errors
    /// As [`QMatMul::from_qtensor`].
    pub fn from_weights(tensor: Arc<QTensor>) -> Result<Self> {
        Self::from_arc(tensor)
    }

    /// Whether quantloom multiplies, and not candle.
    #[must_use]
    pub fn is_on_kernels(&self) -> bool {
        matches!(self.0, Held::Kernels(_))
    }

    /// The weights in f16.
    ///
    /// # Errors
    /// As candle's.
    pub fn dequantize_f16(&self) -> Result<Tensor> {
        match &self.0 {
            Held::Kernels(packed) => packed.rows((0..packed.n()).collect())?.to_dtype(DType::F16),
            Held::Candle(matrix) => matrix.dequantize_f16(),
        }
    }

    /// Multiplies by the weights in f16, as candle does.
    ///
    /// # Errors
    /// As candle's.
    pub fn forward_via_f16(&self, xs: &Tensor) -> Result<Tensor> {
        match &self.0 {
            Held::Kernels(_) => quantized::QMatMul::TensorF16(self.dequantize_f16()?).forward(xs),
            Held::Candle(matrix) => matrix.forward_via_f16(xs),
        }
    }

    /// The rows of some tokens.
    ///
    /// # Errors
    /// If there is no such row; as candle's.
    pub fn embedding(&self, ids: &Tensor) -> Result<Tensor> {
        let packed = match &self.0 {
            Held::Kernels(packed) => packed,
            Held::Candle(matrix) => return matrix.embedding(ids),
        };
        let rows = ids.to_dtype(DType::U32)?.flatten_all()?.to_vec1::<u32>()?;
        if let Some(row) = rows.iter().find(|row| **row as usize >= packed.n()) {
            bail!("no row {row}: there are {}, counted from 0", packed.n())
        }
        let found = packed.rows(rows.into_iter().map(|row| row as usize).collect())?;
        found.reshape([ids.dims(), &[packed.k()]].concat())
    }
}

impl Module for QMatMul {
    fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        match &self.0 {
            Held::Kernels(packed) => packed.multiply(xs),
            Held::Candle(matrix) => matrix.forward(xs),
        }
    }
}
