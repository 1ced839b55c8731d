//! Which token comes next: the likeliest, or one that is drawn. The same everywhere: `docs/numerics.md` defines it.

use std::cmp::Ordering;

use quantloom::Error;
use quantloom::machine::StandardFloats;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

use crate::error::Result;

/// The weight of the likeliest token.
const ONE: u64 = 1 << 40;

/// Logits of a position, at most: the sum of their weights has 63 bits then.
const MOST: usize = 1 << 23;

/// How tokens are chosen. What is drawn is a function of these, the logits, the tokens before and the position.
///
/// ```
/// use quantloom_models::text::Sampling;
///
/// let logits = [0.5, 2.0, 1.5, -1.0];
/// assert_eq!(Sampling::default().choose(&logits, &[], 7)?, 1); // the likeliest
///
/// let drawn = Sampling { seed: 42, temperature: 0.8, top_k: 3, ..Sampling::default() };
/// assert_eq!(drawn.choose(&logits, &[], 7)?, drawn.choose(&logits, &[], 7)?);
/// # Ok::<(), quantloom_models::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Another seed draws other tokens.
    pub seed: u64,
    /// How far less likely tokens are considered; 0 takes the likeliest.
    pub temperature: f32,
    /// So many of the likeliest tokens are considered; 0 for all.
    pub top_k: usize,
    /// The likeliest tokens are considered which together have this part of the probability.
    pub top_p: f32,
    /// Tokens are considered that are at least this times as likely as the likeliest.
    pub min_p: f32,
    /// What logits of tokens that were there before are divided by if they are positive, else multiplied by.
    pub repeat_penalty: f32,
}

impl Default for Sampling {
    /// The likeliest token.
    fn default() -> Self {
        Self { seed: 0, temperature: 0.0, top_k: 0, top_p: 1.0, min_p: 0.0, repeat_penalty: 1.0 }
    }
}

/// A token that may be chosen.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    token: u32,
    logit: f32,
    weight: u64,
}

impl Candidate {
    /// The likelier first, of equals the one with the lower number.
    fn order(&self, other: &Self) -> Ordering {
        other.logit.partial_cmp(&self.logit).unwrap_or(Ordering::Equal).then(self.token.cmp(&other.token))
    }
}

impl Sampling {
    /// Chooses the token at `position` (counted from 0 at the beginning of the sequence) from the logits of the position before it; the
    /// tokens before it are penalised.
    ///
    /// # Errors
    /// [`quantloom::Error::BadValue`] if a logit is infinite or not a number (-infinity is allowed, but not everywhere), or there is none;
    /// [`quantloom::Error::Shape`] if there are more than 2^23.
    pub fn choose(&self, logits: &[f32], before: &[u32], position: u64) -> Result<u32> {
        let _floats = StandardFloats::set();
        if logits.len() > MOST {
            return Err(
                Error::Shape { what: "the logits of a position", unit: "values", found: logits.len(), wanted: MOST }.into()
            );
        }
        let bad = |index| Error::BadValue { what: "logits".to_owned(), index, wanted: "a number that is not infinite" };
        if let Some(index) = logits.iter().position(|logit| logit.is_nan() || *logit == f32::INFINITY) {
            return Err(bad(index).into());
        }
        let mut candidates: Vec<_> = (0..).zip(logits).map(|(token, &logit)| Candidate { token, logit, weight: 0 }).collect();
        self.penalise(&mut candidates, before);
        let best = candidates.iter().min_by(|a, b| a.order(b)).filter(|best| best.logit > f32::NEG_INFINITY);
        let &best = best.ok_or_else(|| bad(0))?;
        if self.temperature <= 0.0 {
            return Ok(best.token);
        }
        if (1..candidates.len()).contains(&self.top_k) {
            candidates.select_nth_unstable_by(self.top_k - 1, Candidate::order);
            candidates.truncate(self.top_k);
        }
        for candidate in &mut candidates {
            let below = (f64::from(candidate.logit) - f64::from(best.logit)) / f64::from(self.temperature);
            candidate.weight = (libm::exp(below) * ONE as f64) as u64;
        }
        Ok(self.draw(Descending::new(candidates), position))
    }

