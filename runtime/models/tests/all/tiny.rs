//! Tiny random models, written as GGUF files.

use std::collections::BTreeMap;
use std::path::Path;

use quantloom::encode::Encoder;
use quantloom::gguf::{GgufWriter, NewTensor, Value};
use quantloom::pool::Pool;
use quantloom::registry;
use quantloom::stored::Stored;

/// What is special about an architecture, as people who trained it say.
#[derive(Clone, Debug)]
pub struct Tiny {
    pub arch: &'static str,
    pub layers: usize,
    pub width: usize,
    pub heads: usize,
    pub kv: usize,
    pub size: usize,
    pub ff: usize,
    pub vocabulary: usize,
    /// Neighbouring values are rotated together, or else halves.
    pub neighbours: bool,
    /// Values of a head that are rotated.
    pub dims: usize,
    pub base: f64,
    /// The base in layers that see a window.
    pub window_base: f64,
    /// Angles are divided by it.
    pub stretch: f64,
    /// Angles are divided by a tensor.
    pub factors: bool,
    pub biases: bool,
    pub head_norms: bool,
    pub post_norms: bool,
    pub tied: bool,
    pub gelu: bool,
    /// Positions that queries see, but in every so-manieth layer.
    pub window: Option<usize>,
    pub window_every: usize,
    /// Queries, keys and values are in one tensor, gate and up in another.
    pub fused: bool,
    /// Angles are divided by one of two tensors: the one for contexts that are longer than they were, if they are.
    pub two_factors: Option<bool>,
    /// Cosines and sines are multiplied by it.
    pub magnitude: f64,
    /// A factor, positions that the context had before, and how often pairs turn in them that keep their frequency, and that do not at all.
    pub yarn: Option<[f64; 4]>,
    /// By how much queries grow, and from which position on.
    pub temperature: Option<(f64, usize)>,
    /// Networks, and how many of them a token goes through.
    pub experts: Option<(usize, usize)>,
    /// The experts' format; none: plain.
    pub format: Option<&'static str>,
    pub sinks: bool,
    /// The last step is behind a norm of another name, all matrices have biases, and numbers of a gate are limited.
    pub clamped: bool,
    /// Gate and up of experts are in one tensor.
    pub fused_experts: bool,
    /// Every fourth layer does not rotate.
    pub unrotated: bool,
    pub embedding_scale: f64,
    pub score_scale: f64,
    pub residual_scale: f64,
    pub logit_divisor: f64,
    /// Metadata beyond what all have.
    pub more: Vec<(&'static str, Value)>,
}

impl Tiny {
    /// A model as the plainest are.
    pub fn plain(arch: &'static str) -> Self {
        Self {
            arch,
            layers: 3,
            width: 48,
            heads: 4,
            kv: 2,
            size: 16,
            ff: 80,
            vocabulary: 70,
            neighbours: true,
            dims: 16,
            base: 10_000.0,
            window_base: 10_000.0,
            stretch: 1.0,
            factors: false,
            biases: false,
            head_norms: false,
            post_norms: false,
            tied: false,
            gelu: false,
            window: None,
            window_every: 6,
            fused: false,
            two_factors: None,
            magnitude: 1.0,
            yarn: None,
            temperature: None,
            experts: None,
            format: None,
            fused_experts: false,
            sinks: false,
            clamped: false,
            unrotated: false,
            embedding_scale: 1.0,
            score_scale: 0.25,
            residual_scale: 1.0,
            logit_divisor: 1.0,
            more: Vec::new(),
        }
    }

