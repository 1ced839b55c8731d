//! The locks of the cache's folders.

use std::fs::File;
use std::path::Path;

pub use quantloom::tune::kept::locks as of;

/// The lock, held until it is dropped; `None` if another process holds it.
pub fn take(path: &Path) -> Option<File> {
    let file = quantloom::files::open(path).ok()?;
    file.try_lock().is_ok().then_some(file)
}
