//! `quantloom emit`: kernels for graphics processors as source text.

use std::fs;
use std::path::{Path, PathBuf};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use quantloom::Error;
use quantloom::registry;
use quantloom_codegen::emit::device::{self, Module};
use quantloom_spec::model::Format;
use quantloom_spec::text::shown;

use super::Failure;
use super::args::some_format;
use super::check;
use super::failure::{print, tell_as_it_is};
use super::files::{create, write_whole};

/// Write the kernels of a format for a graphics processor, as one text that any program can compile and launch
#[derive(Debug, clap::Args)]
#[command(after_help = format!("Two files appear: the text, and beside it JSON that says how to launch what is in it and how weights are packed. \
                                docs/gpu.md tells more.

Examples: quantloom emit {0} --target cuda
          quantloom emit my_format.toml --target opencl -o kernels", some_format()))]
pub struct Args {
    /// Name of a format, in any case, or a card of one's own
    #[arg(value_name = "FORMAT|CARD.toml")]
    format: String,
    /// The language
    #[arg(long, value_name = "LANGUAGE", value_parser = targets())]
    target: String,
    /// The folder to write to, which is made if there is none
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    output: PathBuf,
}

fn targets() -> impl TypedValueParser<Value = String> {
    PossibleValuesParser::new(device::targets())
}

/// Writes the modules of a format, or of all formats of a card.
pub fn run(args: &Args) -> Result<(), Failure> {
    let path = Path::new(&args.format);
    let is_card = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml"));
    let (formats, inputs) = if is_card { (read(path)?, vec![path]) } else { (vec![registered(&args.format)?], Vec::new()) };
    let modules = formats.iter().map(|format| device::module(format, &args.target));
    let modules = modules.collect::<Result<Vec<_>, _>>().map_err(refused)?;
    fs::create_dir_all(&args.output).map_err(Error::io(&args.output))?;
    for module in &modules {
        write(module, &args.output, &inputs)?;
    }
    Ok(())
}

/// The formats of a card.
fn read(path: &Path) -> Result<Vec<Format>, Failure> {
    check::read(path).map_err(|message| {
        tell_as_it_is(&message);
        Failure::Told
    })
}

/// The card of a format that is registered.
fn registered(name: &str) -> Result<Format, Failure> {
    let format = registry::format_by_name(name)?;
    registry::model(format).cloned().map_err(Failure::input)
}

/// Why there is no module: the generator's words without the one that failures begin with anyway.
fn refused(why: quantloom_codegen::Error) -> Failure {
    let why = why.to_string();
    Failure::input(why.strip_prefix("error: ").unwrap_or(&why))
}

/// Writes a text and what is to be known of it, and says where.
fn write(module: &Module, folder: &Path, inputs: &[&Path]) -> Result<(), Failure> {
    let name = format!("{}.{}", module.manifest.format, module.extension);
    for (name, text) in [(format!("{name}.json"), module.manifest.json()), (name, module.text.clone())] {
        let path = folder.join(name);
        write_whole(create(&path, inputs)?, text.as_bytes())?;
        print(&format!("{}\n", shown(&path)))?;
    }
    Ok(())
}
