//! Disks that are full, folders that cannot be written or be made: the memory of the process is all there is then.

#![cfg(target_os = "linux")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use quantloom::Error;
use quantloom::matmul::{Request, Source, matmul};
use quantloom::measure::activations;
use quantloom::pool::Pool;
use quantloom::tune::{self, CacheFile, Choices, Keep, Status, Tuner, VariantId};
use quantloom::weights::Weights;

use crate::child::{child, done, part};
use crate::support::{entry, kernels, key, weights};

/// The bits of a product.
fn product(weights: &Weights) -> Vec<u32> {
    let mut y = vec![f32::NAN; 40 * weights.n()];
    matmul(weights, &activations(40, weights.k()).unwrap(), 40, &mut y, &Request::default(), Pool::global()).unwrap();
    y.into_iter().map(f32::to_bits).collect()
}

/// Tunes three problems: the user hears of the cache once, results stay as they are, and choices hold until the process ends.
fn without_a_file(wanted: &str) {
    let mut told = Vec::new();
    for n in [40, 50, 60] {
        let weights = weights(n, 1);
        let before = product(&weights);
        let tuner = Tuner::new(tune::choices());
        let outcome = tuner.tune(&weights, 40, &Request::default(), Pool::global(), Duration::MAX).unwrap();
        assert!(matches!(outcome.status, Status::Tuned | Status::Unsteady), "{:?}", outcome.status);
        assert_eq!(tune::choices().find(&outcome.key).unwrap().1, Source::Memory);
        assert_eq!(product(&weights), before);
        told.extend(outcome.warnings);
    }
    assert!(matches!(told[..], [Error::Cache { .. }]), "{told:?}");
    let told = told[0].to_string();
    assert!(told.contains(wanted) && told.lines().count() == 1, "{told}");
}

/// A cache folder with a choice in it; its files and their bytes.
fn written() -> (tempfile::TempDir, Vec<(PathBuf, Vec<u8>)>) {
    let folder = tempfile::tempdir().unwrap();
    let choices = Choices::new(Some(CacheFile::new(folder.path(), tune::environment())));
    let weights = weights(16, 1);
    choices.record(entry(key(&weights, 1), kernels(&weights)[0]), Keep::InFile);
    choices.publish().unwrap();
    let files = files(choices.path().unwrap().parent().unwrap());
    (folder, files)
}

/// The files of a folder that hold something.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).filter(|path| path.is_file());
    let files = files.map(|path| (path.clone(), fs::read(path).unwrap())).filter(|(_, bytes)| !bytes.is_empty());
    let mut files = files.collect::<Vec<_>>();
    files.sort();
    files
}

/// What was in the file before is still known.
fn still_knows_the_file() {
    let weights = weights(16, 1);
    assert_eq!(tune::choices().find(&key(&weights, 1)).unwrap().1, Source::Cache);
}

/// From here on this process writes no more than 64 bytes to a file, and hears of it as an error.
fn fill_the_disk() {
    let limit = libc::rlimit { rlim_cur: 64, rlim_max: 64 };
    // SAFETY: nobody else relies on how much this process may write.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        assert_eq!(libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit), 0);
    }
}

#[test]
fn what_a_process_died_of_is_not_forgotten_on_a_full_disk() {
    let test = "disk::what_a_process_died_of_is_not_forgotten_on_a_full_disk";
    let weights = weights(16, 1);
    if let Some(part) = part() {
        if part == 0 {
            fill_the_disk();
        }
        let tuner = Tuner::new(tune::choices());
        let told = tuner.tune(&weights, 40, &Request::default(), Pool::global(), Duration::MAX).unwrap().warnings;
        assert_eq!(told.iter().filter(|error| matches!(error, Error::Abandoned { .. })).count(), 1, "{told:?}");
        assert_eq!(told.len(), 2 - part, "{told:?}");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let journal = CacheFile::new(folder.path(), tune::environment()).folder().join("probe");
    fs::create_dir_all(&journal).unwrap();
    let id = VariantId::of(kernels(&weights)[0]);
    let file = journal.join(id.hash.to_string());
    fs::write(&file, format!("{}\n{}\n", id.kernel, id.hash)).unwrap();
    for part in 0..2 {
        done(&child(test, folder.path(), part).output().unwrap(), part);
        assert_eq!(file.exists(), part == 0);
    }
}

#[test]
fn a_full_disk() {
    let test = "disk::a_full_disk";
    if part().is_some() {
        fill_the_disk();
        without_a_file("File too large");
        return still_knows_the_file();
    }
    let (folder, before) = written();
    done(&child(test, folder.path(), 0).output().unwrap(), 0);
    assert_eq!(files(before[0].0.parent().unwrap()), before);
    // With room again, all is well.
    let file = CacheFile::new(folder.path(), tune::environment());
    file.merge(&crate::support::entries(20, 1), Duration::ZERO).unwrap();
    assert_eq!(file.read().entries.len(), 2);
}

#[test]
fn a_folder_that_cannot_be_written() {
    let test = "disk::a_folder_that_cannot_be_written";
    if part().is_some() {
        // Permissions do not bind a superuser.
        // SAFETY: nobody else relies on who this process belongs to.
        assert!(unsafe { libc::geteuid() != 0 || libc::setuid(65534) == 0 });
        without_a_file("Permission denied");
        return still_knows_the_file();
    }
    let (folder, before) = written();
    let inner = before[0].0.parent().unwrap();
    let allow = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    allow(folder.path(), 0o755);
    fs::read_dir(inner).unwrap().for_each(|file| allow(&file.unwrap().path(), 0o444));
    allow(inner, 0o555);
    done(&child(test, folder.path(), 0).output().unwrap(), 0);
    allow(inner, 0o755);
    assert_eq!(files(inner), before);
}

#[test]
fn a_folder_that_cannot_be_made() {
    let test = "disk::a_folder_that_cannot_be_made";
    if part().is_some() {
        return without_a_file("Not a directory");
    }
    let obstacle = tempfile::NamedTempFile::new().unwrap();
    done(&child(test, &obstacle.path().join("cache"), 0).output().unwrap(), 0);
}

#[test]
fn no_home() {
    let test = "disk::no_home";
    if part().is_some() {
        return without_a_file("/dev/null");
    }
    // An empty variable is none; without a home, the system's own record of users may still name one that is no folder.
    let mut child = child(test, Path::new(""), 0);
    let output = child.env("HOME", "/dev/null").env_remove("XDG_CACHE_HOME").output().unwrap();
    done(&output, 0);
}
