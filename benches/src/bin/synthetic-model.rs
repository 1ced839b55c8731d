//! Writes a language model with random weights, of the size and formats of a real one: speed does not depend on what weights say.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use quantloom::gguf::{GgufWriter, NewTensor, PLAIN, Value};
use quantloom::measure::synthetic;
use quantloom::registry;
use quantloom_bench::defaults::{Defaults, Model};
use quantloom_bench::exit::{self, Result};

/// Every weight of a norm: small, so that scores of random keys are moderate.
const NORM: f32 = 1.0 / 32.0;

/// Writes a model of the llama architecture with random weights, mixed as llama.cpp mixes its usual models of 4 bits.
#[derive(Debug, Parser)]
struct Args {
    /// The file, GGUF
    out: PathBuf,
}

fn main() -> ExitCode {
    exit::code(run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    let model = Defaults::get().model;
    let tensors = tensors(&model)?;
    let listed = tensors.iter().map(|tensor| tensor.listed()).collect::<Result<Vec<_>>>()?;
    let mut file = GgufWriter::create(&args.out, &metadata(&model)?, &listed)?;
    for tensor in &tensors {
        file.write(&tensor.bytes()?)?;
    }
    Ok(file.finish()?)
}

/// What the file says of the model; it has no tokenizer.
fn metadata(model: &Model) -> Result<Vec<(String, Value)>> {
    let count = |key: &str, count: usize| Ok((format!("llama.{key}"), Value::U32(u32::try_from(count)?)));
    let text = |key: &str, text: &str| (key.to_owned(), Value::String(text.to_owned()));
    let mut metadata = vec![text("general.architecture", "llama"), text("tokenizer.ggml.model", "none")];
    let counts = [
        ("block_count", model.layers),
        ("embedding_length", model.width),
        ("feed_forward_length", model.hidden),
        ("attention.head_count", model.heads),
        ("attention.head_count_kv", model.key_heads),
        ("context_length", model.context),
        ("vocab_size", model.vocabulary),
    ];
    metadata.extend(counts.into_iter().map(|(key, value)| count(key, value)).collect::<Result<Vec<_>>>()?);
    metadata.push(("llama.attention.layer_norm_rms_epsilon".to_owned(), Value::F32(1e-5)));
    Ok(metadata)
}

/// A tensor: plain numbers where it has no format.
struct Tensor {
    name: String,
    n: usize,
    k: usize,
    format: Option<String>,
}

impl Tensor {
    fn listed(&self) -> Result<NewTensor> {
        let (kind, bytes) = match &self.format {
            None => (PLAIN, self.k * size_of::<f32>()),
            Some(name) => {
                let format = registry::format_by_name(name)?;
                let bytes = format.stored_bytes(self.n, self.k).ok_or("the model is beyond all memory")?;
                (format.gguf.ok_or_else(|| format!("{name} is no format of GGUF"))?, bytes)
            }
        };
        let dims = [self.k, self.n].into_iter().take(if self.format.is_some() { 2 } else { 1 });
        Ok(NewTensor { name: self.name.clone(), dims: dims.map(|size| size as u64).collect(), kind, bytes })
    }

    fn bytes(&self) -> Result<Vec<u8>> {
        match &self.format {
            None => Ok([NORM.to_le_bytes()].repeat(self.k).concat()),
            Some(name) => Ok(synthetic(registry::format_by_name(name)?, self.n, self.k)?),
        }
    }
}

fn tensors(model: &Model) -> Result<Vec<Tensor>> {
    let &Model { layers, width, hidden, heads, key_heads, vocabulary, .. } = model;
    if heads == 0 || width % heads != 0 {
        return Err("heads divide the width".into());
    }
    let key_width = width / heads * key_heads;
    let [usual, finer] = &model.formats;
    let matrix = |name: String, n, k, format: &String| Tensor { name, n, k, format: Some(format.clone()) };
    let norm = |name: String| Tensor { name, n: 1, k: width, format: None };
    let mut tensors = vec![matrix("token_embd.weight".to_owned(), vocabulary, width, usual)];
    for layer in 0..layers {
        let name = |part: &str| format!("blk.{layer}.{part}.weight");
        let mixed = if is_finer(layer, layers) { finer } else { usual };
        tensors.extend([
            norm(name("attn_norm")),
            matrix(name("attn_q"), width, width, usual),
            matrix(name("attn_k"), key_width, width, usual),
            matrix(name("attn_v"), key_width, width, mixed),
            matrix(name("attn_output"), width, width, usual),
            norm(name("ffn_norm")),
            matrix(name("ffn_gate"), hidden, width, usual),
            matrix(name("ffn_up"), hidden, width, usual),
            matrix(name("ffn_down"), width, hidden, mixed),
        ]);
    }
    tensors.push(norm("output_norm.weight".to_owned()));
    tensors.push(matrix("output.weight".to_owned(), vocabulary, width, finer));
    Ok(tensors)
}

/// The first eighth of the layers, the last, and every third between have finer values and down projections.
fn is_finer(layer: usize, layers: usize) -> bool {
    let eighth = layers / 8;
    layer < eighth || layer >= 7 * layers / 8 || (layer - eighth) % 3 == 2
}
