//! Files that several processes share: their locks.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::files;

/// A lock that is held until it is dropped, or the process ends in any way.
#[derive(Debug)]
pub struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing the file would not do: a child that was forked in between has it open too.
        let _ = self.0.unlock();
    }
}

/// Takes a lock, waiting at most `patience` for it. Its folder is made if it is not there.
///
/// # Errors
/// [`ErrorKind::WouldBlock`] if somebody else has it, [`ErrorKind::Unsupported`] if the file system has no locks; what the system says of
/// the file.
pub fn lock(path: &Path, patience: Duration) -> io::Result<Lock> {
    const PAUSE: Duration = Duration::from_millis(5);
    let start = Instant::now();
    loop {
        let file = open(path)?;
        match file.try_lock() {
            Ok(()) if is_named(&file)? => return Ok(Lock(file)),
            // Who held it cleared the cache, and removed it: there is another now, or none.
            Ok(()) => {}
            Err(TryLockError::Error(cause)) => {
                return Err(io::Error::new(ErrorKind::Unsupported, format!("no locks here: {cause}")));
            }
            Err(TryLockError::WouldBlock) if start.elapsed() >= patience => {
                return Err(io::Error::new(ErrorKind::WouldBlock, "another process is writing it"));
            }
            Err(TryLockError::WouldBlock) => thread::sleep(PAUSE),
        }
    }
}

/// Opens a lock, in a folder that others may remove at any time.
fn open(path: &Path) -> io::Result<File> {
    const TRIES: usize = 100;
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut opened = Err(ErrorKind::NotFound.into());
    for _ in 0..TRIES {
        fs::create_dir_all(folder)?;
        opened = files::own(path, File::options().create(true).truncate(false).write(true));
        if !opened.as_ref().is_err_and(|cause| cause.kind() == ErrorKind::NotFound) {
            break;
        }
    }
    opened
}

/// Whether a file has a name.
fn is_named(file: &File) -> io::Result<bool> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        Ok(file.metadata()?.nlink() > 0)
    }
    #[cfg(not(unix))]
    {
        // A file that is open cannot be removed.
        let _ = file;
        Ok(true)
    }
}
