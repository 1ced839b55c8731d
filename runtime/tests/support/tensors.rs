//! The matrices of `testdata/tensors`.

/// What begins the names of a matrix's tensors.
pub const PREFIX: &str = "model.layers.0.mlp.up_proj";

/// N and K, where a file does not say them.
pub type Shape = Option<(usize, usize)>;

/// A safetensors file, and its format.
pub const FILES: [(&str, &str, Shape); 8] = [
    ("gptq_4bit_g128", "GPTQ-4bit-g128", None),
    ("gptq_3bit_g128", "GPTQ-3bit-g128", None),
    ("awq_4bit_g128", "AWQ-4bit-g128", None),
    ("mlx_4bit_g64", "MLX-4bit-g64", None),
    ("mlx_8bit_g64", "MLX-8bit-g64", None),
    ("nf4", "NF4", Some((33, 320))),
    ("fp8_e4m3", "FP8-E4M3", None),
    ("fp8_e4m3_tensor", "FP8-E4M3-tensor", None),
];

/// Stored values of f32.
pub fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().copied().map(f32::from_le_bytes).collect()
}
