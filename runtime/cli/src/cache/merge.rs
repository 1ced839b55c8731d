//! `quantloom cache merge`: several cache files become one.

use std::path::{Path, PathBuf};
use std::time::Duration;

use quantloom::files::is_same;
use quantloom::tune::{CacheFile, Entry, merge};

use super::super::Failure;
use super::super::files::{called, create, say};
use super::{entries, is_own, own};

/// How long other writers are waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Merge cache files of one kind of machine: of two answers the more thorough one stays
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Of two entries for one problem stays the one of the higher effort, else of more rounds, else the local \
                        one before an imported one before a shipped one. What does not come from this machine's cache is `imported`.

Example: quantloom cache merge \"$(quantloom cache path)\" other-machine.toml"
)]
pub struct Args {
    /// The file to write, or `-` for standard output: new, among the inputs, or this machine's cache, which is added to
    #[arg(value_name = "OUT")]
    output: PathBuf,
    /// The files to read
    #[arg(value_name = "FILE", required = true)]
    inputs: Vec<PathBuf>,
}

/// Reads all, checks that they belong together, and writes.
pub fn run(args: &Args) -> Result<(), Failure> {
    let files = args.inputs.iter().map(|path| CacheFile::open(path)).collect::<Result<Vec<_>, _>>()?;
    let mut all = Vec::new();
    for file in &files {
        check_environment(&files[0], file)?;
        let entries = entries(file);
        all.extend(if is_own(file.path()) { entries } else { merge::imported(entries) });
    }
    let (count, is_standard) = write(&args.output, &files, all)?;
    say(&format!("{}: {count} entries of {} files\n", called(&args.output), files.len()), is_standard)
}

/// Writes the output; how many entries it has then, and whether it is standard output.
fn write(output: &Path, inputs: &[CacheFile], all: Vec<Entry>) -> Result<(usize, bool), Failure> {
    let first = &inputs[0];
    let own = own().ok().filter(|own| own.path() == output || is_own(output));
    if let Some(own) = own {
        check_environment(&own, first)?;
        let mut count = 0;
        own.update(PATIENCE, |known| {
            let merged = merge::merged(known.into_iter().chain(all));
            count = merged.len();
            merged
        })?;
        return Ok((count, false));
    }
    // What is there would be lost.
    let is_output = |file: &CacheFile| is_same(file.path(), output);
    if output.is_file() && !inputs.iter().any(is_output) {
        let path = output.display();
        return Err(Failure::input(format!(
            "{path}: is there, but not among the files to merge; add it or name another output"
        )));
    }
    let merged = merge::merged(all);
    // All inputs have been read.
    let output = create(output, &[] as &[&Path])?;
    let is_standard = output.is_standard();
    first.write_to(output, "", &[], &merged)?;
    Ok((merged.len(), is_standard))
}

fn check_environment(one: &CacheFile, other: &CacheFile) -> Result<(), Failure> {
    if one.environment() == other.environment() {
        return Ok(());
    }
    let (path, first) = (other.path().display(), one.path().display());
    Err(Failure::input(format!(
        "{path}: was measured in {}, but {first} in {}; merge files of one environment",
        other.environment(),
        one.environment()
    )))
}
