//! `quantloom tokenize`: the tokens of a text.

use std::path::PathBuf;

use quantloom_models::text::Tokenizer;
use serde_json::json;

use super::Failure;
use super::failure::{document, print_as_it_is};
use super::source;
use super::table::{Align, Table};

/// Show the tokens of a text
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "quantloom tokenize [OPTIONS] --prompt <TEXT> <MODEL>",
    after_help = "They are those that a model is given: control tokens are parsed, and the model's own at the beginning and end are there.

Example: quantloom tokenize model.gguf -p \"Hello, world\" --json"
)]
pub struct Args {
    /// The model
    #[arg(value_name = "MODEL.gguf")]
    model: PathBuf,
    /// The text
    #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true)]
    prompt: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Prints them.
pub fn run(args: &Args) -> Result<(), Failure> {
    let model = source::model(&args.model)?;
    let tokenizer = Tokenizer::of(model.file())?;
    let tokens = tokenizer.prompt(&args.prompt)?;
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

/// A part of a token, with the bytes behind it that are no character.
fn shown(chunk: std::str::Utf8Chunk<'_>) -> String {
    let bytes: String = chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")).collect();
    format!("{}{bytes}", chunk.valid())
}
