//! Files that are being written: under names of their own, which nothing else has, until they are complete.
//!
//! Whoever writes one holds its lock. One that is not locked was left by a process that was killed, and the next writer in the folder
//! removes it.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tempfile::NamedTempFile;

use super::place::folder;

/// How the names of unfinished files begin and end. In between are letters and digits.
const PREFIX: &str = ".quantloom-";
const SUFFIX: &str = ".tmp";
/// As many as these.
const LETTERS: usize = 12;

/// The unfinished files of this process.
static UNFINISHED: Mutex<Paths> = Mutex::new(Paths { paths: Vec::new(), abandoned: false });

struct Paths {
    paths: Vec<PathBuf>,
    /// Whether there may be no more of them.
    abandoned: bool,
}

/// Removes all unfinished outputs of this process. From then on, none can be begun or finished: this is for a process that is about
/// to end by a signal.
pub fn abandon() {
    let mut state = paths();
    state.abandoned = true;
    for path in state.paths.drain(..) {
        // What is left all the same, the next output in the folder removes.
        let _ = fs::remove_file(path);
    }
}

/// A file that is being written. It is removed when this is dropped.
#[derive(Debug)]
pub struct Unfinished {
    // In this order: as long as the file is there, it is listed.
    file: NamedTempFile,
    listed: Listed,
}

/// A path among the unfinished ones.
#[derive(Debug)]
struct Listed(PathBuf);

impl Drop for Listed {
    fn drop(&mut self) {
        paths().paths.retain(|path| *path != self.0);
    }
}

impl Unfinished {
    /// A new file in the folder of `target`, with the permissions that a new file has. What others left behind there is removed.
    ///
    /// # Errors
    /// What the system says.
    pub fn create(target: &Path) -> io::Result<Self> {
        let folder = folder(target);
        let mut state = paths();
        state.check()?;
        let file = locked(folder)?;
        let listed = Listed(file.path().to_owned());
        state.paths.push(listed.0.clone());
        drop(state);
        sweep(folder);
        Ok(Self { file, listed })
    }

    /// The file.
    pub fn file(&mut self) -> &mut fs::File {
        self.file.as_file_mut()
    }

    /// Gives the file its name, in place of whatever has that.
    ///
    /// # Errors
    /// What the system says.
    pub fn name(self, target: &Path) -> io::Result<()> {
        let Self { file, listed } = self;
        file.as_file().sync_all()?;
        let state = paths();
        state.check()?;
        let renamed = file.persist(target).map(drop).map_err(|error| error.error);
        drop(state);
        drop(listed);
        renamed?;
        // The name is in the folder: without this, a power cut may bring the old file back. Not all systems can do it.
        let _ = fs::File::open(folder(target)).and_then(|folder| folder.sync_all());
        Ok(())
    }
}

impl Paths {
    fn check(&self) -> io::Result<()> {
        let ending = || io::Error::new(ErrorKind::Interrupted, "the program is being ended");
        if self.abandoned { Err(ending()) } else { Ok(()) }
    }
}

fn paths() -> MutexGuard<'static, Paths> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A new file, and its lock.
fn locked(folder: &Path) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX).suffix(SUFFIX).rand_bytes(LETTERS);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, PermissionsExt};
        builder.permissions(fs::Permissions::from_mode(0o666));
        loop {
            let file = builder.tempfile_in(folder)?;
            // Where there are no locks, nobody can get one, and nothing is taken for left behind.
            let _ = file.as_file().lock();
            // Between the two, another writer may have taken it for that.
            if file.as_file().metadata()?.nlink() > 0 {
                return Ok(file);
            }
        }
    }
    #[cfg(not(unix))]
    builder.tempfile_in(folder)
}

/// Whether a name is that of an unfinished file.
fn is_name(name: &str) -> bool {
    let letters = name.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix(SUFFIX));
    letters.is_some_and(|letters| letters.len() == LETTERS && letters.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// Removes the unfinished files of this user that nobody writes any more. That one stays does no harm.
pub fn sweep(folder: &Path) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_name().to_str().is_some_and(is_name)) {
        let path = entry.path();
        // The lock is held until the file is gone: its writer, if it is only just beginning, sees that.
        if let Some(_lock) = left_behind(&path) {
            let _ = fs::remove_file(&path);
        }
    }
}

/// The lock of a file that was left behind by this user.
#[cfg(unix)]
fn left_behind(path: &Path) -> Option<fs::File> {
    use std::os::unix::fs::MetadataExt;
    let file = super::own(path, fs::File::options().read(true)).ok()?;
    let data = file.metadata().ok()?;
    (super::is_ours(&data) && data.nlink() == 1 && file.try_lock().is_ok()).then_some(file)
}

/// Elsewhere, an open file cannot be renamed or removed by others.
#[cfg(not(unix))]
fn left_behind(_path: &Path) -> Option<fs::File> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_of_one_form() {
        let folder = tempfile::tempdir().unwrap();
        let file = locked(folder.path()).unwrap();
        let name = file.path().file_name().unwrap().to_str().unwrap();
        assert!(is_name(name), "{name}");
        for other in ["", ".quantloom-.tmp", ".quantloom-abcdefghijk.tmp", ".quantloom-abcdefghijk-.tmp", "table.mine.tmp"] {
            assert!(!is_name(other), "{other}");
        }
        assert!(!is_name(&format!("{name}x")) && !is_name(&name[1..]));
    }

    #[cfg(unix)]
    #[test]
    fn only_what_is_left_behind_is_swept() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("target");
        let at = |letters: &str| folder.path().join(format!("{PREFIX}{letters}{SUFFIX}"));
        let stays = [at("sub000000000"), at("link00000000"), at("hard00000000"), at("short"), folder.path().join("a.mine.tmp")];
        fs::create_dir(&stays[0]).unwrap();
        fs::write(&target, "kept").unwrap();
        symlink(&target, &stays[1]).unwrap();
        fs::write(&stays[3], "").unwrap();
        fs::hard_link(&stays[3], &stays[2]).unwrap();
        fs::write(&stays[4], "").unwrap();
        fs::write(at("dead00000000"), "half").unwrap();
        // Only a superuser can make a file somebody else's.
        let other = at("other0000000");
        fs::write(&other, "half").unwrap();
        let is_other = std::os::unix::fs::chown(&other, Some(65534), None).is_ok();
        let live = Unfinished::create(&target).unwrap();
        assert_eq!(other.exists(), is_other);
        assert!(!at("dead00000000").exists());
        let other = Unfinished::create(&target).unwrap();
        let [first, second] = [&live, &other].map(|unfinished| unfinished.file.path().to_owned());
        assert!(first.exists() && second.exists());
        assert!(stays.iter().all(|path| path.symlink_metadata().is_ok()), "{stays:?}");
        drop(live);
        other.name(&target).unwrap();
        assert!(!first.exists() && !second.exists() && fs::read(&target).unwrap().is_empty());
        assert!(!paths().paths.iter().any(|path| path.starts_with(folder.path())));
    }
}
