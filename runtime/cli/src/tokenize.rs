//! `quantloom tokenize`: the tokens of a text.

use std::path::PathBuf;

use quantloom_models::text::Tokenizer;
use serde_json::json;

use super::Failure;
use super::failure::{document, print_as_it_is};
use super::language::{prompt, text_of, tokens};
use super::source;
use super::table::{Align, Table};

/// Show the tokens of a text
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "quantloom tokenize [OPTIONS] <--prompt <TEXT>|--lines <FILE>> <MODEL>",
    after_help = "They are those that a model is given: control tokens are parsed, and the model's own at the beginning and end are there.
Of a file, each line is a text by itself; its tokens are a line, or in JSON one of `lines`.

Example: quantloom tokenize model.gguf -p \"Hello, world\" --json"
)]
pub struct Args {
    /// The model
    #[arg(value_name = "MODEL.gguf")]
    model: PathBuf,
    /// The text
    #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true, required_unless_present = "lines")]
    prompt: Option<String>,
    /// A file of texts in UTF-8, one in each line
    #[arg(long, value_name = "FILE", conflicts_with = "prompt")]
    lines: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Prints them.
pub fn run(args: &Args) -> Result<(), Failure> {
    let model = source::model(&args.model)?;
    let tokenizer = Tokenizer::of(model.file())?;
    if let Some(file) = &args.lines {
        return lines(&tokenizer, &text_of(file)?, args.json);
    }
    let tokens = prompt(&tokenizer, args.prompt.as_deref().unwrap_or_default())?;
    if args.json {
        return print_as_it_is(&document(&json!({ "tokens": tokens })));
    }
    let mut table = Table::new(&[("token", Align::Right), ("text", Align::Left)]);
    for token in tokens {
        // Bytes that are no character by themselves are seen as such.
        let piece: String = tokenizer.piece(token).utf8_chunks().map(shown).collect();
        table.row([token.to_string(), format!("\"{piece}\"")]);
    }
    print_as_it_is(&table.to_string())
}

/// Prints the tokens of each line.
fn lines(tokenizer: &Tokenizer, text: &str, json: bool) -> Result<(), Failure> {
    // Nothing but a line feed ends a line: all else is part of it.
    let lines = text.strip_suffix('\n').unwrap_or(text).split('\n').filter(|_| !text.is_empty());
    let lines = tokens(tokenizer, lines)?;
    if json {
        return print_as_it_is(&document(&json!({ "lines": lines })));
    }
    let row = |tokens: &Vec<u32>| tokens.iter().map(u32::to_string).collect::<Vec<_>>().join(" ") + "\n";
    print_as_it_is(&lines.iter().map(row).collect::<String>())
}

/// A part of a token, with the bytes behind it that are no character.
fn shown(chunk: std::str::Utf8Chunk<'_>) -> String {
    let bytes: String = chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")).collect();
    format!("{}{bytes}", chunk.valid())
}
