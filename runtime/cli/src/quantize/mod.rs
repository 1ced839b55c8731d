//! `quantloom quantize`: a model in other formats.

mod convert;
mod importance;
mod plan;
mod show;

use std::path::PathBuf;

use quantloom::gguf::{Gguf, GgufWriter, NewTensor, Value};
use quantloom::imatrix::Imatrix;
use quantloom::pool::Pool;
use quantloom::recipes::{Recipe, Recipes};

use super::Failure;
use super::args::{some_format, thread_count, threads};
use super::files::{create, say};
use super::progress::bar;
use super::source;
use convert::Converter;
use plan::plan;

/// The key that says what a model is mostly made of.
const FILE_TYPE: &str = "general.file_type";
/// The key that says which generation of formats a model uses.
const VERSION: &str = "general.quantization_version";
/// The present generation, since 2023.
const PRESENT_VERSION: u32 = 2;

/// Quantise a model
#[derive(Debug, clap::Args)]
#[command(after_help = after_help())]
pub struct Args {
    /// The model, in f32, f16 or bf16
    #[arg(value_name = "IN.gguf")]
    file: PathBuf,
    /// A recipe, or a format for all matrices
    #[arg(long, value_name = "NAME", required_unless_present = "recipe")]
    to: Option<String>,
    /// Where to write; `-` is standard output
    #[arg(short, long, value_name = "OUT.gguf")]
    output: PathBuf,
    /// How much each column matters: an importance matrix
    #[arg(long, value_name = "FILE")]
    imatrix: Option<PathBuf>,
    /// Recipes of one's own, written as recipes/llama.toml is
    #[arg(long, value_name = "FILE.toml")]
    recipe: Option<PathBuf>,
    /// Take NAME for a format, even if a recipe has that name
    #[arg(long, requires = "to")]
    pure: bool,
    /// Also quantise tensors that are quantised already, which loses accuracy twice
    #[arg(long)]
    allow_requantize: bool,
    /// Threads [default: as many as the processor runs at once]
    #[arg(long, value_name = "T", value_parser = thread_count, allow_negative_numbers = true)]
    threads: Option<u16>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What NAME can be: the recipes are data.
fn after_help() -> String {
    let recipes = Recipes::shipped();
    let names = recipes.as_ref().map(|recipes| recipes.names().collect::<Vec<_>>()).unwrap_or_default();
    format!(
        "NAME is a recipe for whole models, {}, or a format that `quantloom formats` lists, which then all matrices get. Tensors of one \
         axis stay f32, those of integers and doubles stay as they are, all metadata is kept, and the output appears only when it is \
         complete. Of a model in several files, name one: the output is one file.

Example: quantloom quantize model-f16.gguf --to {} -o model.gguf",
        names.join(", "),
        some_format()
    )
}

/// Writes the model anew, and prints what became of each tensor.
pub fn run(args: &Args) -> Result<(), Failure> {
    let model = source::model(&args.file)?;
    let file = model.file();
    if model.is_packed() {
        let file = args.file.display();
        return Err(Failure::input(format!("{file}: this is a packed copy; quantise the model that it was packed from")));
    }
    let more = [&args.imatrix, &args.recipe].into_iter().flatten().map(PathBuf::as_path);
    let output = create(&args.output, &file.paths().chain(more).collect::<Vec<_>>())?;
    let is_standard = output.is_standard();
    let recipes = args.recipe.as_deref().map_or_else(Recipes::shipped, Recipes::read)?;
    let recipe = choose(&recipes, args)?;
    let imatrix = args.imatrix.as_ref().map(Imatrix::open).transpose()?;
    let steps = plan(file, &recipe, imatrix.is_some(), args.allow_requantize)?;
    if let Some(imatrix) = &imatrix {
        importance::check(imatrix, &steps)?;
    }

    let tensors = steps.iter().map(|step| NewTensor {
        name: step.tensor.name.clone(),
        dims: step.tensor.dims.clone(),
        kind: step.to_kind,
        bytes: step.bytes,
    });
    let mut out = GgufWriter::new(output, &metadata(file, &recipe), &tensors.collect::<Vec<_>>())?;
    let mut converter = Converter::new(file, imatrix.as_ref(), Pool::new(threads(args.threads)));
    let progress = bar(steps.iter().map(|step| step.weights() as u64).sum(), "quantising");
    let mut errors = Vec::with_capacity(steps.len());
    for step in &steps {
        errors.push(converter.convert(step, &mut out, &mut |weights| progress.inc(weights))?);
    }
    out.finish()?;
    progress.finish_and_clear();
    say(&if args.json { show::json(&recipe, &steps, &errors) } else { show::text(&recipe, &steps, &errors) }, is_standard)
}

fn choose<'r>(recipes: &'r Recipes, args: &Args) -> Result<Recipe<'r>, Failure> {
    if let Some(name) = &args.to {
        return Ok(if args.pure { recipes.pure(name)? } else { recipes.find(name)? });
    }
    match recipes.names().collect::<Vec<_>>()[..] {
        [name] => Ok(recipes.find(name)?),
        ref names => Err(Failure::input(format!("the file has {} recipes; choose one with --to", names.len()))),
    }
}

/// All entries, in order; file type and version say what the model now is.
fn metadata(file: &Gguf, recipe: &Recipe<'_>) -> Vec<(String, Value)> {
    let mut metadata = file.metadata().to_vec();
    for (key, number) in [(VERSION, PRESENT_VERSION), (FILE_TYPE, recipe.file_type)] {
        match metadata.iter_mut().find(|(known, _)| known == key) {
            Some((_, value)) => *value = Value::U32(number),
            None => metadata.push((key.to_owned(), Value::U32(number))),
        }
    }
    metadata
}
