//! How fast a model would write text, if nothing but its matrices took time.

use quantloom::gguf::{Gguf, Value};
use quantloom::kernels::abi::Peer;
use quantloom::machine::processor;
use quantloom::registry::Numerics;
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

/// Where other programs were measured.
const COMPARED: &str = "Others by their kernels of these formats on such a processor: docs/benchmarks.md.";

/// What one matrix of a model takes.
#[derive(Clone, Debug)]
pub struct Time {
    /// The name of its format.
    pub format: String,
    /// The class of the product.
    pub numerics: Numerics,
    /// Tokens at once.
    pub batch: usize,
    /// How often a token is multiplied by such a matrix.
    pub count: f64,
    /// Seconds for one product.
    pub seconds: f64,
}

/// What the matrices of a model take for one batch, each as often as a token is multiplied by it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pass {
    /// Tokens at once.
    pub batch: usize,
    /// Seconds for all of them.
    pub seconds: f64,
    /// Another program, and how many times its time that is, where the kernels of all formats were compared on such a processor.
    pub peer: Option<(&'static str, f64)>,
}

impl Pass {
    /// Tokens per second.
    pub fn tokens(self) -> f64 {
        self.batch as f64 / self.seconds
    }

    /// As a document.
    pub fn json(self) -> Json {
        let peer = self.peer.map(|(name, times)| json!({ "name": name, "times": times }));
        json!({ "batch": self.batch, "ms": 1e3 * self.seconds, "tokens_per_s": self.tokens(), "peer": peer })
    }
}

/// The comparisons that the card of this processor has.
pub fn peers() -> quantloom::Result<&'static [Peer]> {
    Ok(processor::here()?.card.map_or(&[], |card| card.peers))
}

/// The passes of some times, the smallest batch first.
pub fn passes(times: &[Time], peers: &[Peer]) -> Vec<Pass> {
    let mut batches = times.iter().map(|time| time.batch).collect::<Vec<_>>();
    batches.sort_unstable();
    batches.dedup();
    let pass = |batch| {
        let of_batch = times.iter().filter(|time| time.batch == batch);
        let seconds = of_batch.clone().map(|time| time.count * time.seconds).sum();
        let peer = peers.iter().find(|peer| peer.batch == batch).and_then(|peer| {
            // By the time that each format takes: `int8` was compared.
            let its = |time: &Time| match time.numerics {
                Numerics::Int8 => {
                    let (_, times) = peer.times.iter().find(|(format, _)| *format == time.format)?;
                    Some(times * time.count * time.seconds)
                }
                Numerics::Exact => None,
            };
            Some((peer.name, of_batch.map(its).sum::<Option<f64>>()? / seconds))
        });
        Pass { batch, seconds, peer }
    };
    batches.into_iter().map(pass).filter(|pass| pass.seconds > 0.0).collect()
}

/// What a model comes to, one line for each batch; `what` it is called.
pub fn lines(what: &str, passes: &[Pass]) -> String {
    let line = |pass: &Pass| {
        let (tokens, ms) = (significant(pass.tokens()), significant(1e3 * pass.seconds));
        let peer = pass.peer.map_or_else(String::new, |(name, times)| format!("; {times:.1} times {name}, core for core"));
        match pass.batch {
            1 => format!("{what}: about {tokens} tokens/s from these matrices, {ms} ms for one token{peer}"),
            batch => format!("{what}: about {tokens} tokens/s of a prompt, {ms} ms for {batch} tokens at once{peer}"),
        }
    };
    if passes.is_empty() {
        return String::new();
    }
    let compared = passes.iter().any(|pass| pass.peer.is_some()).then(|| COMPARED.to_owned());
    let lines = passes.iter().map(line).chain([WITHOUT.to_owned()]).chain(compared);
    lines.map(|line| filled(&line, 2) + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_takes_every_matrix_as_often_as_there_are() {
        let time = |format: &str, batch, count, seconds| Time {
            format: format.to_owned(),
            numerics: Numerics::Int8,
            batch,
            count,
            seconds,
        };
        let mut times =
            [time("A", 1, 12.0, 0.25), time("A", 128, 22.0, 0.25), time("B", 1, 1.0, 1.0), time("B", 128, 0.0, 9.0)];
        let peers = [
            Peer { name: "other", record: "some", batch: 1, times: &[("A", 1.5), ("B", 3.5)] },
            Peer { name: "other", record: "some", batch: 128, times: &[("A", 2.0)] },
        ];
        let found = passes(&times, &peers);
        let one = Pass { batch: 1, seconds: 4.0, peer: Some(("other", 2.0)) };
        assert_eq!(found, [one, Pass { batch: 128, seconds: 5.5, peer: None }]);
        let text = lines("It", &found);
        let joined = text.replace("\n  ", " ");
        assert!(
            joined.starts_with(
                "It: about 0.25 tokens/s from these matrices, 4000 ms for one token; 2.0 times other, core for core\n"
            ),
            "{text}"
        );
        assert!(joined.contains("It: about 23.3 tokens/s of a prompt, 5500 ms for 128 tokens at once\n"), "{text}");
        times[0].numerics = Numerics::Exact;
        assert!(passes(&times, &peers).iter().all(|pass| pass.peer.is_none()));
        assert_eq!(lines("It", &[]), "");
    }

    #[test]
    fn the_exceptions_are_read() {
        let Exceptions { row, experts } = Exceptions::get();
        assert!(!row.is_empty() && !experts.end.is_empty());
    }
}
