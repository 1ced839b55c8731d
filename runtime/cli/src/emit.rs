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

/// The language that is compiled for `--cubin`.
const CUDA: &str = "cuda";

/// Write the kernels of a format for a graphics processor, as one text that any program can compile and launch
#[derive(Debug, clap::Args)]
#[command(after_help = format!("Two files appear: the text, and beside it JSON that says how to launch what is in it and how weights are packed. \
                                docs/gpu.md tells more.

Examples: quantloom emit {0} --target cuda
          quantloom emit my_format.toml --target opencl -o kernels
          quantloom emit {0} --target cuda --cubin sm_80,sm_90", some_format()))]
pub struct Args {
    /// Name of a format, in any case, or a card of one's own
    #[arg(value_name = "FORMAT|CARD.toml")]
    format: String,
    /// The language
    #[arg(long, value_name = "LANGUAGE", value_parser = targets())]
    target: String,
    /// Machine code besides, for these NVIDIA architectures, such as sm_80,sm_90: by the library NVRTC, where it is found
    #[arg(long, value_name = "SM", value_delimiter = ',', value_parser = architecture)]
    cubin: Vec<String>,
    /// The folder to write to, which is made if there is none
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    output: PathBuf,
}

fn targets() -> impl TypedValueParser<Value = String> {
    PossibleValuesParser::new(device::targets())
}

/// An architecture's name, which becomes part of that of a file.
fn architecture(text: &str) -> Result<String, &'static str> {
    let number = text.strip_prefix("sm_").filter(|number| number.starts_with(|digit: char| digit.is_ascii_digit()));
    let number = number.filter(|number| number.chars().all(|letter| letter.is_ascii_alphanumeric()));
    number.map(|_| text.to_owned()).ok_or("no architecture of NVIDIA's: they are called like sm_90")
}

/// Machine code of a module: for which architecture, and the bytes.
type Cubin = (String, Vec<u8>);

/// Machine code of each module for each architecture.
#[cfg(feature = "cuda")]
fn cubins(modules: &[Module], architectures: &[String]) -> Result<Vec<Vec<Cubin>>, Failure> {
    if architectures.is_empty() {
        return Ok(vec![Vec::new(); modules.len()]);
    }
    let compiler = quantloom::gpu::cuda::Compiler::load().map_err(Failure::input)?;
    let compile = |module: &Module, architecture: &String| -> Result<Cubin, Failure> {
        let compiled = compiler.compile(&module.text, architecture);
        let compiled =
            compiled.map_err(|why| Failure::input(format!("{} for {architecture}: {why}", module.manifest.format)))?;
        Ok((architecture.clone(), compiled.cubin))
    };
    let of_module = |module: &Module| architectures.iter().map(|name| compile(module, name)).collect::<Result<Vec<_>, _>>();
    modules.iter().map(of_module).collect()
}

/// A build without that refuses.
#[cfg(not(feature = "cuda"))]
fn cubins(modules: &[Module], architectures: &[String]) -> Result<Vec<Vec<Cubin>>, Failure> {
    if architectures.is_empty() {
        return Ok(vec![Vec::new(); modules.len()]);
    }
    Err(Failure::input("--cubin: this quantloom was built without NVRTC: build it with `--features cuda`"))
}

/// Writes the modules of a format, or of all formats of a card.
pub fn run(args: &Args) -> Result<(), Failure> {
    let path = Path::new(&args.format);
    let is_card = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml"));
    let (formats, inputs) = if is_card { (read(path)?, vec![path]) } else { (vec![registered(&args.format)?], Vec::new()) };
    let modules = formats.iter().map(|format| device::module(format, &args.target));
    let modules = modules.collect::<Result<Vec<_>, _>>().map_err(refused)?;
    if !args.cubin.is_empty() && args.target != CUDA {
        return Err(Failure::input(format!("--cubin: {} has no machine code of NVIDIA's; --target {CUDA} has", args.target)));
    }
    let cubins = cubins(&modules, &args.cubin)?;
    fs::create_dir_all(&args.output).map_err(Error::io(&args.output))?;
    for (module, cubins) in modules.iter().zip(&cubins) {
        write(module, cubins, &args.output, &inputs)?;
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

/// Writes a text, what is to be known of it, and its machine code, and says where.
fn write(module: &Module, cubins: &[Cubin], folder: &Path, inputs: &[&Path]) -> Result<(), Failure> {
    let format = &module.manifest.format;
    let name = format!("{format}.{}", module.extension);
    let texts = [(format!("{name}.json"), module.manifest.json()), (name, module.text.clone())];
    let texts = texts.into_iter().map(|(name, text)| (name, text.into_bytes()));
    let cubins = cubins.iter().map(|(architecture, bytes)| (format!("{format}.{architecture}.cubin"), bytes.clone()));
    for (name, bytes) in texts.chain(cubins) {
        let path = folder.join(name);
        write_whole(create(&path, inputs)?, &bytes)?;
        print(&format!("{}\n", shown(&path)))?;
    }
    Ok(())
}
