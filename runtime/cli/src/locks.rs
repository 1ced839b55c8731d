//! The locks of the cache's folders.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// The lock files in a folder, sorted.
pub fn of(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut locks = files.filter(|path| path.extension().is_some_and(|extension| extension == "lock")).collect::<Vec<_>>();
    locks.sort();
    locks
}

/// The lock, held until it is dropped; `None` if another process holds it.
pub fn take(path: &Path) -> Option<File> {
    let file = File::open(path).ok()?;
    file.try_lock().is_ok().then_some(file)
}