    /// The tensors: their names, rows and columns, and values.
    pub fn tensors(&self) -> Tensors {
        let mut tensors = Tensors { seed: 7, all: BTreeMap::new() };
        let Self { width, heads, kv, size, ff, vocabulary, .. } = *self;
        tensors.add("token_embd.weight", vocabulary, width, 0.0, 1.0);
        tensors.add("output_norm.weight", 1, width, 1.0, 0.3);
        if !self.tied {
            tensors.add("output.weight", vocabulary, width, 0.0, 0.4);
        }
        if self.factors {
            tensors.add("rope_freqs.weight", 1, self.dims / 2, 2.5, 1.5);
        }
        if self.two_factors.is_some() {
            tensors.add("rope_factors_long.weight", 1, self.dims / 2, 2.5, 1.5);
            tensors.add("rope_factors_short.weight", 1, self.dims / 2, 1.5, 0.5);
        }
        let (of_q, of_k) = (heads * size, kv * size);
        for layer in 0..self.layers {
            let name = |name: &str| format!("blk.{layer}.{name}");
            let mut matrices = vec![("attn_output", width, of_q)];
            if self.fused {
                matrices.extend([("attn_qkv", of_q + 2 * of_k, width), ("ffn_up", 2 * ff, width), ("ffn_down", width, ff)]);
            } else {
                matrices.extend([("attn_q", of_q, width), ("attn_k", of_k, width), ("attn_v", of_k, width)]);
            }
            if self.experts.is_none() && !self.fused {
                matrices.extend([("ffn_gate", ff, width), ("ffn_up", ff, width), ("ffn_down", width, ff)]);
            }
            if let Some((count, _)) = self.experts {
                matrices.push(("ffn_gate_inp", count, width));
                let of_inputs = if self.fused_experts {
                    vec![("ffn_gate_up_exps", 2 * ff)]
                } else {
                    vec![("ffn_gate_exps", ff), ("ffn_up_exps", ff)]
                };
                let stacks = of_inputs.into_iter().map(|(name, n)| (name, n, width)).chain([("ffn_down_exps", width, ff)]);
                for (stack, n, k) in stacks {
                    tensors.add_stack(&name(&format!("{stack}.weight")), count, n, k, 3.0 / (k as f32).sqrt(), self.format);
                    if self.clamped {
                        // Large enough for the limits.
                        tensors.add(&name(&format!("{stack}.bias")), count, n, 0.0, 6.0);
                    }
                }
            }
            for (matrix, n, k) in matrices {
                tensors.add(&name(&format!("{matrix}.weight")), n, k, 0.0, 2.0 / (k as f32).sqrt());
                if self.clamped || self.biases && ["attn_q", "attn_k", "attn_v", "attn_qkv"].contains(&matrix) {
                    tensors.add(&name(&format!("{matrix}.bias")), 1, n, 0.0, 0.5);
                }
            }
            if self.sinks {
                tensors.add(&name("attn_sinks.weight"), 1, heads, 0.5, 1.5);
            }
            tensors.add(&name("attn_norm.weight"), 1, width, 1.0, 0.3);
            tensors.add(&name(self.last_norm()), 1, width, 1.0, 0.3);
            if self.head_norms {
                tensors.add(&name("attn_q_norm.weight"), 1, size, 1.0, 0.3);
                tensors.add(&name("attn_k_norm.weight"), 1, size, 1.0, 0.3);
            }
            if self.post_norms {
                tensors.add(&name("post_attention_norm.weight"), 1, width, 0.5, 0.3);
                tensors.add(&name("post_ffw_norm.weight"), 1, width, 0.5, 0.3);
            }
        }
        tensors
    }

    /// The metadata of the architecture.
    pub fn metadata(&self) -> Vec<(String, Value)> {
        let key = |key: &str| format!("{}.{key}", self.arch);
        let mut all = vec![("general.architecture".to_owned(), Value::String(self.arch.to_owned()))];
        for (name, count) in [
            ("block_count", self.layers),
            ("embedding_length", self.width),
            ("context_length", 700),
            ("feed_forward_length", self.ff),
            ("attention.head_count", self.heads),
            ("attention.head_count_kv", self.kv),
            ("attention.key_length", self.size),
            ("attention.value_length", self.size),
            ("rope.dimension_count", self.dims),
        ] {
            all.push((key(name), Value::U32(count as u32)));
        }
        all.push((key("attention.layer_norm_rms_epsilon"), Value::F32(1e-5)));
        all.push((key("rope.freq_base"), Value::F32(self.base as f32)));
        if let Some((count, used)) = self.experts {
            all.push((key("expert_count"), Value::U32(count as u32)));
            all.push((key("expert_used_count"), Value::U32(used as u32)));
        }
        all.extend(self.more.iter().map(|(name, value)| (key(name), value.clone())));
        all
    }

