//! What the tuner keeps in a cache folder, by the names that it gives: what else lies there is none of its own.
//!
//! Several users may share a cache, and anybody may have put anything into it. A link is never followed.

use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};

use super::file::Record;
use super::list::UNTUNED;
use super::{Digest, Entry, Variant};
use crate::files::{is_ours, sweep};

/// The folder of all versions, in a cache folder.
pub(super) const ROOT: &str = "tune";
/// How the name of the folder of a version begins; its number follows.
pub(super) const VERSION: char = 'v';
/// The lock of whoever measures, in the folder of an environment.
pub(super) const TURN: &str = "tune.lock";
/// The folder of the crash journal, in that of an environment.
pub(super) const JOURNAL: &str = "probe";

/// The folders of all versions and environments in a cache folder, sorted: `tune/v3/0123456789abcdef`.
#[must_use]
pub fn environments(cache: &Path) -> Vec<PathBuf> {
    let is_version = |name: &str| name.strip_prefix(VERSION).is_some_and(|number| number.parse::<u32>().is_ok());
    let root = cache.join(ROOT);
    let versions = if is_folder(&root) { named(&root, is_version, Metadata::is_dir) } else { Vec::new() };
    versions.iter().flat_map(|version| named(version, is_digest, Metadata::is_dir)).collect()
}

/// The files of this user in the folder of an environment that the tuner makes there, sorted; those of the crash journal are first.
#[must_use]
pub fn files(environment: &Path) -> Vec<PathBuf> {
    if !is_folder(environment) {
        return Vec::new();
    }
    let is_known = |name: &str| {
        let of_records = |file: &str| name.strip_prefix(file).is_some_and(|ending| [".toml", ".lock"].contains(&ending));
        [UNTUNED, TURN].contains(&name) || of_records(Entry::FILE) || of_records(Variant::FILE)
    };
    let is_file = |data: &Metadata| data.is_file() && is_ours(data);
    let mut files = journal(environment);
    files.retain(|path| path.symlink_metadata().is_ok_and(|data| is_ours(&data)));
    files.extend(named(environment, is_known, is_file));
    files
}

/// The locks in the folder of an environment, sorted.
#[must_use]
pub fn locks(environment: &Path) -> Vec<PathBuf> {
    let is_lock = |name: &str| Path::new(name).extension().is_some_and(|extension| extension == "lock");
    named(environment, is_lock, Metadata::is_file)
}

/// Removes folders of the tuner, if nothing is left in them but what killed processes had not finished: of an environment, and of its
/// version if that has no other.
pub fn remove_folders(environment: &Path) {
    if is_folder(environment) {
        sweep(environment);
    }
    let version = environment.parent();
    for folder in [Some(environment.join(JOURNAL).as_path()), Some(environment), version].into_iter().flatten() {
        // What has something in it stays.
        let _ = fs::remove_dir(folder);
    }
}

/// The entries of the crash journal of an environment, sorted.
pub(super) fn journal(environment: &Path) -> Vec<PathBuf> {
    let folder = environment.join(JOURNAL);
    if is_folder(&folder) { named(&folder, is_digest, Metadata::is_file) } else { Vec::new() }
}

/// Whether this is a folder, and no link to one.
pub(super) fn is_folder(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|data| data.is_dir())
}

fn is_digest(name: &str) -> bool {
    name.parse::<Digest>().is_ok()
}

/// What has such a name in a folder and is of such a kind, itself and not by a link; sorted.
fn named(folder: &Path, is_name: impl Fn(&str) -> bool, is_kind: impl Fn(&Metadata) -> bool) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let entries = entries.filter(|entry| entry.file_name().to_str().is_some_and(&is_name)).map(|entry| entry.path());
    let mut paths = entries.filter(|path| path.symlink_metadata().is_ok_and(|data| is_kind(&data))).collect::<Vec<_>>();
    paths.sort();
    paths
}
