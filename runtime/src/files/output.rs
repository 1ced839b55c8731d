//! Outputs: files as a whole, and whatever else can be written to.

use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::place::{self, Place, is_same};
use super::unfinished::Unfinished;
use crate::error::{Error, Result};

/// What most failures call for.
const ELSEWHERE: &str = "name a file in a folder that exists and is writable";

/// An output that is being written.
///
/// A regular file is replaced as a whole by [`Output::finish`]; until then, and if that is never called or fails, what was there
/// stays as it is. Links are followed: what they lead to is replaced. Devices and pipes are written to as they are.
///
/// ```
/// use std::{fs, io::Write};
/// use quantloom::files::Output;
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("y.f32");
/// # let input = folder.path().join("x.f32");
/// let mut output = Output::create(&path, [&input])?;
/// output.write_all(&1.0_f32.to_le_bytes())?;
/// assert!(!path.exists());
/// output.finish()?;
/// assert_eq!(fs::read(&path)?.len(), 4);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Output {
    path: PathBuf,
    sink: Sink,
}

#[derive(Debug)]
enum Sink {
    /// An unfinished file, and the name that it is to have.
    Whole(Unfinished, PathBuf),
    Through(File),
    Standard(io::Stdout),
}

impl Output {
    /// Begins an output at `path`, made from `inputs`, none of which it may be, under whatever name.
    ///
    /// # Errors
    /// [`Error::SameFile`] if it is one of them, [`Error::Output`] if it cannot be written.
    pub fn create(path: impl Into<PathBuf>, inputs: impl IntoIterator<Item = impl AsRef<Path>>) -> Result<Self> {
        let path = path.into();
        for input in inputs {
            let input = input.as_ref();
            if is_same(&path, input) {
                return Err(Error::SameFile { output: path, input: input.to_owned() });
            }
        }
        let place = place::find(&path).map_err(|cause| unwritable(&path, cause))?;
        let sink = match place {
            Place::Standard => Sink::Standard(io::stdout()),
            Place::Through(data) => Sink::Through(through(&path, &data)?),
            Place::Whole(target) => Sink::Whole(begin(&path, &target)?, target),
        };
        Ok(Self { path, sink })
    }

    /// Standard output.
    #[must_use]
    pub fn standard() -> Self {
        Self { path: PathBuf::from("standard output"), sink: Sink::Standard(io::stdout()) }
    }

    /// Whether this is standard output, where nothing else should be printed then.
    #[must_use]
    pub fn is_standard(&self) -> bool {
        matches!(self.sink, Sink::Standard(_))
    }

    /// Where it goes, as it was named.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The error that says why it could not be written: [`Error::Output`], or [`Error::Io`] of standard output.
    #[must_use]
    pub fn failed(&self, cause: io::Error) -> Error {
        failed(&self.path, self.is_standard(), cause)
    }

    /// Completes it: a file gets its name.
    ///
    /// # Errors
    /// [`Error::Output`] if that fails.
    pub fn finish(mut self) -> Result<()> {
        let is_standard = self.is_standard();
        let finished = self.flush().and_then(|()| match self.sink {
            Sink::Whole(unfinished, target) => unfinished.name(&target),
            Sink::Through(_) | Sink::Standard(_) => Ok(()),
        });
        finished.map_err(|cause| failed(&self.path, is_standard, cause))
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.sink {
            Sink::Whole(unfinished, _) => unfinished.file().write(bytes),
            Sink::Through(file) => file.write(bytes),
            Sink::Standard(stdout) => stdout.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.sink {
            Sink::Whole(..) | Sink::Through(_) => Ok(()),
            Sink::Standard(stdout) => stdout.flush(),
        }
    }
}

/// Replaces a file that only this program makes under such a name, as a whole: readers, and whoever comes after a crash, find the old
/// bytes or the new ones. Somebody else's link, pipe or folder is left alone.
///
/// # Errors
/// What the system says; then the file is as it was.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if path.symlink_metadata().is_ok_and(|data| !data.is_file()) {
        return Err(io::Error::new(ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut unfinished = Unfinished::create(path)?;
    unfinished.file().write_all(bytes)?;
    unfinished.name(path)
}

/// An unfinished file that is to become `target`, with the permissions of what is there.
fn begin(path: &Path, target: &Path) -> Result<Unfinished> {
    let old = target.metadata().ok().map(|data| data.permissions());
    if old.as_ref().is_some_and(|old| old.readonly()) {
        let cause = io::Error::new(ErrorKind::PermissionDenied, "it is write-protected");
        return Err(Error::Output { path: path.to_owned(), cause, remedy: "name another file, or lift the protection" });
    }
    let mut unfinished = Unfinished::create(target).map_err(|cause| unwritable(path, cause))?;
    if let Some(old) = old {
        // Not all systems have permissions.
        let _ = unfinished.file().set_permissions(old);
    }
    Ok(unfinished)
}

/// Opens what is written to as it is.
fn through(path: &Path, data: &Metadata) -> Result<File> {
    let mut options = File::options();
    // A file that this process has open may hold something already.
    options.write(true).append(data.is_file());
    #[cfg(unix)]
    {
        use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
        let kind = data.file_type();
        if kind.is_socket() {
            let cause = io::Error::other("it is a socket, which only its own program can write to");
            return Err(Error::Output { path: path.to_owned(), cause, remedy: "name a pipe or a file" });
        }
        if kind.is_fifo() {
            // Opened like this, a pipe that nobody reads is an error. Opened as usual, it would be waited for.
            let opened = options.custom_flags(libc::O_NONBLOCK).open(path);
            return opened.and_then(|file| wait_for_room(&file).map(|()| file)).map_err(|cause| {
                let nobody = cause.raw_os_error() == Some(libc::ENXIO);
                let cause = if nobody { io::Error::other("nobody reads this pipe") } else { cause };
                Error::Output { path: path.to_owned(), cause, remedy: "start what reads it first" }
            });
        }
    }
    options.open(path).map_err(|cause| unwritable(path, cause))
}

/// From now on, whoever writes waits until there is room.
#[cfg(unix)]
fn wait_for_room(file: &File) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    let file = file.as_raw_fd();
    // SAFETY: the file is open, and only how it is written to is asked for and changed.
    let done = unsafe {
        let flags = libc::fcntl(file, libc::F_GETFL);
        if flags < 0 { flags } else { libc::fcntl(file, libc::F_SETFL, flags & !libc::O_NONBLOCK) }
    };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn failed(path: &Path, is_standard: bool, cause: io::Error) -> Error {
    if is_standard { Error::io("standard output")(cause) } else { unwritable(path, cause) }
}

/// What cannot be written, and what to do about it.
fn unwritable(path: &Path, cause: io::Error) -> Error {
    let remedy = match cause.kind() {
        ErrorKind::BrokenPipe => "let what reads it read to the end",
        ErrorKind::IsADirectory => "name a file in it",
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            "make room there, or name a file elsewhere"
        }
        _ => ELSEWHERE,
    };
    Error::Output { path: path.to_owned(), cause, remedy }
}
