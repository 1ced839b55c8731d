//! The locks of the cache's folders.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

pub use quantloom::tune::kept::locks as of;

/// What comes of taking a lock.
#[derive(Debug)]
pub enum Lock {
    /// It is held until this is dropped.
    Held(File),
    /// Another process holds it.
    Elsewhere,
    /// There are no locks on this file system, as it says, so that nobody can hold one. The tuner writes nothing there.
    Impossible(io::Error),
}

/// Takes a lock.
///
/// # Errors
/// What the system says of the file.
pub fn take(path: &Path) -> io::Result<Lock> {
    let file = quantloom::files::open(path)?;
    Ok(match file.try_lock() {
        Ok(()) => Lock::Held(file),
        Err(TryLockError::WouldBlock) => Lock::Elsewhere,
        Err(TryLockError::Error(cause)) => Lock::Impossible(cause),
    })
}
