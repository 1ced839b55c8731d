//! Running a model: one path, whatever the batch.

use std::ops::Range;

use quantloom::attention::{self, Attention, Preparation};
use quantloom::machine::StandardFloats;
use quantloom::matmul::Request;
use quantloom::operation::{self, Call, Norm, Operation};

use crate::error::{Error, Result};
use crate::model::LanguageModel;
use crate::ropes::Ropes;
use crate::sequence::Sequence;
use crate::step::{Angles, Attend, Op, Step};
use crate::tensors::Matrix;

/// The logits of which positions a call gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Of none: the sequence takes the tokens, that is all.
    None,
    /// Of the last of the tokens: what may come next.
    Last,
    /// Of each.
    All,
}

/// A sequence of a call, and the tokens that it takes.
#[derive(Debug)]
pub struct Part<'a> {
    sequence: &'a mut Sequence,
    tokens: &'a [u32],
    wanted: Wanted,
}

impl<'a> Part<'a> {
    /// Appends tokens to a sequence.
    pub fn new(sequence: &'a mut Sequence, tokens: &'a [u32], wanted: Wanted) -> Self {
        Self { sequence, tokens, wanted }
    }

    /// Which of some of the tokens have logits that are asked for.
    fn wanted(&self, tokens: Range<usize>) -> Range<usize> {
        match self.wanted {
            Wanted::None => tokens.end..tokens.end,
            Wanted::Last => (self.tokens.len() - 1).clamp(tokens.start, tokens.end)..tokens.end,
            Wanted::All => tokens,
        }
    }
}

/// Logits of some positions: those of the first part of the call first, each in the order of its tokens.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Logits {
    values: Vec<f32>,
    vocabulary: usize,
}

impl Logits {
    /// The logits of each position, one for each token of the vocabulary.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.values.chunks_exact(self.vocabulary.max(1))
    }

    /// Those of the last position; none, if none was asked for.
    #[must_use]
    pub fn last(&self) -> &[f32] {
        &self.values[self.values.len().saturating_sub(self.vocabulary)..]
    }

    /// What each position has against the token that follows it: `-ln p`, where p is its part of the softmax. In f64, by functions that
    /// are the same everywhere.
    ///
    /// # Panics
    /// If a token is none of the vocabulary.
    #[must_use]
    pub fn losses(&self, following: &[u32]) -> Vec<f64> {
        let _floats = StandardFloats::set();
        let loss = |(row, token): (&[f32], &u32)| {
            let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let below = |logit: f32| f64::from(logit) - f64::from(max);
            libm::log(row.iter().map(|logit| libm::exp(below(*logit))).sum()) - below(row[*token as usize])
        };
        self.rows().zip(following).map(loss).collect()
    }

    /// All, `[positions][vocabulary]`.
    #[must_use]
    pub fn into_values(self) -> Vec<f32> {
        self.values
    }
}

/// Tokens of a part that go through the model together with others.
struct Piece {
    part: usize,
    tokens: Range<usize>,
    /// Their place in the batch.
    rows: Range<usize>,
    /// Angles of their positions, and those of layers that see a window, where they are others.
    angles: attention::Angles,
    window_angles: Option<attention::Angles>,
}

