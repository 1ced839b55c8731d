//! How fast a model would write text, if nothing but its matrices took time.

use quantloom::gguf::{Gguf, Value};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::report::numbers::significant;
use super::screen::filled;

/// What a token is not multiplied by: data, in `token.toml`.
#[derive(Debug, Deserialize)]
pub struct Exceptions {
    row: Vec<Row>,
    experts: Experts,
}

/// A tensor of which a token takes one row.
#[derive(Debug, Deserialize)]
struct Row {
    tensor: String,
    /// Only in models that have this one too.
    beside: Option<String>,
}

/// Matrices that are stacked in a tensor, of which some take part.
#[derive(Debug, Deserialize)]
struct Experts {
    /// How the names of such tensors end.
    end: String,
    /// The keys of how many take part and of how many there are, after the architecture.
    used: String,
    all: String,
}

impl Exceptions {
    /// The file of this build: it is compiled in, and a test reads it.
    pub fn get() -> Self {
        toml::from_str(include_str!("../token.toml")).expect("token.toml was tested")
    }

    /// The part of a tensor's rows that one token is multiplied by.
    pub fn part(&self, file: &Gguf, tensor: &str) -> f64 {
        let has = |name: &str| file.tensors().iter().any(|tensor| tensor.name == name);
        if self.row.iter().any(|row| row.tensor == tensor && row.beside.as_deref().is_none_or(has)) {
            return 0.0;
        }
        let architecture = file.value("general.architecture").and_then(Value::as_str).unwrap_or_default();
        let number = |key: &str| file.value(&format!("{architecture}.{key}"))?.as_u64();
        match (number(&self.experts.used), number(&self.experts.all)) {
            (Some(used), Some(all)) if tensor.ends_with(&self.experts.end) && (1..=all).contains(&used) => {
                used as f64 / all as f64
            }
            _ => 1.0,
        }
    }
}

/// What such numbers leave out.
const WITHOUT: &str = "That is without attention and all else that is no matrix: a program is slower.";

/// What the matrices of a model take for one batch, each as often as a token is multiplied by it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pass {
    /// Tokens at once.
    pub batch: usize,
    /// Seconds for all of them.
    pub seconds: f64,
}

impl Pass {
    /// Tokens per second.
    pub fn tokens(self) -> f64 {
        self.batch as f64 / self.seconds
    }

    /// As a document.
    pub fn json(self) -> Json {
        json!({ "batch": self.batch, "ms": 1e3 * self.seconds, "tokens_per_s": self.tokens() })
    }
}

/// The passes of some times, which are for a batch, how many such matrices there are, and seconds; the smallest batch first.
pub fn passes(times: impl Iterator<Item = (usize, f64, f64)> + Clone) -> Vec<Pass> {
    let mut batches = times.clone().map(|(batch, ..)| batch).collect::<Vec<_>>();
    batches.sort_unstable();
    batches.dedup();
    let pass = |batch| Pass {
        batch,
        seconds: times.clone().filter(|time| time.0 == batch).map(|(_, count, seconds)| count * seconds).sum(),
    };
    batches.into_iter().map(pass).filter(|pass| pass.seconds > 0.0).collect()
}

/// What a model comes to, one line for each batch; `what` it is called.
pub fn lines(what: &str, passes: &[Pass]) -> String {
    let line = |pass: &Pass| {
        let (tokens, ms) = (significant(pass.tokens()), significant(1e3 * pass.seconds));
        match pass.batch {
            1 => format!("{what}: about {tokens} tokens/s from these matrices, {ms} ms for one token"),
            batch => format!("{what}: about {tokens} tokens/s of a prompt, {ms} ms for {batch} tokens at once"),
        }
    };
    if passes.is_empty() {
        return String::new();
    }
    let lines = passes.iter().map(line).chain([WITHOUT.to_owned()]);
    lines.map(|line| filled(&line, 2) + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_takes_every_matrix_as_often_as_there_are() {
        let times = [(1, 12.0, 0.25), (128, 22.0, 0.25), (1, 1.0, 1.0), (128, 0.0, 9.0)];
        let passes = passes(times.into_iter());
        assert_eq!(passes, [Pass { batch: 1, seconds: 4.0 }, Pass { batch: 128, seconds: 5.5 }]);
        let text = lines("It", &passes);
        assert!(text.starts_with("It: about 0.25 tokens/s from these matrices, 4000 ms for one token\n"), "{text}");
        assert!(text.contains("It: about 23.3 tokens/s of a prompt, 5500 ms for 128 tokens at once\n"), "{text}");
        assert_eq!(lines("It", &[]), "");
    }

    #[test]
    fn the_exceptions_are_read() {
        let Exceptions { row, experts } = Exceptions::get();
        assert!(!row.is_empty() && !experts.end.is_empty());
    }
}
