//! `quantloom check`: what is wrong with cards.

use std::ffi::OsStr;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use quantloom::Error;
use quantloom_codegen::lower::class::Class;
use quantloom_spec::gpu::read_dialect;
use quantloom_spec::model::Format;
use quantloom_spec::text::{self, shown};
use quantloom_spec::{Diagnostics, Spec, TableFolder, read_folder, read_formats, read_isas};

use super::Failure;
use super::failure::{print, tell, tell_as_it_is};
use super::screen;

/// Check cards, and show what is wrong with them and where
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A card is of the kind that its folder says, isa, gpu, kernels, operations or processors, and else describes a format. \
                  A folder is checked with all cards in it, and for what two of them must not share. \
                  A format that no kernel covers is right, and can be decoded only: a warning says which rule it does not keep.

Example: quantloom check my_format.toml"
)]
pub struct Args {
    /// The cards, or folders of cards
    #[arg(value_name = "CARD.toml", required = true)]
    cards: Vec<PathBuf>,
}

/// Checks each card; all are checked even if one is wrong.
pub fn run(args: &Args) -> Result<(), Failure> {
    let mut wrong = false;
    for card in &args.cards {
        match check(card) {
            Ok(formats) => {
                formats.iter().filter_map(warning).for_each(|warning| tell(&warning));
                print(&format!("{}: right\n", shown(card)))?;
            }
            Err(message) => {
                tell_as_it_is(&message);
                wrong = true;
            }
        }
    }
    if wrong { Err(Failure::Told) } else { Ok(()) }
}

/// What keeps a format from having kernels, if anything does.
fn warning(format: &Format) -> Option<String> {
    let why = Class::of(format).err()?;
    Some(format!("warning: {} can be decoded only: {why}", format.name))
}

/// The format of a card, or all of its family.
///
/// # Errors
/// All that is wrong with it, as [`Args`] says it.
pub fn read(path: &Path) -> Result<Vec<Format>, String> {
    let full = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let formats = read_formats(&path.display().to_string(), &text(path)?, &beside(&full));
    formats.map_err(|found| found.render(io::stderr().is_terminal()))
}

fn text(path: &Path) -> Result<String, String> {
    text::read(path).map_err(Error::io(path)).map_err(|error| format!("error: {error}"))
}

/// The tables that a card may name.
fn beside(card: &Path) -> TableFolder {
    TableFolder::beside(card.parent().unwrap_or(card))
}

/// The formats of a card or a folder, or all that is wrong with it.
fn check(path: &Path) -> Result<Vec<Format>, String> {
    let formats = |read: Vec<(PathBuf, Format)>| read.into_iter().map(|(_, format)| format).collect();
    let full = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let result = if full.join("formats").is_dir() {
        Spec::read(path).map(|spec| formats(spec.formats))
    } else if full.is_dir() {
        read_folder(path, &TableFolder::beside(path)).map(formats)
    } else {
        check_card(&path.display().to_string(), &full, &text(path)?)
    };
    result.map_err(|found| found.render(screen::has_colours()))
}

/// Checks the card at `path`, which messages call `name`; its format, if it is the card of one.
fn check_card(name: &str, path: &Path, text: &str) -> Result<Vec<Format>, Diagnostics> {
    let none = |()| Vec::new();
    let mut folders = path.ancestors().skip(1);
    let kind = folders.next().and_then(Path::file_name).and_then(OsStr::to_str);
    match (kind, folders.next()) {
        (Some("gpu"), _) => read_dialect(name, text).map(drop).map(none),
        // They refer to other cards, so they are right or wrong only together with those.
        (Some("isa"), _) => read_isas(path.parent().unwrap_or(path)).map(drop).map(none),
        (Some("kernels" | "operations" | "processors"), Some(root)) => Spec::read(root).map(drop).map(none),
        _ => read_formats(name, text, &beside(path)),
    }
}
