//! The bundled model, by quantloom's kernels and by candle's products of dequantised weights.

use std::path::Path;
use std::sync::Arc;

use candle_core::quantized::{self, QTensor};
use candle_core::{Device, Module, Result, Tensor};
use quantloom::matmul::Request;
use quantloom::registry::Numerics;
use quantloom_candle::{QMatMul, with_request};

use crate::model::{Llama, values};
use crate::products::most;

/// The beginning of a text that the model was trained on.
const TOKENS: [u32; 21] =
    [724, 474, 13, 1135, 1794, 310, 261, 804, 309, 1579, 342, 1544, 422, 79, 914, 261, 831, 909, 894, 1290, 15];

fn open(make: &dyn Fn(Arc<QTensor>) -> Result<Box<dyn Module>>) -> Llama {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/models/rustbook-Q4_K_M.gguf");
    Llama::open(&path, make).unwrap()
}

fn on_kernels(tensor: Arc<QTensor>) -> Result<Box<dyn Module>> {
    let matrix = QMatMul::from_arc(tensor)?;
    assert!(matrix.is_on_kernels(), "{matrix:?}");
    Ok(Box::new(matrix))
}

fn on_candle(tensor: Arc<QTensor>) -> Result<Box<dyn Module>> {
    Ok(Box::new(quantized::QMatMul::Tensor(tensor.dequantize(&Device::Cpu)?)))
}

fn asked(numerics: Numerics, threads: usize) -> Request {
    Request::default().numerics(numerics).threads(threads)
}

/// The logits of all tokens, so many at once.
fn logits(llama: &Llama, batch: usize) -> Vec<f32> {
    let mut cache = llama.cache();
    TOKENS.chunks(batch).flat_map(|tokens| llama.forward(tokens, &mut cache).unwrap()).collect()
}

/// Multiplies both ways, and goes on with quantloom's result.
struct Both {
    kernels: QMatMul,
    weights: Tensor,
}

impl Module for Both {
    fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        let (ours, theirs) = (self.kernels.forward(xs)?, xs.matmul(&self.weights.t()?)?);
        let most = most(&self.weights, xs)?;
        for ((ours, theirs), most) in values(&ours)?.iter().zip(values(&theirs)?).zip(most) {
            assert!(f64::from((ours - theirs).abs()) <= most, "{ours} and {theirs}, and at most {most} apart");
        }
        Ok(ours)
    }
}

#[test]
fn each_product_of_the_model_is_that_of_dequantised_weights() {
    let both = |tensor: Arc<QTensor>| -> Result<Box<dyn Module>> {
        let weights = tensor.dequantize(&Device::Cpu)?;
        Ok(Box::new(Both { kernels: QMatMul::from_arc(tensor)?, weights }))
    };
    let llama = with_request(asked(Numerics::Exact, 0), || open(&both));
    logits(&llama, TOKENS.len());
}

/// Errors of products go through the model and grow or shrink there, which no bound says that is of use: so it is the one that the class `exact` is
/// held to against f64 elsewhere, 1e-9 of the mean square.
#[test]
fn logits_are_those_of_dequantised_weights() {
    let ours = logits(&with_request(asked(Numerics::Exact, 0), || open(&on_kernels)), TOKENS.len());
    let theirs = logits(&open(&on_candle), TOKENS.len());
    let square = |values: &mut dyn Iterator<Item = f32>| values.map(|value| f64::from(value).powi(2)).sum::<f64>();
    let error = square(&mut ours.iter().zip(&theirs).map(|(a, b)| a - b)) / square(&mut theirs.iter().copied());
    assert!(error < 1e-9, "{error:e}");
}

#[test]
fn batches_and_threads_change_no_bit() {
    for numerics in [Numerics::Exact, Numerics::Int8] {
        let open = |threads| with_request(asked(numerics, threads), || open(&on_kernels));
        let wanted = logits(&open(1), 1);
        assert!(wanted.iter().all(|logit| logit.is_finite()));
        for threads in [1, 2] {
            let llama = open(threads);
            for batch in [1, 4, TOKENS.len()] {
                assert!(logits(&llama, batch) == wanted, "{numerics}, batch {batch}, {threads} threads");
            }
        }
    }
}
