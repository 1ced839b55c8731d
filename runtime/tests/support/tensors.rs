//! The matrices of `testdata/tensors`.

use std::fs;
use std::path::Path;

use quantloom::safetensors::SafeTensors;
use serde_json::{Value as Json, json};

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

/// What the index of a model in several files is called.
pub const INDEX: &str = "model.safetensors.index.json";

/// A safetensors file with some tensors of another.
pub fn file(from: &SafeTensors, names: &[String]) -> Vec<u8> {
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for name in names {
        let tensor = from.get(name).unwrap();
        let start = data.len();
        data.extend_from_slice(tensor.bytes);
        let info = json!({ "dtype": tensor.kind.to_string(), "shape": tensor.shape, "data_offsets": [start, data.len()] });
        header.insert(name.clone(), info);
    }
    let header = Json::Object(header).to_string().into_bytes();
    [&(header.len() as u64).to_le_bytes()[..], &header, &data].concat()
}

/// Writes the tensors of a file to two files with an index: those named `second` to the second. Gives the weight map.
pub fn in_two(whole: &Path, folder: &Path, second: &[String]) -> Json {
    let from = SafeTensors::open(whole).unwrap();
    let (second, first): (Vec<_>, Vec<_>) = from.names().into_iter().partition(|name| second.contains(name));
    let mut map = serde_json::Map::new();
    for (number, names) in [(1, &first), (2, &second)] {
        let name = format!("model-{number:05}-of-00002.safetensors");
        fs::write(folder.join(&name), file(&from, names)).unwrap();
        map.extend(names.iter().map(|tensor| (tensor.clone(), name.clone().into())));
    }
    let map = Json::Object(map);
    write_index(folder, &map);
    map
}

/// Writes an index.
pub fn write_index(folder: &Path, map: &Json) {
    let index = json!({ "metadata": { "total_size": 1 }, "weight_map": map });
    fs::write(folder.join(INDEX), index.to_string()).unwrap();
}
