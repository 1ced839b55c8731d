//! Weights in separate tensors and rows with headers, from the files of `testdata/tensors`, which numpy computed.

mod support;

use std::path::PathBuf;

use quantloom::gguf::{BlockShape, Gguf};
use quantloom::matmul::{Request, matmul};
use quantloom::pool::Pool;
use quantloom::registry::{self, Format, Numerics};
use quantloom::safetensors::SafeTensors;
use quantloom::stored::Stored;
use quantloom::weights::Weights;
use support::products::{bits, every_kernel_agrees, nmse, numerics_of};
use support::testdata;

const PREFIX: &str = "model.layers.0.mlp.up_proj";

/// A file of `testdata/tensors`, its format, and N and K where the file does not say them.
const FILES: [(&str, &str, Option<(usize, usize)>); 6] = [
    ("gptq_4bit_g128", "GPTQ-4bit-g128", None),
    ("gptq_3bit_g128", "GPTQ-3bit-g128", None),
    ("awq_4bit_g128", "AWQ-4bit-g128", None),
    ("mlx_4bit_g64", "MLX-4bit-g64", None),
    ("nf4", "NF4", Some((33, 320))),
    ("fp8_e4m3", "FP8-E4M3", None),
];

/// A matrix, and what numpy made of it.
struct Sample<'a> {
    what: &'a str,
    stored: Stored<'a>,
    dequantized: Vec<f32>,
    activations: Vec<f32>,
    matmul: Vec<f32>,
}

fn path(file: &str) -> PathBuf {
    testdata("tensors").join(file)
}

fn format(name: &str) -> &'static Format {
    registry::format_by_name(name).unwrap()
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().copied().map(f32::from_le_bytes).collect()
}

/// Calls `test` with every sample.
fn samples(mut test: impl FnMut(&Sample<'_>)) {
    for (what, name, shape) in FILES {
        let file = SafeTensors::open(path(&format!("{what}.safetensors"))).unwrap();
        let values = |name: &str| floats(file.tensor(name).unwrap().bytes);
        test(&Sample {
            what,
            stored: file.matrix(format(name), PREFIX, shape).unwrap(),
            dequantized: values(&format!("{PREFIX}.dequantized")),
            activations: values("activations"),
            matmul: values("matmul"),
        });
    }
    let file = Gguf::open(path("iq4_ks.gguf")).unwrap();
    let tensor = file.tensor("quantized").unwrap();
    let format = registry::format_by_gguf(tensor.kind).unwrap();
    let bytes = file.bytes(tensor, BlockShape::of(format).unwrap()).unwrap();
    let values = |name: &str| floats(file.bytes(file.tensor(name).unwrap(), BlockShape::F32).unwrap());
    test(&Sample {
        what: "iq4_ks",
        stored: Stored::new(format, tensor.rows(), tensor.k(), bytes).unwrap(),
        dequantized: values("quantized.f32"),
        activations: values("activations"),
        matmul: values("matmul.exact"),
    });
}

#[test]
fn decoding_matches_numpy_bit_for_bit() {
    samples(|sample| {
        let stored = &sample.stored;
        assert_eq!(stored.n() * stored.k(), sample.dequantized.len(), "{}", sample.what);
        let mut found = vec![f32::NAN; sample.dequantized.len()];
        stored.decode(0..stored.n(), &mut found).unwrap();
        assert_eq!(bits(&found), bits(&sample.dequantized), "{}", sample.what);
    });
}

/// The bound of `int8` is that of quantising activations of this kind, with room for chance: the largest of 32 numbers with a normal
/// distribution is about 2.1 of their deviations, of 256 about 2.8, so a step is at most 2.8/127, and its error 1/12 of its square.
#[test]
fn products_match_numpy() {
    let mut tested = 0;
    samples(|sample| {
        let weights = Weights::pack_stored(&sample.stored, Pool::global()).unwrap();
        for numerics in numerics_of(weights.format()) {
            let mut y = vec![f32::NAN; sample.matmul.len()];
            let request = Request { numerics, ..Request::default() };
            let batch = sample.activations.len() / weights.k();
            matmul(&weights, &sample.activations, batch, &mut y, &request, Pool::global()).unwrap();
            let (error, limit) = (nmse(&y, &sample.matmul), if numerics == Numerics::Exact { 1e-11 } else { 1e-4 });
            println!("{} {numerics} {error:e}", sample.what);
            assert!(error <= limit, "{}: {numerics}: {error:e} over {limit:e}", sample.what);
            tested += 1;
        }
    });
    assert_eq!(tested, 7 + 5, "classes of kernels");
}

#[test]
fn every_kernel_gives_the_same_bits() {
    let pool = Pool::new(2);
    samples(|sample| every_kernel_agrees(sample.what, &Weights::pack_stored(&sample.stored, &pool).unwrap(), &pool));
}
