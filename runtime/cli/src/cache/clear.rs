//! `quantloom cache clear`: forgets what was measured.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use quantloom::Error;
use quantloom::tune::{self, kept};

use super::super::Failure;
use super::super::failure::{print, tell};
use super::super::locks::{self, Lock};
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

/// Removes what the tuner made in its folders, and says which. What else is in them stays.
pub fn run(args: &Args) -> Result<(), Failure> {
    let own = own()?;
    let folders =
        if args.all { kept::environments(&tune::folder().unwrap_or_default()) } else { vec![own.folder().to_owned()] };
    let mut text = String::new();
    for folder in folders.iter().filter(|folder| folder.symlink_metadata().is_ok_and(|data| data.is_dir())) {
        let files = kept::files(folder);
        let names = files.iter().map(|path| name(folder, path)).collect::<Vec<_>>();
        if !args.dry_run {
            remove(folder, &files)?;
        }
        let verb = if args.dry_run { "would remove" } else { "removed" };
        let shown = folder.display();
        text += &format!("{verb} {shown}: {}\n", if names.is_empty() { "nothing".to_owned() } else { names.join(", ") });
        if !args.dry_run && folder.exists() {
            tell(&format!("note: {shown}: has files that are not this user's or not the tuner's; they stay"));
        }
    }
    print(if text.is_empty() { "nothing to remove\n" } else { &text })
}

/// The name of a file in a folder, with its size.
fn name(folder: &Path, path: &Path) -> String {
    let name = path.strip_prefix(folder).unwrap_or(path).display();
    path.symlink_metadata().map_or_else(|_| name.to_string(), |data| format!("{name} ({} bytes)", data.len()))
}

/// Removes files of a folder unless somebody writes in it, and the folder. Who was about to finds none then, and makes a new one next
/// time.
fn remove(folder: &Path, files: &[PathBuf]) -> Result<(), Failure> {
    let mut held = Vec::new();
    for path in locks::of(folder) {
        match locks::take(&path) {
            Ok(Lock::Held(lock)) => held.push(lock),
            Ok(Lock::Impossible(_)) => {}
            Ok(Lock::Elsewhere) => {
                let path = path.display();
                return Err(Failure::input(format!("{path}: another process holds this lock; try again when it has ended")));
            }
            // Another `clear` was faster.
            Err(cause) if cause.kind() == ErrorKind::NotFound => {}
            Err(cause) => return Err(Error::io(path)(cause).into()),
        }
    }
    for path in files {
        match fs::remove_file(path) {
            Err(cause) if cause.kind() != ErrorKind::NotFound => return Err(Error::io(path)(cause).into()),
            _ => {}
        }
    }
    kept::remove_folders(folder);
    Ok(())
}
