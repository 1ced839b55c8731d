//! `quantloom generate`: what a model says.

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use quantloom::gguf::Gguf;
use quantloom_models::text::{Chat, Message, Sampling, Tokenizer};
use quantloom_models::{End, Generation};
use quantloom_spec::text::{escaped, is_unseen};
use serde_json::json;

use super::Failure;
use super::failure::{document, print_as_it_is, tell};
use super::language::{Run, prompt, tune};
use super::source;

/// Let a model go on from a text, or answer it
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "quantloom generate [OPTIONS] --prompt <TEXT> <MODEL>",
    after_help = "Without a temperature the likeliest token follows, always. With one, tokens are drawn, and another seed draws others. Either way
the text is the same on every processor, with any number of threads. The first time, kernels are measured for some seconds, unless QUANTLOOM_TUNE is off.

Example: quantloom generate model.gguf --chat -p \"What is the capital of France?\""
)]
pub struct Args {
    /// The model
    #[arg(value_name = "MODEL.gguf")]
    model: PathBuf,
    /// What to go on from, or with --chat to answer
    #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true)]
    prompt: String,
    /// Tokens at most [default: until the model ends, or its context]
    #[arg(short, value_name = "N", allow_negative_numbers = true)]
    n: Option<usize>,
    /// Answer the prompt, as the model's chat template has it
    #[arg(long)]
    chat: bool,
    /// What the model is told before the prompt
    #[arg(long, value_name = "TEXT", requires = "chat", allow_hyphen_values = true)]
    system: Option<String>,
    #[command(flatten)]
    sampling: Draw,
    /// Guess so many tokens, at most 15, from the text so far, and check them together: the text stays the same
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    lookup: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    run: Run,
}

/// How tokens are chosen.
#[derive(Debug, clap::Args)]
struct Draw {
    /// What is drawn, given a temperature
    #[arg(long, value_name = "S", default_value_t = 0, allow_negative_numbers = true)]
    seed: u64,
    /// How far less likely tokens are considered; 0: not at all
    #[arg(long, value_name = "T", value_parser = not_negative, default_value = "0", allow_negative_numbers = true)]
    temperature: f32,
    /// So many of the likeliest tokens are considered; 0: all
    #[arg(long, value_name = "K", default_value_t = 0, allow_negative_numbers = true)]
    top_k: usize,
    /// Those likeliest tokens are considered that have this part of the probability
    #[arg(long, value_name = "P", value_parser = fraction, default_value = "1", allow_negative_numbers = true)]
    top_p: f32,
    /// Tokens are considered that are at least this times as likely as the likeliest
    #[arg(long, value_name = "P", value_parser = fraction, default_value = "0", allow_negative_numbers = true)]
    min_p: f32,
    /// How much less likely tokens become that were there before; 1: not at all
    #[arg(long, value_name = "R", value_parser = positive, default_value = "1", allow_negative_numbers = true)]
    repeat_penalty: f32,
}

impl Draw {
    fn sampling(&self) -> Sampling {
        let Self { seed, temperature, top_k, top_p, min_p, repeat_penalty } = *self;
        Sampling { seed, temperature, top_k, top_p, min_p, repeat_penalty }
    }
}

