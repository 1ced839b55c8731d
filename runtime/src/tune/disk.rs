//! Files that several processes share: their locks.

use std::fs::{File, TryLockError};
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

/// Takes a lock, waiting at most `patience` for it.
///
/// # Errors
/// [`ErrorKind::WouldBlock`] if somebody else has it, [`ErrorKind::Unsupported`] if the file system has no locks; what the system says of
/// the file.
pub fn lock(path: &Path, patience: Duration) -> io::Result<Lock> {
    const PAUSE: Duration = Duration::from_millis(5);
    let file = files::own(path, File::options().create(true).truncate(false).write(true))?;
    let start = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Lock(file)),
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