impl LanguageModel {
    /// Appends tokens to sequences, and gives the logits that are asked for. How tokens are divided among calls, parts and batches
    /// changes no bit of them, nor does it matter which other sequences are in a call.
    ///
    /// # Errors
    /// [`Error::Input`] for a token that the vocabulary does not have, positions beyond the context, a part without tokens, and a sequence
    /// of another model: then nothing is changed. [`Error::Step`] if memory is short, or numbers of the model are beyond what they are
    /// stored in: then the sequences of the call are spent, until they are cleared.
    pub fn forward(&self, parts: &mut [Part<'_>]) -> Result<Logits> {
        let _floats = StandardFloats::set();
        parts.iter().try_for_each(|part| self.check(part))?;
        parts.iter_mut().for_each(|part| part.sequence.spent = true);
        let vocabulary = self.vocabulary();
        let mut of_parts = vec![Vec::new(); parts.len()];
        let (mut part, mut token) = (0, 0);
        while part < parts.len() {
            let mut pieces = Vec::new();
            let mut free = self.batch();
            while part < parts.len() && free > 0 {
                let end = parts[part].tokens.len().min(token + free);
                let start = self.batch() - free;
                pieces.push(self.piece(&parts[part], part, token..end, start..start + end - token));
                free -= end - token;
                (part, token) = if end == parts[part].tokens.len() { (part + 1, 0) } else { (part, end) };
            }
            let logits = self.batch_of(parts, &pieces)?;
            let mut rest = &logits[..];
            for piece in &pieces {
                let rows = parts[piece.part].wanted(piece.tokens.clone()).len();
                let (own, others) = rest.split_at(rows * vocabulary);
                of_parts[piece.part].extend_from_slice(own);
                rest = others;
            }
        }
        parts.iter_mut().for_each(|part| part.sequence.spent = false);
        Ok(Logits { values: of_parts.concat(), vocabulary })
    }

    fn check(&self, part: &Part<'_>) -> Result<()> {
        let Part { sequence, tokens, .. } = part;
        if !self.owns(sequence) {
            return Err(Error::input("the sequence is of another model; ask this one for a sequence"));
        }
        if sequence.spent {
            return Err(Error::input("a call with this sequence failed; clear it, or begin another"));
        }
        if tokens.is_empty() {
            return Err(Error::input("a sequence takes a token at least; give it one"));
        }
        let vocabulary = self.vocabulary();
        if let Some(token) = tokens.iter().find(|token| **token as usize >= vocabulary) {
            return Err(Error::input(format!("no token {token}: the vocabulary has {vocabulary}, counted from 0")));
        }
        self.fits(sequence.len().saturating_add(tokens.len()))
    }

    /// That a sequence may have so many positions.
    ///
    /// # Errors
    /// [`Error::Input`] if they are more than the context.
    pub fn fits(&self, positions: usize) -> Result<()> {
        let context = self.context();
        if positions <= context {
            return Ok(());
        }
        Err(Error::input(format!("{positions} positions are beyond the model's context of {context}; give it fewer tokens")))
    }

    fn piece(&self, part: &Part<'_>, index: usize, tokens: Range<usize>, rows: Range<usize>) -> Piece {
        let positions = part.sequence.len()..part.sequence.len() + tokens.len();
        let Ropes { all, window } = self.ropes();
        let window_angles = window.as_ref().map(|rope| rope.angles(positions.clone()));
        Piece { part: index, tokens, rows, angles: all.angles(positions), window_angles }
    }

    /// Takes a batch through all layers; the logits of its rows that are asked for.
    fn batch_of(&self, parts: &mut [Part<'_>], pieces: &[Piece]) -> Result<Vec<f32>> {
        let tokens =
            pieces.iter().flat_map(|piece| &parts[piece.part].tokens[piece.tokens.clone()]).copied().collect::<Vec<_>>();
        let mut x = self.embed(&tokens)?;
        for step in self.steps() {
            self.step(step, &mut x, parts, pieces).map_err(|error| error.within(|| step.place()))?;
        }
        for piece in pieces {
            let Part { sequence, tokens, .. } = &mut parts[piece.part];
            sequence.tokens.extend_from_slice(&tokens[piece.tokens.clone()]);
        }
        let width = x.len() / tokens.len();
        let mut wanted = Vec::new();
        for piece in pieces {
            let rows = parts[piece.part].wanted(piece.tokens.clone());
            let first = piece.rows.start + rows.start - piece.tokens.start;
            wanted.extend_from_slice(&x[first * width..(first + rows.len()) * width]);
        }
        self.head(&wanted, wanted.len() / width).map_err(|error| error.within(|| "the head".to_owned()))
    }

    fn step(&self, step: &Step, x: &mut Vec<f32>, parts: &mut [Part<'_>], pieces: &[Piece]) -> Result<()> {
        let batch = x.len() / self.width();
        let norm = Norm { weights: &step.norm, eps: self.eps() };
        let (inner, out) = match &step.op {
            Op::Attention(attend) => {
                let projections = attend.inputs.each_ref().map(|matrix| matrix.projection());
                let call = Call { projections: &projections, x, batch, norm: Some(norm), ..Call::default() };
                let mut outputs = attend.inputs.each_ref().map(|matrix| vec![0.0; batch * matrix.weights.n()]);
                self.run(self.operations().several, &call, &mut outputs.each_mut().map(|output| &mut output[..]))?;
                (self.attend(attend, outputs, parts, pieces)?, &attend.out)
            }
            Op::Gated(gated) => {
                let projections = [gated.gate.projection(), gated.up.projection()];
                let call = Call { projections: &projections, x, batch, norm: Some(norm), ..Call::default() };
                let mut output = vec![0.0; batch * gated.gate.weights.n()];
                self.run(gated.operation, &call, &mut [&mut output])?;
                (output, &gated.down)
            }
            Op::Experts(experts) => {
                let output = self.experts(experts, norm, x, batch)?;
                return self.add(step, output, x);
            }
        };
        self.finish(step, out, &inner, x, batch)
    }

    /// Attention of each piece to the sequence that it is of.
    fn attend(&self, attend: &Attend, qkv: [Vec<f32>; 3], parts: &mut [Part<'_>], pieces: &[Piece]) -> Result<Vec<f32>> {
        let [mut q, k, v] = qkv;
        let attention: Attention<'_> = attend.attention;
        let attention = attention.sinks(attend.sinks.as_deref()).isa(self.isa());
        let mut out = vec![0.0; q.len()];
        let (of_query, of_key) = (attend.inputs[0].weights.n(), attend.inputs[1].weights.n());
        for piece in pieces {
            let cache = &mut parts[piece.part].sequence.caches[attend.cache];
            let at = |values: usize| piece.rows.start * values..piece.rows.end * values;
            let mut preparation = Preparation::default();
            if let Some(weights) = &attend.q_norm {
                preparation = preparation.query_norm(weights, self.eps());
            }
            if let Some(weights) = &attend.k_norm {
                preparation = preparation.key_norm(weights, self.eps());
            }
            if let Some(angles) = attend.angles {
                preparation = preparation.rotation(match (angles, &piece.window_angles) {
                    (Angles::Window, Some(window)) => window,
                    (Angles::All, _) | (Angles::Window, None) => &piece.angles,
                });
            }
            let (first, queries) = (cache.len(), &mut q[at(of_query)]);
            cache.append(queries, &k[at(of_key)], &v[at(of_key)], &preparation, self.pool())?;
            if let Some(temperature) = attend.temperature {
                for (position, query) in (first..).zip(queries.chunks_exact_mut(of_query)) {
                    let factor = temperature.of(position);
                    query.iter_mut().for_each(|value| *value *= factor);
                }
            }
            attention.attend(cache, queries, first, &mut out[at(of_query)], self.pool())?;
        }
        Ok(out)
    }

    /// Multiplies by the last matrix of a step, and adds what it comes to.
    fn finish(&self, step: &Step, out: &Matrix, inner: &[f32], x: &mut Vec<f32>, batch: usize) -> Result<()> {
        let projections = [out.projection()];
        let plain = step.post_norm.is_none() && step.residual.is_none();
        let call = Call { projections: &projections, x: inner, batch, residual: plain.then_some(&x[..]), ..Call::default() };
        let mut y = vec![0.0; x.len()];
        self.run(self.operations().linear, &call, &mut [&mut y])?;
        if plain {
            *x = y;
            return Ok(());
        }
        self.add(step, y, x)
    }

    /// Adds what a step comes to.
    fn add(&self, step: &Step, mut y: Vec<f32>, x: &mut [f32]) -> Result<()> {
        if let Some(weights) = &step.post_norm {
            operation::rms_norm(&mut y, &Norm { weights, eps: self.eps() })?;
        }
        let scale = step.residual.unwrap_or(1.0);
        x.iter_mut().zip(y).for_each(|(x, y)| *x += y * scale);
        Ok(())
    }

    /// Logits of rows of the last layer's result.
    fn head(&self, x: &[f32], batch: usize) -> Result<Vec<f32>> {
        let (head, norm) = self.head_parts();
        let projections = [head.projection()];
        let norm = Some(Norm { weights: norm, eps: self.eps() });
        let mut logits = vec![0.0; batch * self.vocabulary()];
        if batch == 0 {
            return Ok(logits);
        }
        self.run(
            self.operations().norm_linear,
            &Call { projections: &projections, x, batch, norm, ..Call::default() },
            &mut [&mut logits],
        )?;
        if let Some(scale) = self.logit_scale() {
            logits.iter_mut().for_each(|logit| *logit *= scale);
        }
        Ok(logits)
    }

    pub(crate) fn run(&self, operation: &Operation, call: &Call<'_>, outputs: &mut [&mut [f32]]) -> Result<()> {
        let request: Request = self.request();
        operation::run(operation, call, outputs, &request, self.pool())?;
        Ok(())
    }
}
