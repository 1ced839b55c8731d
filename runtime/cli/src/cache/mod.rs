//! `quantloom cache`: what the tuner remembers.

mod clear;
mod diff;
mod explain;
mod export;
mod merge;
mod prune;
mod show;
mod verify;

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use clap::Subcommand;
use quantloom::tune::{self, CacheFile, Contents, Entry, Key, Time, Variant};
use quantloom_spec::text::escaped;

use super::Failure;
use super::failure::{print, print_as_it_is, tell};

/// Look at what the tuner remembers, and carry it from machine to machine
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: quantloom cache show")]
pub struct Args {
    #[command(subcommand)]
    pub action: Action,
}

/// What to do with the cache.
#[derive(Debug, Subcommand)]
pub enum Action {
    Show(show::Args),
    Diff(diff::Args),
    Explain(explain::Args),
    Merge(merge::Args),
    Export(export::Args),
    Verify(verify::Args),
    Prune(prune::Args),
    Clear(clear::Args),
    /// Print where the cache is
    Path,
}

/// Does it.
pub fn run(args: &Args) -> Result<(), Failure> {
    match &args.action {
        Action::Show(args) => show::run(args),
        Action::Diff(args) => diff::run(args),
        Action::Merge(args) => merge::run(args),
        Action::Explain(args) => explain::run(args),
        Action::Export(args) => export::run(args),
        Action::Verify(args) => verify::run(args),
        Action::Prune(args) => prune::run(args),
        Action::Clear(args) => clear::run(args),
        Action::Path => path(),
    }
}

/// Prints where the cache is: for people on a terminal, else for scripts, which need the name as it is.
fn path() -> Result<(), Failure> {
    let line = format!("{}\n", own()?.path().display());
    if io::stdout().is_terminal() { print(&line) } else { print_as_it_is(&line) }
}

/// The cache file of this user on this machine, which need not exist.
pub fn own() -> Result<CacheFile, Failure> {
    let path = tune::choices().path().ok_or_else(|| {
        Failure::input(format!("there is no cache: this user has no home folder; set {} to a folder", tune::VARIABLE))
    })?;
    Ok(CacheFile::at(path, tune::environment()))
}

/// The file that is named, or else the one of this machine.
fn named(path: Option<&Path>) -> Result<CacheFile, Failure> {
    path.map_or_else(own, |path| Ok(CacheFile::open(path)?))
}

/// Whether a path leads to the cache file of this machine.
fn is_own(path: &Path) -> bool {
    let own = own().ok().and_then(|file| file.path().canonicalize().ok());
    own.is_some() && path.canonicalize().ok() == own
}

/// Files that an output is made from, and those of this machine's cache, which it must not be either.
fn with_own(inputs: &[&Path]) -> Vec<PathBuf> {
    let own = own().into_iter().flat_map(|own| [own.path().to_owned(), own.beside::<Variant>().path().to_owned()]);
    inputs.iter().map(|path| path.to_path_buf()).chain(own).collect()
}

/// What a file holds; damage is worth a note.
fn entries(file: &CacheFile) -> Vec<Entry> {
    let Contents { entries, unreadable } = file.read();
    if unreadable > 0 {
        tell(&format!("note: {}: {}", file.path().display(), damage(unreadable)));
    }
    entries
}

fn damage(unreadable: usize) -> String {
    format!("{unreadable} entries are torn, edited or absurd, and count for nothing")
}

/// N and K of a problem.
fn shape(key: &Key) -> String {
    format!("{}x{}", key.n, key.k)
}

/// A time in microseconds, as it is printed.
fn micros(time: Option<&Time>) -> String {
    time.map_or_else(|| "-".to_owned(), |time| format!("{:.1}", time.ns as f64 / 1e3))
}

/// A line for each kernel that must not run, and why.
pub fn lines(quarantined: &[Variant]) -> String {
    quarantined
        .iter()
        .map(|variant| format!("quarantined: {}\n", escaped(&format!("{}: {variant}", variant.id.kernel))))
        .collect()
}
