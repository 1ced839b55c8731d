//! `quantloom check`: what is wrong with cards.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use quantloom::Error;
use quantloom_spec::gpu::read_dialect;
use quantloom_spec::{Diagnostics, Spec, TableFolder, read_folder, read_format, read_isas};

use super::Failure;
use super::failure::{print, tell};
use super::screen;

/// Check cards, and show what is wrong with them and where
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A card is of the kind that its folder says, isa, gpu, kernels or processors, and else describes a format. \
                  A folder is checked with all cards in it, and for what two of them must not share.

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
            Ok(()) => print(&format!("{}: right\n", card.display()))?,
            Err(message) => {
                tell(&message);
                wrong = true;
            }
        }
    }
    if wrong { Err(Failure::Told) } else { Ok(()) }
}

/// Says all that is wrong with a card or a folder.
fn check(path: &Path) -> Result<(), String> {
    let full = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let result = if full.join("formats").is_dir() {
        Spec::read(path).map(drop)
    } else if full.is_dir() {
        read_folder(path, &TableFolder::beside(path)).map(drop)
    } else {
        let text = fs::read_to_string(path).map_err(Error::io(path));
        let text = text.map_err(|error| format!("error: {error}"))?;
        check_card(&path.display().to_string(), &full, &text)
    };
    result.map_err(|found| found.render(screen::has_colours()))
}

/// Checks the card at `path`, which messages call `name`.
fn check_card(name: &str, path: &Path, text: &str) -> Result<(), Diagnostics> {
    let mut folders = path.ancestors().skip(1);
    let kind = folders.next().and_then(Path::file_name).and_then(OsStr::to_str);
    match (kind, folders.next()) {
        (Some("gpu"), _) => read_dialect(name, text).map(drop),
        // They refer to other cards, so they are right or wrong only together with those.
        (Some("isa"), _) => read_isas(path.parent().unwrap_or(path)).map(drop),
        (Some("kernels" | "processors"), Some(root)) => Spec::read(root).map(drop),
        _ => read_format(name, text, &TableFolder::beside(path.parent().unwrap_or(path))).map(drop),
    }
}
