//! `quantloom cache clear`: forgets what was measured.

use std::fs;
use std::path::{Path, PathBuf};

use quantloom::{Error, tune};

use super::super::Failure;
use super::super::failure::print;
use super::own;

/// Remove what the tuner remembers of this machine: choices, kernels in quarantine, leftovers
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: quantloom cache clear --all --dry-run")]
pub struct Args {
    /// Also what other builds, versions and machines left in the cache
    #[arg(long)]
    all: bool,
    /// Only say what would be removed
    #[arg(long)]
    dry_run: bool,
}

/// Removes the folders, and says which.
pub fn run(args: &Args) -> Result<(), Failure> {
    let own = own()?;
    let environment = own.path().parent().unwrap_or(Path::new(".")).to_owned();
    let folders = if args.all { environments()? } else { vec![environment] };
    let mut text = String::new();
    for folder in folders.iter().filter(|folder| folder.is_dir()) {
        let files = files(folder)?;
        if !args.dry_run {
            remove(folder)?;
        }
        let verb = if args.dry_run { "would remove" } else { "removed" };
        text +=
            &format!("{verb} {}: {}\n", folder.display(), if files.is_empty() { "empty".to_owned() } else { files.join(", ") });
    }
    print(if text.is_empty() { "nothing to remove\n" } else { &text })
}

/// The folders of all environments and versions: `tune/VERSION/ENVIRONMENT` in the cache folder.
fn environments() -> Result<Vec<PathBuf>, Failure> {
    let root = tune::folder().unwrap_or_default().join("tune");
    let mut folders = Vec::new();
    for version in subfolders(&root)? {
        folders.extend(subfolders(&version)?);
    }
    Ok(folders)
}

/// The folders in a folder, sorted; none if there is no such folder.
fn subfolders(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(folder).map_err(Error::io(folder))?.flatten().map(|entry| entry.path());
    let mut folders = entries.filter(|path| path.is_dir()).collect::<Vec<_>>();
    folders.sort();
    Ok(folders)
}

/// Names of the files in a folder, with their sizes, sorted.
fn files(folder: &Path) -> Result<Vec<String>, Failure> {
    let entries = fs::read_dir(folder).map_err(Error::io(folder))?.flatten();
    let named = entries.map(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        match entry.metadata() {
            Ok(data) if data.is_file() => format!("{name} ({} bytes)", data.len()),
            _ => name,
        }
    });
    let mut names = named.collect::<Vec<_>>();
    names.sort();
    Ok(names)
}

/// Removes a folder unless somebody writes in it. Who was about to finds no folder then, and makes a new one next time.
fn remove(folder: &Path) -> Result<(), Failure> {
    let mut held = Vec::new();
    for path in super::super::locks::of(folder) {
        match super::super::locks::take(&path) {
            Some(lock) => held.push(lock),
            None => {
                let path = path.display();
                return Err(Failure::input(format!("{path}: another process holds this lock; try again when it has ended")));
            }
        }
    }
    fs::remove_dir_all(folder).map_err(Error::io(folder))?;
    // The folder of a version is of no use without any; that of all others may have more.
    if let Some(version) = folder.parent() {
        let _ = fs::remove_dir(version);
    }
    Ok(())
}