    /// Makes tokens less likely that were there before.
    fn penalise(&self, candidates: &mut [Candidate], before: &[u32]) {
        if self.repeat_penalty == 1.0 {
            return;
        }
        let mut seen = vec![false; candidates.len()];
        for token in before {
            let place = *token as usize;
            // Each once, however often it was there.
            if seen.get(place) == Some(&false) {
                seen[place] = true;
                let candidate = &mut candidates[place];
                let logit = candidate.logit;
                candidate.logit = if logit > 0.0 { logit / self.repeat_penalty } else { logit * self.repeat_penalty };
            }
        }
    }

    /// Draws one of the likeliest candidates, as often as its weight says.
    fn draw(&self, mut candidates: Descending, position: u64) -> u32 {
        let mut total: u64 = candidates.all.iter().map(|candidate| candidate.weight).sum();
        if self.top_p < 1.0 || self.min_p > 0.0 {
            let enough = f64::from(self.top_p) * total as f64;
            let least = f64::from(self.min_p) * ONE as f64;
            let mut sum = 0;
            for place in 0..candidates.all.len() {
                let weight = candidates.get(place).weight;
                if place > 0 && (sum as f64 >= enough || (weight as f64) < least) {
                    break;
                }
                sum += weight;
            }
            total = sum;
        }
        let drawn = ((u128::from(number(self.seed, position)) * u128::from(total)) >> 64) as u64;
        let mut sum = 0;
        for place in 0..candidates.all.len() {
            let candidate = candidates.get(place);
            sum += candidate.weight;
            if sum > drawn {
                return candidate.token;
            }
        }
        candidates.get(0).token
    }
}

/// The number that is drawn at a position.
fn number(seed: u64, position: u64) -> u64 {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    let mut stream = ChaCha8Rng::from_seed(key);
    stream.set_stream(position);
    stream.next_u64()
}

/// Candidates in their order, as far as it is asked for: rarely is more than the beginning.
struct Descending {
    all: Vec<Candidate>,
    sorted: usize,
}

impl Descending {
    fn new(all: Vec<Candidate>) -> Self {
        Self { all, sorted: 0 }
    }

