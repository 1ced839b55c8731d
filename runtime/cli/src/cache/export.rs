//! `quantloom cache export`: this machine's cache as a table to ship.

use std::path::PathBuf;

use quantloom::tune::{self, Entry, Origin};
use quantloom_spec::text::shown;

use super::super::Failure;
use super::super::files::{called, create, say};
use super::{entries, is_own, named, with_own};

/// Write the choices for this machine as a table that others can be given
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: quantloom cache export runtime/tables/zen4.toml --relatives AuthenticAMD-25-97,AuthenticAMD-25-24"
)]
pub struct Args {
    /// The file to write; `-` is standard output
    #[arg(value_name = "FILE")]
    output: PathBuf,
    /// How the environments of other processors begin that may use the table too
    #[arg(long, value_name = "E,E,..", value_delimiter = ',')]
    relatives: Vec<String>,
    /// Also entries of other builds
    #[arg(long)]
    all: bool,
    /// A cache file from elsewhere, instead of this machine's
    #[arg(long, value_name = "FILE")]
    cache: Option<PathBuf>,
}

/// Writes the entries as shipped ones.
pub fn run(args: &Args) -> Result<(), Failure> {
    let path = shown(&args.output);
    if is_own(&args.output) {
        return Err(Failure::input(format!("{path}: this is the cache itself; name another file")));
    }
    let file = named(args.cache.as_deref())?;
    let ready = |entry: &Entry| args.all || entry.launch().is_some();
    let ship = |entry| Entry { origin: Origin::Shipped, ..entry };
    let entries = entries(&file).into_iter().filter(ready).map(ship).collect::<Vec<_>>();
    if entries.is_empty() {
        return Err(Failure::input(format!(
            "{}: has no entries of this build; run `quantloom tune` first",
            file.path().display()
        )));
    }
    let note = format!("A table to ship, exported on {}.", tune::system());
    let output = create(&args.output, &with_own(&[file.path()]))?;
    let is_standard = output.is_standard();
    file.write_to(output, &note, &args.relatives, &entries)?;
    say(&format!("{}: {} entries\n", called(&args.output), entries.len()), is_standard)
}
