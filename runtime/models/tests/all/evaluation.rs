//! Tiny models evaluated plainly in f64: what is written here shares nothing with the runner.

use std::f64::consts::PI;

use crate::tiny::{Tensors, Tiny};

impl Tiny {
    /// The logits of the last of some tokens.
    pub fn evaluate(&self, tokens: &[u32]) -> Vec<f64> {
        self.evaluate_with(&self.tensors(), tokens)
    }

    /// The same, with tensors that were given.
    pub fn evaluate_with(&self, weights: &Tensors, tokens: &[u32]) -> Vec<f64> {
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
            let windowed = self.window.filter(|_| self.window_every == 0 || layer % self.window_every != self.window_every - 1);
            let (mut queries, mut keys, mut values) = (Vec::new(), Vec::new(), Vec::new());
            for (position, row) in rows.iter().enumerate() {
                let x = norm(row, &of("attn_norm.weight"));
                let prepare = |mut y: Vec<f64>, norms: &str| {
                    for head in y.chunks_exact_mut(self.size) {
                        if self.head_norms {
                            head.copy_from_slice(&norm(head, &of(norms)));
                        }
                        if !(self.unrotated && layer % 4 == 3) {
                            self.rotate(head, position, windowed.is_some(), weights);
                        }
                    }
                    y
                };
                let [q, k, v] = if self.fused {
                    let all = linear("attn_qkv", &x);
                    let (q, rest) = all.split_at(self.heads * self.size);
                    let (k, v) = rest.split_at(self.kv * self.size);
                    [q, k, v].map(<[f64]>::to_vec)
                } else {
                    ["attn_q", "attn_k", "attn_v"].map(|name| linear(name, &x))
                };
                let (scale, from) = self.temperature.unwrap_or((0.0, 1));
                let grown = 1.0 + scale * ((position / from + 1) as f64).ln();
                queries.push(prepare(q, "attn_q_norm.weight").iter().map(|q| q * grown).collect::<Vec<_>>());
                keys.push(prepare(k, "attn_k_norm.weight"));
                values.push(v);
            }
            for (position, row) in rows.iter_mut().enumerate() {
                let first = windowed.map_or(0, |window| (position + 1).saturating_sub(window));
                let mut heads = vec![0.0; self.heads * self.size];
                for head in 0..self.heads {
                    let (own, shared) = (head * self.size, head / (self.heads / self.kv) * self.size);
                    let query = &queries[position][own..own + self.size];
                    let score = |at: usize| dot(query, &keys[at][shared..shared + self.size]) * self.score_scale;
                    let scores = (first..=position).map(score).collect::<Vec<_>>();
                    let weights = scores.iter().map(|score| score.exp()).collect::<Vec<_>>();
                    let sink = if self.sinks { of("attn_sinks.weight")[head].exp() } else { 0.0 };
                    let sum = weights.iter().sum::<f64>() + sink;
                    for (at, weight) in (first..=position).zip(weights) {
                        for index in 0..self.size {
                            heads[own + index] += weight / sum * values[at][shared + index];
                        }
                    }
                }
                add(row, linear("attn_output", &heads), "post_attention_norm.weight");
                let x = norm(row, &of(self.last_norm()));
                let network =
                    |gate: &[f64], up: &[f64]| gate.iter().zip(up).map(|(gate, up)| self.gate(*gate, *up)).collect::<Vec<_>>();
                let y = if self.experts.is_some() {
                    self.mix(&x, &linear("ffn_gate_inp", &x), &of, &has)
                } else if self.fused {
                    let both = linear("ffn_up", &x);
                    linear("ffn_down", &network(&both[..self.ff], &both[self.ff..]))
                } else {
                    linear("ffn_down", &network(&linear("ffn_gate", &x), &linear("ffn_up", &x)))
                };
                add(row, y, "post_ffw_norm.weight");
            }
        }
        let last = norm(rows.last().unwrap(), &of("output_norm.weight"));
        let head = if self.tied { embedding } else { of("output.weight") };
        product(&head, &last).into_iter().map(|logit| logit / self.logit_divisor).collect()
    }

    /// The experts that a router says the most of: the softmax over all, then each used one's share among the used.
    fn mix(&self, x: &[f64], logits: &[f64], of: &dyn Fn(&str) -> Vec<f64>, has: &dyn Fn(&str) -> bool) -> Vec<f64> {
        let (count, used) = self.experts.unwrap();
        let all = logits.iter().map(|logit| logit.exp()).sum::<f64>();
        let mut order = (0..count).map(|expert| (logits[expert].exp() / all, expert)).collect::<Vec<_>>();
        order.sort_by(|a, b| b.0.total_cmp(&a.0));
        let of_used = order[..used].iter().map(|(share, _)| share).sum::<f64>();
        let mut y = vec![0.0; self.width];
        for (share, expert) in &order[..used] {
            let linear = |name: &str, x: &[f64]| {
                let own = |values: Vec<f64>| values.chunks_exact(values.len() / count).nth(*expert).unwrap().to_vec();
                let mut y = product(&own(of(&format!("{name}.weight"))), x);
                if has(&format!("{name}.bias")) {
                    y.iter_mut().zip(own(of(&format!("{name}.bias")))).for_each(|(y, b)| *y += b);
                }
                y
            };
            let both = if self.fused_experts {
                linear("ffn_gate_up_exps", x)
            } else {
                [linear("ffn_gate_exps", x), linear("ffn_up_exps", x)].concat()
            };
            let inner = (0..self.ff).map(|row| self.gate(both[row], both[self.ff + row])).collect::<Vec<_>>();
            y.iter_mut().zip(linear("ffn_down_exps", &inner)).for_each(|(y, own)| *y += share / of_used * own);
        }
        y
    }

    fn gate(&self, x: f64, up: f64) -> f64 {
        if self.clamped {
            let x = x.min(7.0);
            return x / (1.0 + (-1.702 * x).exp()) * (up.clamp(-7.0, 7.0) + 1.0);
        }
        if self.gelu {
            return 0.5 * x * (1.0 + ((2.0 / PI).sqrt() * (x + 0.044_715 * x.powi(3))).tanh()) * up;
        }
        x / (1.0 + (-x).exp()) * up
    }

    fn rotate(&self, head: &mut [f64], position: usize, windowed: bool, weights: &Tensors) {
        let pairs = self.dims / 2;
        let tensor = match self.two_factors {
            Some(true) => Some("rope_factors_long.weight"),
            Some(false) => Some("rope_factors_short.weight"),
            None => self.factors.then_some("rope_freqs.weight"),
        };
        let factors = tensor.map_or(vec![1.0; pairs], |name| weights.values(name));
        // Only where layers that see a window have a base of their own.
        let own_base = windowed && self.window_base != 0.0;
        for (pair, factor) in factors.iter().enumerate().take(pairs) {
            let (base, stretch) = if own_base { (self.window_base, 1.0) } else { (self.base, self.stretch * factor) };
            let frequency = self.yarn(base.powf(-2.0 * pair as f64 / self.dims as f64) / stretch, pair);
            let angle = position as f64 * frequency;
            let (sin, cos) = (angle.sin() * self.magnitude, angle.cos() * self.magnitude);
            let (a, b) = if self.neighbours { (2 * pair, 2 * pair + 1) } else { (pair, pair + pairs) };
            let (x, y) = (head[a], head[b]);
            head[a] = x * cos - y * sin;
            head[b] = x * sin + y * cos;
        }
    }

    /// Pairs that turn so often in the positions that the context had keep their frequency, those that turn less are slower by the factor;
    /// between them it goes in a straight line from one whole number of a pair to the other.
    fn yarn(&self, frequency: f64, pair: usize) -> f64 {
        let Some([factor, original, fast, slow]) = self.yarn else { return frequency };
        let pair_of = |turns: f64| self.dims as f64 / 2.0 * (original / (2.0 * PI * turns)).ln() / self.base.ln();
        let (first, last) = (pair_of(fast).floor().max(0.0), pair_of(slow).ceil().min(self.dims as f64 - 1.0));
        let kept = 1.0 - ((pair as f64 - first) / (last - first)).clamp(0.0, 1.0);
        frequency * kept + frequency / factor * (1.0 - kept)
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
