//! Tiny random models, written as GGUF files, and their plain evaluation in f64: what is written here shares nothing with the runner.

use std::collections::BTreeMap;
use std::path::Path;

use quantloom::gguf::{GgufWriter, NewTensor, Value};

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
    /// Positions that queries see, but in every sixth layer.
    pub window: Option<usize>,
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
        for layer in 0..self.layers {
            let name = |name: &str| format!("blk.{layer}.{name}");
            for (matrix, n, k) in [
                ("attn_q", heads * size, width),
                ("attn_k", kv * size, width),
                ("attn_v", kv * size, width),
                ("attn_output", width, heads * size),
                ("ffn_gate", ff, width),
                ("ffn_up", ff, width),
                ("ffn_down", width, ff),
            ] {
                tensors.add(&name(&format!("{matrix}.weight")), n, k, 0.0, 2.0 / (k as f32).sqrt());
                if self.biases && ["attn_q", "attn_k", "attn_v"].contains(&matrix) {
                    tensors.add(&name(&format!("{matrix}.bias")), 1, n, 0.0, 0.5);
                }
            }
            tensors.add(&name("attn_norm.weight"), 1, width, 1.0, 0.3);
            tensors.add(&name("ffn_norm.weight"), 1, width, 1.0, 0.3);
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
        all.extend(self.more.iter().map(|(name, value)| (key(name), value.clone())));
        all
    }

    /// Writes it.
    pub fn write(&self, path: &Path) {
        write(path, &self.metadata(), &self.tensors());
    }

    /// The logits of the last of some tokens.
    pub fn evaluate(&self, tokens: &[u32]) -> Vec<f64> {
        let weights = self.tensors();
        let of = |name: &str| weights.values(name);
        let embedding = of("token_embd.weight");
        let mut rows = tokens
            .iter()
            .map(|token| {
                embedding[*token as usize * self.width..][..self.width].iter().map(|x| x * self.embedding_scale).collect()
            })
            .collect::<Vec<Vec<f64>>>();
        for layer in 0..self.layers {
            let of = |name: &str| weights.values(&format!("blk.{layer}.{name}"));
            let has = |name: &str| weights.all.contains_key(&format!("blk.{layer}.{name}"));
            let linear = |name: &str, x: &[f64]| {
                let mut y = product(&of(&format!("{name}.weight")), x);
                if has(&format!("{name}.bias")) {
                    y.iter_mut().zip(of(&format!("{name}.bias"))).for_each(|(y, b)| *y += b);
                }
                y
            };
            let add = |x: &mut Vec<f64>, mut y: Vec<f64>, post: &str| {
                if self.post_norms {
                    y = norm(&y, &of(post));
                }
                x.iter_mut().zip(y).for_each(|(x, y)| *x += y * self.residual_scale);
            };
            let windowed = self.window.filter(|_| layer % 6 != 5);
            let (mut queries, mut keys, mut values) = (Vec::new(), Vec::new(), Vec::new());
            for (position, row) in rows.iter().enumerate() {
                let x = norm(row, &of("attn_norm.weight"));
                let prepare = |mut y: Vec<f64>, norms: &str| {
                    for head in y.chunks_exact_mut(self.size) {
                        if self.head_norms {
                            head.copy_from_slice(&norm(head, &of(norms)));
                        }
                        if !(self.unrotated && layer % 4 == 3) {
                            self.rotate(head, position, windowed.is_some(), &weights);
                        }
                    }
                    y
                };
                queries.push(prepare(linear("attn_q", &x), "attn_q_norm.weight"));
                keys.push(prepare(linear("attn_k", &x), "attn_k_norm.weight"));
                values.push(linear("attn_v", &x));
            }
            for (position, row) in rows.iter_mut().enumerate() {
                let first = windowed.map_or(0, |window| (position + 1).saturating_sub(window));
                let mut heads = vec![0.0; self.heads * self.size];
                for head in 0..self.heads {
                    let (own, shared) = (head * self.size, head / (self.heads / self.kv) * self.size);
                    let query = &queries[position][own..own + self.size];
                    let score = |at: usize| dot(query, &keys[at][shared..shared + self.size]) * self.score_scale;
                    let scores = (first..=position).map(score).collect::<Vec<_>>();
                    let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                    let weights = scores.iter().map(|score| (score - most).exp()).collect::<Vec<_>>();
                    let sum = weights.iter().sum::<f64>();
                    for (at, weight) in (first..=position).zip(weights) {
                        for index in 0..self.size {
                            heads[own + index] += weight / sum * values[at][shared + index];
                        }
                    }
                }
                add(row, linear("attn_output", &heads), "post_attention_norm.weight");
                let x = norm(row, &of("ffn_norm.weight"));
                let (gate, up) = (linear("ffn_gate", &x), linear("ffn_up", &x));
                let inner = gate.iter().zip(up).map(|(gate, up)| self.act(*gate) * up).collect::<Vec<_>>();
                add(row, linear("ffn_down", &inner), "post_ffw_norm.weight");
            }
        }
        let last = norm(rows.last().unwrap(), &of("output_norm.weight"));
        let head = if self.tied { embedding } else { of("output.weight") };
        product(&head, &last).into_iter().map(|logit| logit / self.logit_divisor).collect()
    }

    fn act(&self, x: f64) -> f64 {
        if self.gelu {
            return 0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3))).tanh());
        }
        x / (1.0 + (-x).exp())
    }

    fn rotate(&self, head: &mut [f64], position: usize, windowed: bool, weights: &Tensors) {
        let pairs = self.dims / 2;
        let factors = if self.factors { weights.values("rope_freqs.weight") } else { vec![1.0; pairs] };
        for (pair, factor) in factors.iter().enumerate().take(pairs) {
            let (base, stretch) = if windowed { (self.window_base, 1.0) } else { (self.base, self.stretch * factor) };
            let angle = position as f64 * base.powf(-2.0 * pair as f64 / self.dims as f64) / stretch;
            let (a, b) = if self.neighbours { (2 * pair, 2 * pair + 1) } else { (pair, pair + pairs) };
            let (x, y) = (head[a], head[b]);
            head[a] = x * angle.cos() - y * angle.sin();
            head[b] = x * angle.sin() + y * angle.cos();
        }
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn product(matrix: &[f64], x: &[f64]) -> Vec<f64> {
    matrix.chunks_exact(x.len()).map(|row| dot(row, x)).collect()
}

fn norm(x: &[f64], weights: &[f64]) -> Vec<f64> {
    let root = (dot(x, x) / x.len() as f64 + f64::from(1e-5_f32)).sqrt();
    x.iter().zip(weights).map(|(x, weight)| x / root * weight).collect()
}

/// Random tensors by their names.
pub struct Tensors {
    seed: u64,
    pub all: BTreeMap<String, (usize, usize, Vec<f32>)>,
}

impl Tensors {
    fn next(&mut self) -> f32 {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.seed >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    /// Values around a middle.
    pub fn add(&mut self, name: &str, n: usize, k: usize, middle: f32, spread: f32) {
        let values = (0..n * k).map(|_| middle + spread * self.next()).collect();
        self.all.insert(name.to_owned(), (n, k, values));
    }

    fn values(&self, name: &str) -> Vec<f64> {
        self.all[name].2.iter().map(|value| f64::from(*value)).collect()
    }
}

/// Writes a file of plain tensors.
pub fn write(path: &Path, metadata: &[(String, Value)], tensors: &Tensors) {
    let new = |(name, (n, k, values)): (&String, &(usize, usize, Vec<f32>))| {
        let dims = if *n == 1 { vec![*k as u64] } else { vec![*k as u64, *n as u64] };
        NewTensor { name: name.clone(), dims, kind: quantloom::gguf::PLAIN, bytes: 4 * values.len() }
    };
    let list = tensors.all.iter().map(new).collect::<Vec<_>>();
    let mut writer = GgufWriter::create(path, metadata, &list).unwrap();
    for (_, _, values) in tensors.all.values() {
        writer.write(&values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>()).unwrap();
    }
    writer.finish().unwrap();
}