    /// The weights of the norm before the feed-forward network.
    pub fn last_norm(&self) -> &'static str {
        if self.clamped { "post_attention_norm.weight" } else { "ffn_norm.weight" }
    }

    /// Writes it.
    pub fn write(&self, path: &Path) {
        write(path, &self.metadata(), &self.tensors());
    }
}

/// A tensor: its axes, the slowest first, its values, and what a file has of them, if it is not plain.
#[derive(Clone, Debug)]
pub struct Tensor {
    pub dims: Vec<usize>,
    pub values: Vec<f32>,
    stored: Option<(u32, Vec<u8>)>,
}

/// Random tensors by their names.
pub struct Tensors {
    seed: u64,
    pub all: BTreeMap<String, Tensor>,
}

impl Tensors {
    fn next(&mut self) -> f32 {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.seed >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    /// Values around a middle.
    pub fn add(&mut self, name: &str, n: usize, k: usize, middle: f32, spread: f32) {
        let values = (0..n * k).map(|_| middle + spread * self.next()).collect();
        let dims = if n == 1 { vec![k] } else { vec![n, k] };
        self.all.insert(name.to_owned(), Tensor { dims, values, stored: None });
    }

    /// Several matrices, in a format.
    pub fn add_stack(&mut self, name: &str, count: usize, n: usize, k: usize, spread: f32, format: Option<&str>) {
        self.add(name, count * n, k, 0.0, spread);
        self.all.get_mut(name).unwrap().dims = vec![count, n, k];
        if let Some(format) = format {
            self.store(name, format);
        }
    }

    /// Stores a tensor in a format; its values are what that makes of them.
    pub fn store(&mut self, name: &str, format: &str) {
        let tensor = self.all.get_mut(name).unwrap();
        let k = *tensor.dims.last().unwrap();
        let rows = tensor.values.len() / k;
        let format = registry::format_by_name(format).unwrap();
        let bytes = Encoder::new(format).unwrap().encode(&tensor.values, k, None, Pool::global()).unwrap();
        Stored::new(format, rows, k, &bytes).unwrap().decode(0..rows, &mut tensor.values).unwrap();
        tensor.stored = Some((format.gguf.unwrap(), bytes));
    }

    pub fn values(&self, name: &str) -> Vec<f64> {
        self.all[name].values.iter().map(|value| f64::from(*value)).collect()
    }
}

/// Writes a file.
pub fn write(path: &Path, metadata: &[(String, Value)], tensors: &Tensors) {
    let stored = |tensor: &Tensor| match &tensor.stored {
        Some((kind, bytes)) => (*kind, bytes.clone()),
        None => (quantloom::gguf::PLAIN, tensor.values.iter().flat_map(|value| value.to_le_bytes()).collect()),
    };
    let new = |(name, tensor): (&String, &Tensor)| {
        let (kind, bytes) = stored(tensor);
        let dims = tensor.dims.iter().rev().map(|axis| *axis as u64).collect();
        NewTensor { name: name.clone(), dims, kind, bytes: bytes.len() }
    };
    let list = tensors.all.iter().map(new).collect::<Vec<_>>();
    let mut writer = GgufWriter::create(path, metadata, &list).unwrap();
    for tensor in tensors.all.values() {
        writer.write(&stored(tensor).1).unwrap();
    }
    writer.finish().unwrap();
}
