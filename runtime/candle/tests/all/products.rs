//! Single products: types of weights and of activations, shapes, and what is left to candle.

use std::sync::Arc;

use candle_core::quantized::{self, GgmlDType, QTensor};
use candle_core::{DType, Device, Module, Result, Tensor};
use quantloom::matmul::Request;
use quantloom::registry::{self, Numerics};
use quantloom_candle::{QMatMul, with_request};

use crate::model::values;

const TYPES: [(GgmlDType, &str); 15] = [
    (GgmlDType::F32, "F32"),
    (GgmlDType::F16, "F16"),
    (GgmlDType::BF16, "BF16"),
    (GgmlDType::Q4_0, "Q4_0"),
    (GgmlDType::Q4_1, "Q4_1"),
    (GgmlDType::Q5_0, "Q5_0"),
    (GgmlDType::Q5_1, "Q5_1"),
    (GgmlDType::Q8_0, "Q8_0"),
    (GgmlDType::Q8_1, "Q8_1"),
    (GgmlDType::Q2K, "Q2_K"),
    (GgmlDType::Q3K, "Q3_K"),
    (GgmlDType::Q4K, "Q4_K"),
    (GgmlDType::Q5K, "Q5_K"),
    (GgmlDType::Q6K, "Q6_K"),
    (GgmlDType::Q8K, "Q8_K"),
];

/// How far apart two sums of K products of the same numbers in f32 may be, whatever their order and whether products are rounded before they are
/// added: each is within `K u / (1 - K u)` of the exact sum, in multiples of the sum of magnitudes, where u is 2^-24.
pub fn most(weights: &Tensor, xs: &Tensor) -> Result<Vec<f64>> {
    let k = weights.dims()[1] as f64;
    let u = f64::from(f32::EPSILON) / 2.0;
    let magnitudes = xs.abs()?.to_dtype(DType::F64)?.matmul(&weights.abs()?.to_dtype(DType::F64)?.t()?)?;
    let bound = 2.0 * k * u / (1.0 - k * u);
    Ok(magnitudes.flatten_all()?.to_vec1::<f64>()?.iter().map(|magnitude| magnitude * bound).collect())
}

/// Values of no pattern, the same each time.
fn noise(shape: impl Into<candle_core::Shape>) -> Tensor {
    let shape = shape.into();
    let value = |place: usize| ((place * 7919 + 13) % 1009) as f32 / 504.5 - 1.0;
    Tensor::from_vec((0..shape.elem_count()).map(value).collect::<Vec<_>>(), shape, &Device::Cpu).unwrap()
}

/// A matrix of 50 rows of 512 weights.
fn quantised(dtype: GgmlDType) -> Arc<QTensor> {
    Arc::new(QTensor::quantize(&noise((50, 512)), dtype).unwrap())
}

fn exact(tensor: &Arc<QTensor>) -> QMatMul {
    with_request(Request::default().numerics(Numerics::Exact), || QMatMul::from_arc(Arc::clone(tensor))).unwrap()
}

/// The bits of all values, in f32, which has those of f16 and bf16.
fn bits(tensor: &Tensor) -> Vec<u32> {
    values(&tensor.to_dtype(DType::F32).unwrap()).unwrap().iter().map(|value| value.to_bits()).collect()
}

/// The same, with zeros that have no sign.
fn unsigned(tensor: &Tensor) -> Vec<u32> {
    values(&tensor.to_dtype(DType::F32).unwrap()).unwrap().iter().map(|value| (value + 0.0).to_bits()).collect()
}

#[test]
fn every_type_is_multiplied_by_kernels_of_its_format_or_by_candle() {
    let mut on_kernels = 0;
    for (dtype, name) in TYPES {
        let tensor = quantised(dtype);
        let matrix = exact(&tensor);
        let has = registry::format_by_name(name).is_ok_and(|format| !registry::kernels(format).is_empty());
        assert_eq!(matrix.is_on_kernels(), has, "{name}");
        on_kernels += usize::from(has);
        let weights = tensor.dequantize(&Device::Cpu).unwrap();
        let xs = noise((7, 512));
        let ours = matrix.forward(&xs).unwrap();
        if has {
            let (theirs, most) = (xs.matmul(&weights.t().unwrap()).unwrap(), most(&weights, &xs).unwrap());
            for ((ours, theirs), most) in values(&ours).unwrap().iter().zip(values(&theirs).unwrap()).zip(most) {
                assert!(f64::from((ours - theirs).abs()) <= most, "{name}: {ours} and {theirs}, at most {most} apart");
            }
        } else {
            let theirs = quantized::QMatMul::from_arc(Arc::clone(&tensor)).unwrap().forward(&xs).unwrap();
            assert_eq!(bits(&ours), bits(&theirs), "{name}");
        }
        // Rows have the bits of candle's, but for the sign of a zero, which packed weights do not keep.
        let ids = Tensor::new(&[[0u32, 49], [7, 7]], &Device::Cpu).unwrap();
        let rows = matrix.embedding(&ids).unwrap();
        assert_eq!(rows.dims(), [2, 2, 512]);
        let wanted = weights.index_select(&ids.flatten_all().unwrap(), 0).unwrap();
        assert_eq!(unsigned(&rows), unsigned(&wanted), "{name}");
        let halves = tensor.dequantize_f16(&Device::Cpu).unwrap();
        assert_eq!(unsigned(&matrix.dequantize_f16().unwrap()), unsigned(&halves), "{name}");
        let theirs = quantized::QMatMul::TensorF16(halves).forward(&xs).unwrap();
        assert_eq!(bits(&matrix.forward_via_f16(&xs).unwrap()), bits(&theirs), "{name}");
    }
    assert!(on_kernels > 3, "{on_kernels}");
}

