//! Weights in separate tensors and rows with headers, from the files of `testdata/tensors`, which numpy computed.

mod support;

use std::ops::Range;
use std::path::PathBuf;

use quantloom::Error;
use quantloom::gguf::{BlockShape, Gguf};
use quantloom::registry::{self, Format};
use quantloom::safetensors::SafeTensors;
use quantloom::stored::Stored;
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

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
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