    /// The candidate at that place of the order.
    fn get(&mut self, place: usize) -> Candidate {
        while self.sorted <= place {
            let end = (2 * self.sorted).max(64).min(self.all.len());
            let rest = &mut self.all[self.sorted..];
            let more = end - self.sorted;
            if more < rest.len() {
                rest.select_nth_unstable_by(more, Candidate::order);
            }
            rest[..more].sort_unstable_by(Candidate::order);
            self.sorted = end;
        }
        self.all[place]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often each token is drawn at 4,000 positions.
    fn counts(sampling: &Sampling, logits: &[f32]) -> Vec<usize> {
        let mut counts = vec![0; logits.len()];
        for position in 0..4000 {
            counts[sampling.choose(logits, &[], position).unwrap() as usize] += 1;
        }
        counts
    }

    /// Logits without a pattern, several of them equal.
    fn logits(count: u64) -> Vec<f32> {
        (0..count).map(|i| (number(1, i) % 61) as f32 / 7.0).collect()
    }

    #[test]
    fn the_likeliest_is_the_first_of_equals() {
        let greedy = Sampling::default();
        assert_eq!(greedy.choose(&[1.0, 3.0, 3.0, 2.0], &[], 0).unwrap(), 1);
        assert_eq!(greedy.choose(&[-0.0, 0.0], &[], 0).unwrap(), 0);
        assert_eq!(greedy.choose(&[f32::NEG_INFINITY, -7.0], &[], 0).unwrap(), 1);
    }

    #[test]
    fn what_is_drawn_is_written_down() {
        // By another program, written from the definition.
        assert_eq!(
            [number(0, 0), number(42, 0), number(42, 1)],
            [15_438_444_565_445_410_878, 6_424_161_053_832_095_879, 14_330_608_400_789_313_726]
        );
        let logits = logits(1000);
        let drawn = |sampling: Sampling| [0, 1, 2, 511, 4096].map(|position| sampling.choose(&logits, &[], position).unwrap());
        let hot = Sampling { seed: 42, temperature: 0.8, ..Sampling::default() };
        assert_eq!(drawn(hot), [770, 196, 19, 767, 577]);
        assert_eq!(drawn(Sampling { top_k: 40, ..hot }), [648, 944, 553, 944, 298]);
        assert_eq!(drawn(Sampling { top_p: 0.5, ..hot }), [782, 35, 640, 10, 173]);
        assert_eq!(drawn(Sampling { min_p: 0.9, ..hot }), [389, 782, 134, 781, 812]);
    }

    #[test]
    fn tokens_are_drawn_as_often_as_they_are_likely() {
        let logits = [1.0, 2.0, 0.0, 1.0f32];
        let sampling = Sampling { seed: 3, temperature: 0.5, ..Sampling::default() };
        let total: f64 = logits.iter().map(|logit| (f64::from(*logit) / 0.5).exp()).sum();
        for (count, logit) in counts(&sampling, &logits).into_iter().zip(logits) {
            let wanted = 4000.0 * (f64::from(logit) / 0.5).exp() / total;
            assert!((count as f64 - wanted).abs() < 4.0 * wanted.sqrt(), "{count} of {wanted}");
        }
    }

    #[test]
    fn only_the_likeliest_are_considered() {
        let logits = [0.0, 3.0, 2.0, 2.0, 1.0f32];
        let hot = Sampling { temperature: 4.0, ..Sampling::default() };
        let drawn = |sampling: Sampling| {
            let counts = counts(&sampling, &logits);
            (0..logits.len()).filter(|&token| counts[token] > 0).collect::<Vec<_>>()
        };
        assert_eq!(drawn(hot), [0, 1, 2, 3, 4]);
        assert_eq!(drawn(Sampling { top_k: 2, ..hot }), [1, 2], "of equals the lower");
        assert_eq!(drawn(Sampling { top_k: 9, ..hot }), [0, 1, 2, 3, 4]);
        // Probabilities 0.275, 0.214, 0.214, 0.167, 0.130 at this temperature.
        assert_eq!(drawn(Sampling { top_p: 0.1, ..hot }), [1]);
        assert_eq!(drawn(Sampling { top_p: 0.45, ..hot }), [1, 2]);
        assert_eq!(drawn(Sampling { top_p: 0.7, ..hot }), [1, 2, 3]);
        // Times as likely as the likeliest: 1, 0.78, 0.78, 0.61, 0.47.
        assert_eq!(drawn(Sampling { min_p: 0.7, ..hot }), [1, 2, 3]);
        assert_eq!(drawn(Sampling { min_p: 0.5, top_k: 3, top_p: 0.9, ..hot }), [1, 2, 3]);
        assert_eq!(drawn(Sampling { temperature: 1e-40, ..hot }), [1]);
    }

    #[test]
    fn sorting_in_parts_is_sorting() {
        let all: Vec<_> = (0..).zip(logits(3000)).map(|(token, logit)| Candidate { token, logit, weight: 0 }).collect();
        let mut sorted = all.clone();
        sorted.sort_by(Candidate::order);
        let mut parts = Descending::new(all);
        for (place, candidate) in sorted.iter().enumerate() {
            assert_eq!(parts.get(place).token, candidate.token, "{place}");
        }
    }

    #[test]
    fn what_was_there_is_less_likely_whatever_its_sign() {
        let penalised = Sampling { repeat_penalty: 1.5, ..Sampling::default() };
        assert_eq!(penalised.choose(&[2.0, 1.5], &[0, 0, 7], 0).unwrap(), 1, "1.33 once, not 0.89");
        assert_eq!(penalised.choose(&[2.0, 1.2], &[0, 0], 0).unwrap(), 0);
        assert_eq!(penalised.choose(&[-1.0, -1.2], &[0], 0).unwrap(), 1);
    }

    #[test]
    fn logits_that_say_nothing_are_errors() {
        let hot = Sampling { temperature: 1.0, ..Sampling::default() };
        for sampling in [Sampling::default(), hot] {
            for (logits, index) in
                [(&[0.0, f32::NAN][..], 1), (&[f32::INFINITY, 0.0], 0), (&[f32::NEG_INFINITY; 2], 0), (&[], 0)]
            {
                let error = sampling.choose(logits, &[], 0).unwrap_err();
                let crate::Error::Quantloom(Error::BadValue { index: found, .. }) = error else {
                    panic!("{logits:?}: {error}")
                };
                assert_eq!(found, index, "{logits:?}");
            }
        }
        assert!(matches!(hot.choose(&vec![0.0; MOST + 1], &[], 0), Err(crate::Error::Quantloom(Error::Shape { .. }))));
    }
}
