//! A llama in candle, as small as one can be: what lies between products is computed position by position, so that it has the same bits in
//! every batch.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use candle_core::quantized::{QTensor, gguf_file};
use candle_core::{Device, Module, Result, Tensor};

/// Who multiplies.
pub type Make<'m> = &'m dyn Fn(Arc<QTensor>) -> Result<Box<dyn Module>>;

pub struct Llama {
    embedding: Tensor,
    layers: Vec<Layer>,
    norm: Vec<f32>,
    head: Box<dyn Module>,
    heads: [usize; 2],
    base: f32,
    eps: f32,
}

struct Layer {
    norms: [Vec<f32>; 2],
    attention: [Box<dyn Module>; 4],
    network: [Box<dyn Module>; 3],
}

/// Keys and values of the positions so far, layer by layer.
pub type Cache = Vec<[Vec<f32>; 2]>;

impl Llama {
    pub fn open(path: &Path, make: Make<'_>) -> Result<Self> {
        let mut file = File::open(path)?;
        let content = gguf_file::Content::read(&mut file)?;
        let number = |key: &str| content.metadata[&format!("llama.{key}")].clone();
        let count = |key: &str| Ok::<_, candle_core::Error>(number(key).to_u32()? as usize);
        let mut tensor = |name: &str| content.tensor(&mut file, &format!("{name}.weight"), &Device::Cpu);
        let mut layers = Vec::new();
        for layer in 0..count("block_count")? {
            let mut of = |name: &str| tensor(&format!("blk.{layer}.{name}"));
            layers.push(Layer {
                norms: [row(&of("attn_norm")?)?, row(&of("ffn_norm")?)?],
                attention: all(["attn_q", "attn_k", "attn_v", "attn_output"], &mut of, make)?,
                network: all(["ffn_gate", "ffn_up", "ffn_down"], &mut of, make)?,
            });
        }
        Ok(Self {
            embedding: tensor("token_embd")?.dequantize(&Device::Cpu)?,
            layers,
            norm: row(&tensor("output_norm")?)?,
            head: make(Arc::new(tensor("output")?))?,
            heads: [count("attention.head_count")?, count("attention.head_count_kv")?],
            base: number("rope.freq_base").to_f32()?,
            eps: number("attention.layer_norm_rms_epsilon").to_f32()?,
        })
    }

    pub fn cache(&self) -> Cache {
        vec![Default::default(); self.layers.len()]
    }

    /// The logits of some tokens that follow those of the cache, position by position.
    pub fn forward(&self, tokens: &[u32], cache: &mut Cache) -> Result<Vec<f32>> {
        let ids = Tensor::new(tokens, &Device::Cpu)?;
        let mut x = self.embedding.index_select(&ids, 0)?;
        for (layer, cache) in self.layers.iter().zip(cache) {
            let [norm, network_norm] = &layer.norms;
            let [q, k, v, out] = &layer.attention;
            let rows = self.normed(&x, norm)?;
            let heads =
                self.attend(values(&q.forward(&rows)?)?, values(&k.forward(&rows)?)?, values(&v.forward(&rows)?)?, cache);
            let width = heads.len() / tokens.len();
            x = (&x + out.forward(&Tensor::from_vec(heads, (tokens.len(), width), &Device::Cpu)?)?)?;
            let [gate, up, down] = &layer.network;
            let rows = self.normed(&x, network_norm)?;
            let (gate, up) = (gate.forward(&rows)?, up.forward(&rows)?);
            let inner = values(&gate)?.iter().zip(values(&up)?).map(|(gate, up)| gate / (1.0 + (-gate).exp()) * up).collect();
            x = (&x + down.forward(&Tensor::from_vec::<_, f32>(inner, gate.shape(), &Device::Cpu)?)?)?;
        }
        values(&self.head.forward(&self.normed(&x, &self.norm)?)?)
    }

    fn normed(&self, x: &Tensor, norm: &[f32]) -> Result<Tensor> {
        let mut all = values(x)?;
        for row in all.chunks_exact_mut(norm.len()) {
            let mean = row.iter().map(|x| x * x).sum::<f32>() / norm.len() as f32;
            let factor = 1.0 / (mean + self.eps).sqrt();
            row.iter_mut().zip(norm).for_each(|(x, norm)| *x *= factor * norm);
        }
        Tensor::from_vec(all, x.shape(), &Device::Cpu)
    }

    fn attend(&self, mut q: Vec<f32>, mut k: Vec<f32>, v: Vec<f32>, [keys, old]: &mut [Vec<f32>; 2]) -> Vec<f32> {
        let [query, key] = self.heads;
        let batch = q.len() / (self.embedding.dims()[1]);
        let (size, of_key) = (q.len() / batch / query, k.len() / batch);
        let first = keys.len() / of_key;
        for (rows, heads) in [(&mut q, query), (&mut k, key)] {
            for (place, head) in rows.chunks_exact_mut(size).enumerate() {
                self.rotate(head, first + place / heads);
            }
        }
        keys.extend(k);
        old.extend(v);
        let mut out = vec![0.0; q.len()];
        for (place, (q, out)) in q.chunks_exact(size).zip(out.chunks_exact_mut(size)).enumerate() {
            let (position, own) = (first + place / query, place % query / (query / key) * size);
            let at = |rows: &[f32], position: usize| rows[position * of_key + own..][..size].to_vec();
            let score = |position| at(keys, position).iter().zip(q).map(|(k, q)| k * q).sum::<f32>() / (size as f32).sqrt();
            let scores: Vec<f32> = (0..=position).map(score).collect();
            let most = scores.iter().copied().fold(f32::MIN, f32::max);
            let weights: Vec<f32> = scores.iter().map(|score| (score - most).exp()).collect();
            let sum: f32 = weights.iter().sum();
            for (position, weight) in weights.iter().enumerate() {
                out.iter_mut().zip(at(old, position)).for_each(|(out, v)| *out += weight / sum * v);
            }
        }
        out
    }

    fn rotate(&self, head: &mut [f32], position: usize) {
        let size = head.len() as f32;
        for (pair, values) in head.chunks_exact_mut(2).enumerate() {
            let angle = position as f32 / self.base.powf(2.0 * pair as f32 / size);
            let (sin, cos) = angle.sin_cos();
            let [a, b] = [values[0], values[1]];
            (values[0], values[1]) = (a * cos - b * sin, a * sin + b * cos);
        }
    }
}

fn all<const N: usize>(
    names: [&str; N],
    of: &mut dyn FnMut(&str) -> Result<QTensor>,
    make: Make<'_>,
) -> Result<[Box<dyn Module>; N]> {
    let all: Vec<_> = names.iter().map(|name| make(Arc::new(of(name)?))).collect::<Result<_>>()?;
    Ok(all.try_into().unwrap_or_else(|_| panic!("a matrix for each name")))
}

fn row(tensor: &QTensor) -> Result<Vec<f32>> {
    values(&tensor.dequantize(&Device::Cpu)?)
}

/// All values of a tensor, in their order.
pub fn values(tensor: &Tensor) -> Result<Vec<f32>> {
    tensor.flatten_all()?.to_vec1()
}
