//! Regular files, in folders where somebody may have put a pipe or a link under their name.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::path::Path;

/// Opens a regular file for reading. Anything else is refused at once: opening a pipe would wait for whoever writes into it.
///
/// # Errors
/// What the system says, or that it is no regular file.
pub fn open(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.custom_flags(libc::O_NONBLOCK);
    }
    // Opening a device may do something: it is asked before what it is, and after whether it is that still.
    if !path.metadata()?.is_file() {
        return Err(other_kind());
    }
    regular(options.open(path)?)
}

/// The bytes of a regular file: see [`open`].
///
/// # Errors
/// As [`open`], and what the system says.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Opens a file that only this program makes under such a name, as the options say: a link is refused too, and nothing is waited for.
///
/// # Errors
/// As [`open`].
pub fn own(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW);
    }
    if path.symlink_metadata().is_ok_and(|data| !data.is_file()) {
        return Err(other_kind());
    }
    regular(options.open(path)?)
}

fn regular(file: File) -> io::Result<File> {
    if file.metadata()?.is_file() { Ok(file) } else { Err(other_kind()) }
}

fn other_kind() -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, "not a regular file")
}