#[test]
fn activations_of_any_type_and_shape_are_multiplied_row_by_row() {
    let matrix = QMatMul::from_arc(quantised(GgmlDType::Q4K)).unwrap();
    for dtype in [DType::F32, DType::F16, DType::BF16] {
        let xs = noise((2, 3, 5, 512)).to_dtype(dtype).unwrap();
        let ys = matrix.forward(&xs).unwrap();
        assert_eq!((ys.dims(), ys.dtype()), (&[2, 3, 5, 50][..], dtype));
        // The sums are in f32, and are rounded once.
        let wide = matrix.forward(&xs.to_dtype(DType::F32).unwrap()).unwrap();
        assert_eq!(bits(&ys), bits(&wide.to_dtype(dtype).unwrap()));
        // Strided, not at the beginning, broadcast, and each row by itself.
        let turned = matrix.forward(&xs.transpose(1, 2).unwrap()).unwrap();
        assert_eq!(bits(&turned), bits(&ys.transpose(1, 2).unwrap()));
        let part = matrix.forward(&xs.narrow(2, 1, 3).unwrap()).unwrap();
        assert_eq!(bits(&part), bits(&ys.narrow(2, 1, 3).unwrap()));
        let (row, wanted) = (xs.get(1).unwrap().narrow(0, 2, 1).unwrap(), ys.get(1).unwrap().narrow(0, 2, 1).unwrap());
        assert_eq!(bits(&matrix.forward(&row).unwrap()), bits(&wanted));
        let one = xs.get(0).unwrap().get(0).unwrap().narrow(0, 4, 1).unwrap();
        let many = matrix.forward(&one.broadcast_as((3, 512)).unwrap()).unwrap();
        assert_eq!(bits(&many), bits(&matrix.forward(&one).unwrap()).repeat(3));
        assert_eq!(matrix.forward(&xs.narrow(0, 0, 0).unwrap()).unwrap().dims(), [0, 3, 5, 50]);
    }
    let by_columns = Tensor::from_vec(values(&noise((512, 4))).unwrap(), (512, 4), &Device::Cpu).unwrap().t().unwrap();
    let rows = by_columns.contiguous().unwrap();
    assert_eq!(bits(&matrix.forward(&by_columns).unwrap()), bits(&matrix.forward(&rows).unwrap()));
}

#[test]
fn what_cannot_be_multiplied_is_refused_as_candle_refuses_it() {
    let tensor = quantised(GgmlDType::Q4K);
    let (matrix, candle) = (exact(&tensor), quantized::QMatMul::from_arc(Arc::clone(&tensor)).unwrap());
    for xs in [noise(512), noise((2, 256)), noise((2, 512)).to_dtype(DType::F64).unwrap(), noise(())] {
        assert!(candle.forward(&xs).is_err());
        let why = matrix.forward(&xs).unwrap_err().to_string();
        assert!(why.starts_with("activations "), "{why}");
    }
    let infinite = noise((1, 512)).affine(f64::INFINITY, 0.0).unwrap();
    assert!(QMatMul::from_arc(tensor).unwrap().forward(&infinite).is_err());
    let ids = Tensor::new(&[50u32], &Device::Cpu).unwrap();
    assert!(matrix.embedding(&ids).unwrap_err().to_string().starts_with("no row 50: there are 50"));
}

#[test]
fn a_class_that_is_asked_for_holds_while_something_is_made() {
    let tensor = quantised(GgmlDType::Q4K);
    let xs = noise((3, 512));
    let product = |matrix: &QMatMul| bits(&matrix.forward(&xs).unwrap());
    let plain = QMatMul::from_arc(Arc::clone(&tensor)).unwrap();
    let exact = exact(&tensor);
    assert_ne!(product(&plain), product(&exact));
    assert_eq!(product(&QMatMul::from_arc(Arc::clone(&tensor)).unwrap()), product(&plain));
    // A format without the class has another; what panics leaves nothing behind.
    let asked = Request::default().numerics(Numerics::Int8);
    let halves = with_request(asked, || QMatMul::from_arc(quantised(GgmlDType::BF16))).unwrap();
    assert!(halves.is_on_kernels() && halves.forward(&xs).is_ok());
    let panics =
        std::panic::catch_unwind(|| with_request(Request::default().numerics(Numerics::Exact), || panic!("as it must")));
    assert!(panics.is_err());
    assert_eq!(product(&QMatMul::from_arc(tensor).unwrap()), product(&plain));
}

/// What candle holds is given back: packed weights are the only copy.
#[test]
fn the_tensor_is_not_kept() {
    let tensor = quantised(GgmlDType::Q4K);
    let weak = Arc::downgrade(&tensor);
    let matrix = QMatMul::from_arc(tensor).unwrap();
    assert!(matrix.is_on_kernels() && weak.upgrade().is_none());
}
