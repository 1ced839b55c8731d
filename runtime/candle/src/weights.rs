//! Weights in quantloom's layout, from a tensor of candle, and products by them.

use std::fmt::{self, Debug, Formatter};

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{DType, Device, Error, Result, Storage, Tensor, bail};
use quantloom::matmul::{Request, decode_rows, matmul};
use quantloom::pool::Pool;
use quantloom::registry::{self, Format};
use quantloom::weights::Weights;

use crate::defaults;

/// Packed weights, and what is asked of their kernels.
pub struct Packed {
    weights: Weights,
    request: Request,
}

impl Debug for Packed {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "Packed[{}x{}; {}]", self.n(), self.k(), self.weights.format().name)
    }
}

impl Packed {
    /// Those of a tensor: none if it is elsewhere, no matrix, or of a type without kernels.
    pub fn of(tensor: &QTensor) -> Result<Option<Self>> {
        let (Device::Cpu, &[n, k]) = (tensor.device(), tensor.shape().dims()) else { return Ok(None) };
        let Some(format) = format_of(tensor.dtype()) else { return Ok(None) };
        let asked = defaults::request();
        let has = |class: &_| registry::numerics(format).contains(class);
        let request = asked.numerics(asked.numerics.filter(has));
        let weights = Weights::pack(format, n, k, &tensor.data()?, Pool::global()).map_err(Error::wrap)?;
        Ok(Some(Self { weights, request }))
    }

    /// Rows.
    pub fn n(&self) -> usize {
        self.weights.n()
    }

    /// Weights of a row.
    pub fn k(&self) -> usize {
        self.weights.k()
    }

    /// Some rows, which there must be, in f32.
    pub fn rows(&self, rows: Vec<usize>) -> Result<Tensor> {
        let mut values = vec![0.0; rows.len() * self.k()];
        decode_rows(&self.weights, &rows, &mut values, Pool::global()).map_err(Error::wrap)?;
        Tensor::from_vec(values, (rows.len(), self.k()), &Device::Cpu)
    }

    /// Multiplies rows of activations, in the last axis of a tensor; the result is of its type.
    pub fn multiply(&self, xs: &Tensor) -> Result<Tensor> {
        let (n, k, dtype) = (self.n(), self.k(), xs.dtype());
        if !matches!(dtype, DType::F32 | DType::F16 | DType::BF16) {
            bail!("activations of type {dtype:?}, and f32, f16 and bf16 can be multiplied; convert them with to_dtype")
        }
        let [outer @ .., last] = xs.dims() else { bail!("activations without an axis; give rows of {k}") };
        if outer.is_empty() || *last != k {
            bail!("activations of shape {:?}, and weights of {n}x{k}: give rows of {k}, in two axes at least", xs.shape())
        }
        let shape = [outer, &[n]].concat();
        let batch: usize = outer.iter().product();
        let mut y = vec![0.0; batch * n];
        if batch > 0 {
            let xs = xs.to_dtype(DType::F32)?.contiguous()?;
            let (storage, layout) = xs.storage_and_layout();
            let Storage::Cpu(values) = &*storage else {
                bail!("activations on another device than the weights, which are on the processor; move one of them")
            };
            let x = &values.as_slice::<f32>()?[layout.start_offset()..][..batch * k];
            matmul(&self.weights, x, batch, &mut y, &self.request, Pool::global()).map_err(Error::wrap)?;
        }
        Tensor::from_vec(y, shape, &Device::Cpu)?.to_dtype(dtype)
    }
}

/// The format that tensors of a type are stored in, if it has kernels in this build. candle gives the numbers of its types to nobody: they have the
/// names of the formats, without lines.
fn format_of(dtype: GgmlDType) -> Option<&'static Format> {
    let name = format!("{dtype:?}").replace('_', "");
    let named = |format: &&Format| format.name.replace('_', "") == name && !registry::kernels(format).is_empty();
    // What is stored otherwise would be no such tensor, whatever its name.
    let fits = |format: &&Format| {
        let (block, bytes) = (dtype.block_size(), dtype.type_size());
        block.is_multiple_of(format.block_weights) && format.stored_bytes(1, block) == Some(bytes)
    };
    registry::formats().filter(named).find(fits)
}
