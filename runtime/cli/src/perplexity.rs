//! `quantloom perplexity`: how well a model foretells a text.

use std::path::{Path, PathBuf};

use quantloom_models::text::Tokenizer;
use quantloom_models::{LanguageModel, Part, Wanted};
use quantloom_spec::text::shown;
use serde_json::json;

use super::Failure;
use super::failure::{document, print, print_as_it_is};
use super::language::{Run, prompt, text_of, tune};
use super::progress::bar;

/// Tokens that go through the model together: their logits are held at once, one for each token of the vocabulary.
const BATCH: usize = 256;

/// Standard errors on each side of a mean that it is within, 19 times of 20.
const INTERVAL: f64 = 1.96;

/// Measure how well a model foretells a text
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The text is cut into parts as long as the model's context, each of which begins anew. Of every token but the first of its part, -ln p is taken, p being what the model gave it: the perplexity is e to the mean of that. With --json, `tokens` is how many the mean is of, and `error` the standard error of the perplexity.

Example: quantloom perplexity model.gguf text.txt"
)]
pub struct Args {
    /// The model
    #[arg(value_name = "MODEL.gguf")]
    model: PathBuf,
    /// The text, in UTF-8
    #[arg(value_name = "TEXT.txt")]
    text: PathBuf,
    /// Print a JSON document
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    run: Run,
}

/// Measures, and prints what came of it.
pub fn run(args: &Args) -> Result<(), Failure> {
    let text = text_of(&args.text)?;
    let model = args.run.open(&args.model)?;
    let tokens = prompt(&Tokenizer::of(model.file())?, &text)?;
    // A short text takes less time than choosing kernels for it.
    if tokens.len() >= BATCH {
        tune(&model)?;
    }
    let vocabulary = model.vocabulary();
    if let Some(token) = tokens.iter().find(|token| **token as usize >= vocabulary) {
        return Err(Failure::Input(format!(
            "{}: its tokenizer has a token {token}, and its embedding {vocabulary} rows; convert the model again",
            shown(&args.model)
        )));
    }
    let losses = losses(&model, &tokens, &args.model)?;
    let result = Perplexity::of(&losses).ok_or_else(|| {
        Failure::Input(format!(
            "{}: there is nothing to foretell in {} tokens; give it more text",
            shown(&args.text),
            tokens.len()
        ))
    })?;
    if args.json { print_as_it_is(&document(&result.json())) } else { print(&result.text()) }
}

/// What the model has against each token that it could foretell.
fn losses(model: &LanguageModel, tokens: &[u32], path: &Path) -> Result<Vec<f64>, Failure> {
    let bar = bar(tokens.len() as u64, "foretelling");
    let (mut losses, mut sequence) = (Vec::new(), model.sequence()?);
    for (number, part) in tokens.chunks(model.context()).enumerate() {
        sequence.clear();
        for first in (0..part.len()).step_by(BATCH) {
            let end = part.len().min(first + BATCH);
            let logits = model.forward(&mut [Part::new(&mut sequence, &part[first..end], Wanted::All)])?;
            // The last token of a part foretells nothing that is known.
            let of_batch = logits.losses(&part[first + 1..part.len().min(end + 1)]);
            if let Some(place) = of_batch.iter().position(|loss| !loss.is_finite()) {
                let place = first + 1 + place;
                return Err(Failure::Input(format!(
                    "{}: what it gives token {} at place {place} of part {number} of the text (counted from 0) is no number; numbers of the \
                     model are wrong, or beyond what they are stored in: try --numerics exact --kv f32, or another file",
                    shown(path),
                    part[place]
                )));
            }
            losses.extend(of_batch);
            bar.inc((end - first) as u64);
        }
    }
    bar.finish_and_clear();
    Ok(losses)
}

/// How well a text was foretold.
#[derive(Debug)]
struct Perplexity {
    tokens: usize,
    /// The mean of `-ln p`, and its standard error.
    mean: f64,
    error: f64,
}

impl Perplexity {
    fn of(losses: &[f64]) -> Option<Self> {
        let (&[_, ..], count) = (losses, losses.len() as f64) else { return None };
        let mean = losses.iter().sum::<f64>() / count;
        let variance = losses.iter().map(|loss| (loss - mean).powi(2)).sum::<f64>() / (count - 1.0).max(1.0);
        Some(Self { tokens: losses.len(), mean, error: (variance / count).sqrt() })
    }

    fn json(&self) -> serde_json::Value {
        let perplexity = self.mean.exp();
        json!({ "tokens": self.tokens, "mean_nll": self.mean, "perplexity": perplexity, "error": perplexity * self.error })
    }

    fn text(&self) -> String {
        let Self { tokens, mean, error } = self;
        let [low, high] = [-INTERVAL, INTERVAL].map(|errors| (mean + errors * error).exp());
        format!("perplexity {:.4}, within {low:.4} to {high:.4} (95%), of {tokens} tokens: mean -ln p {mean:.6}\n", mean.exp())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_that_of_the_mean() {
        assert!(Perplexity::of(&[]).is_none());
        let result = Perplexity::of(&[1.0, 2.0, 3.0, 2.0]).unwrap();
        assert_eq!((result.tokens, result.mean), (4, 2.0));
        assert!((result.error - (2.0_f64 / 3.0 / 4.0).sqrt()).abs() < 1e-15);
        assert_eq!(Perplexity::of(&[2.0]).unwrap().error, 0.0);
    }
}
