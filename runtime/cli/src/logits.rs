//! `quantloom logits`: what a model makes of each position.

use std::path::PathBuf;

use quantloom_models::text::Tokenizer;
use quantloom_models::{Options, Part, Wanted};

use super::Failure;
use super::args::batch;
use super::failure::tell;
use super::files::FloatWriter;
use super::language::{Run, prompt};

/// Write the logits of all positions of a text
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "quantloom logits [OPTIONS] <--tokens <IDS>|--prompt <TEXT>> -o <L> <MODEL>",
    after_help = "L is a row for each position, of a value for each token of the vocabulary: little-endian f32. Neither the batch nor threads nor the instruction set change a bit of it.

Example: quantloom logits model.gguf --tokens 1,2,3 -o l.f32"
)]
pub struct Args {
    /// The model
    #[arg(value_name = "MODEL.gguf")]
    model: PathBuf,
    /// Tokens, by their numbers
    #[arg(long, value_name = "IDS", value_delimiter = ',', required_unless_present = "prompt", conflicts_with = "prompt")]
    tokens: Vec<u32>,
    /// A text
    #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true)]
    prompt: Option<String>,
    /// Positions that go through the model together
    #[arg(long, value_name = "M", value_parser = batch, default_value_t = Options::default().batch, allow_negative_numbers = true)]
    batch: usize,
    /// Where to write; `-` is standard output
    #[arg(short, long, value_name = "L.f32")]
    output: PathBuf,
    #[command(flatten)]
    run: Run,
}

/// Feeds the tokens batch by batch, and writes what comes of each.
pub fn run(args: &Args) -> Result<(), Failure> {
    let model = args.run.open(&args.model)?;
    let tokens = match &args.prompt {
        Some(text) => prompt(&Tokenizer::of(model.file())?, text)?,
        None => args.tokens.clone(),
    };
    model.fits(tokens.len())?;
    let paths = model.file().paths().collect::<Vec<_>>();
    let mut out = FloatWriter::create(&args.output, &paths)?;
    let mut sequence = model.sequence()?;
    for tokens in tokens.chunks(args.batch) {
        let logits = model.forward(&mut [Part::new(&mut sequence, tokens, Wanted::All)])?;
        out.write(&logits.into_values())?;
    }
    out.finish()?;
    tell(&format!("{} rows of {} logits", sequence.len(), model.vocabulary()));
    Ok(())
}
