//! Files that several processes share: locks, and replacement as a whole.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::NamedTempFile;

/// A lock that is held until it is dropped, or the process ends in any way.
#[derive(Debug)]
pub struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing the file would not do: a child that was forked in between has it open too.
        let _ = self.0.unlock();
    }
}

/// Takes a lock, waiting at most `patience` for it.
///
/// # Errors
/// [`ErrorKind::WouldBlock`] if somebody else has it; what the system says if there can be no such lock.
pub fn lock(path: &Path, patience: Duration) -> io::Result<Lock> {
    const PAUSE: Duration = Duration::from_millis(5);
    let file = File::options().create(true).truncate(false).write(true).open(path)?;
    let start = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Lock(file)),
            Err(TryLockError::Error(cause)) => return Err(cause),
            Err(TryLockError::WouldBlock) if start.elapsed() >= patience => {
                return Err(io::Error::new(ErrorKind::WouldBlock, "another process is writing it"));
            }
            Err(TryLockError::WouldBlock) => thread::sleep(PAUSE),
        }
    }
}

/// Replaces a file of a folder as a whole: readers, and whoever comes after a crash, find the old text or the new one. There must be
/// no other writer of the file.
///
/// # Errors
/// What the system says; then the file is as it was.
pub fn replace(path: &Path, folder: &Path, text: &str) -> io::Result<()> {
    let prefix = format!("{}.", path.file_stem().unwrap_or_default().display());
    sweep(folder, &prefix);
    let mut temporary = temporary(folder, &prefix)?;
    temporary.write_all(text.as_bytes())?;
    temporary.as_file().sync_all()?;
    temporary.persist(path)?;
    // The name is in the folder: without this, a power cut may bring the old file back. Not all systems can do it.
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
    Ok(())
}

/// The end of the names of files that are being written.
const TEMPORARY: &str = ".tmp";

/// A file of its own for each writer, which is removed again unless it is kept.
fn temporary(folder: &Path, prefix: &str) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(prefix).suffix(TEMPORARY);
    #[cfg(unix)]
    {
        // As any other file: several users may share a cache.
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder)
}

/// Removes what writers left behind that were killed. That it is there does no harm.
fn sweep(folder: &Path, prefix: &str) {
    for file in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = file.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(prefix) && name.ends_with(TEMPORARY) {
            let _ = fs::remove_file(file.path());
        }
    }
}
