//! Where an output goes: which file a path leads to.

use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Links that may lead from one to the next: as many as Linux follows.
const LINKS: usize = 40;

/// Where Linux shows the open files of processes, as links that are more than their text.
const PROCESSES: &str = "/proc";

/// What a path leads to.
#[derive(Debug)]
pub enum Place {
    /// The standard output of this process.
    Standard,
    /// A regular file, or none yet. This is its own name, behind all links.
    Whole(PathBuf),
    /// What is written to as it is: a device, a pipe, a file that this process has open.
    Through(Metadata),
}

/// What a path leads to.
///
/// # Errors
/// What the system says; a folder.
pub fn find(path: &Path) -> io::Result<Place> {
    match path.metadata() {
        Ok(data) if data.is_dir() => Err(io::Error::new(ErrorKind::IsADirectory, "it is a folder")),
        Ok(data) if is_standard(&data) => Ok(Place::Standard),
        Ok(data) if !data.is_file() => Ok(Place::Through(data)),
        Ok(data) => Ok(behind_links(path)?.map_or(Place::Through(data), Place::Whole)),
        Err(cause) if cause.kind() == ErrorKind::NotFound => {
            let missing = || io::Error::from(ErrorKind::NotFound);
            behind_links(path)?.map(Place::Whole).ok_or_else(missing)
        }
        Err(cause) => Err(cause),
    }
}

/// The folder of a file.
pub fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The name of a file itself; `None` if it is one that a process has open, whatever its name is.
fn behind_links(path: &Path) -> io::Result<Option<PathBuf>> {
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        match fs::symlink_metadata(&path) {
            Ok(data) if data.is_symlink() => {
                let folder = folder(&path);
                if folder.canonicalize()?.starts_with(PROCESSES) {
                    return Ok(None);
                }
                path = folder.join(fs::read_link(&path)?);
            }
            Err(cause) if cause.kind() != ErrorKind::NotFound => return Err(cause),
            _ => return Ok(Some(path)),
        }
    }
    Err(io::Error::other("links lead in a circle"))
}

/// Whether two paths lead to one file, under whatever names. A device of characters, such as a terminal, is as good as two.
#[must_use]
pub fn is_same(one: &Path, other: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        let (Ok(one), Ok(other)) = (one.metadata(), other.metadata()) else { return false };
        !one.file_type().is_char_device() && identity(&one) == identity(&other)
    }
    #[cfg(not(unix))]
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

/// Whether a file belongs to the user that this process acts for.
#[must_use]
pub fn is_ours(data: &Metadata) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        // SAFETY: it asks for nothing and cannot fail.
        data.uid() == unsafe { libc::geteuid() }
    }
    #[cfg(not(unix))]
    {
        let _ = data;
        true
    }
}

/// What no two files have in common: the device and the number on it.
#[cfg(unix)]
pub fn identity(data: &Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;
    (data.dev(), data.ino())
}

/// Whether this is what standard output goes to.
fn is_standard(data: &Metadata) -> bool {
    #[cfg(unix)]
    {
        use std::os::fd::AsFd;
        let standard = io::stdout().as_fd().try_clone_to_owned().and_then(|file| fs::File::from(file).metadata());
        standard.is_ok_and(|standard| identity(&standard) == identity(data))
    }
    #[cfg(not(unix))]
    {
        let _ = data;
        false
    }
}