/// Prints the text as it comes, then how fast that was.
pub fn run(args: &Args) -> Result<(), Failure> {
    let file = source::model(&args.model)?;
    let tokenizer = Tokenizer::of(file.file())?;
    let prompt = prompt(&tokenizer, &args.prompt(&tokenizer, file.file())?)?;
    let model = args.run.model(file)?;
    model.fits(prompt.len())?;
    tune(&model)?;
    let begun = Instant::now();
    let generation = Generation::new(&model, &tokenizer, &prompt, args.sampling.sampling())?;
    let mut generation = generation.limit(args.n.unwrap_or(usize::MAX)).lookup(args.lookup);
    let read = begun.elapsed();
    let (mut tokens, mut text) = (Vec::new(), String::new());
    for generated in &mut generation {
        let generated = generated?;
        if !args.json {
            print_as_it_is(&on_screen(&generated.text))?;
        }
        tokens.push(generated.token);
        text += &generated.text;
    }
    let wrote = begun.elapsed() - read;
    let end = generation.ended();
    if args.json {
        let speeds = json!({ "prompt": rate(prompt.len(), read), "generation": rate(tokens.len(), wrote) });
        let printed = json!({
            "text": text, "tokens": tokens, "prompt_tokens": prompt, "ended": end.map(reason), "tokens_per_second": speeds,
        });
        print_as_it_is(&document(&printed))?;
    } else if !text.ends_with('\n') {
        print_as_it_is("\n")?;
    }
    if end == Some(End::Context) {
        tell(&format!("note: the model's context of {} is full", model.context()));
    }
    let speed = |count, time| rate(count, time).map_or_else(String::new, |rate| format!(", {rate:.1} tokens/s"));
    let (of_prompt, of_text) = (speed(prompt.len(), read), speed(tokens.len(), wrote));
    tell(&format!("prompt: {} tokens{of_prompt}; generation: {} tokens{of_text}", prompt.len(), tokens.len()));
    Ok(())
}

impl Args {
    /// The text that the model is given.
    fn prompt(&self, tokenizer: &Tokenizer, file: &Gguf) -> Result<String, Failure> {
        if !self.chat {
            return Ok(self.prompt.clone());
        }
        let chat = Chat::of(file, tokenizer)?;
        let system = self.system.iter().map(|text| Message::new("system", text));
        let messages: Vec<_> = system.chain([Message::new("user", &self.prompt)]).collect();
        Ok(chat.prompt(&messages)?)
    }
}

/// Why a generation ended, in a word.
fn reason(end: End) -> &'static str {
    match end {
        End::Answered => "answered",
        End::Limit => "limit",
        End::Context => "context",
        End::Failed => "failed",
    }
}

/// Tokens a second, where there were some.
fn rate(count: usize, time: Duration) -> Option<f64> {
    (count > 0 && !time.is_zero()).then(|| count as f64 / time.as_secs_f64())
}

/// A text as standard output shows it: a terminal obeys nothing in it but lines and tabs; what is not a terminal has it as it is.
fn on_screen(text: &str) -> String {
    if io::stdout().is_terminal() { harmless(text) } else { text.to_owned() }
}

/// A text in which a terminal obeys nothing but lines and tabs.
fn harmless(text: &str) -> String {
    let is_kept = |c| matches!(c, '\n' | '\t') || !is_unseen(c);
    text.chars().map(|c| if is_kept(c) { c.to_string() } else { escaped(&c.to_string()) }).collect()
}

/// Reads a number from 0 on.
fn not_negative(text: &str) -> Result<f32, String> {
    number(text, |number| number >= 0.0, "from 0 on")
}

/// Reads a number above 0.
fn positive(text: &str) -> Result<f32, String> {
    number(text, |number| number > 0.0, "above 0")
}

/// Reads a part of a whole.
fn fraction(text: &str) -> Result<f32, String> {
    number(text, |number| (0.0..=1.0).contains(&number), "from 0 to 1")
}

/// Reads a number that may be so.
fn number(text: &str, may_be: impl Fn(f32) -> bool, what: &str) -> Result<f32, String> {
    let number = text.parse().ok().filter(|number: &f32| number.is_finite() && may_be(*number));
    number.ok_or_else(|| format!("it is a number {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_obeys_lines_and_tabs_alone() {
        assert_eq!(harmless("a\tb\n\u{1b}[31mé\u{9b}🙂\r"), "a\tb\n\\u{1b}[31mé\\u{9b}🙂\\r");
    }

    #[test]
    fn settings_are_numbers_that_mean_something() {
        assert_eq!([not_negative("0"), positive("1.5"), fraction("1")], [Ok(0.0), Ok(1.5), Ok(1.0)]);
        for wrong in [not_negative("-1"), not_negative("inf"), positive("0"), fraction("1.01"), fraction("NaN"), fraction("x")]
        {
            assert!(wrong.unwrap_err().starts_with("it is a number "));
        }
    }
}
