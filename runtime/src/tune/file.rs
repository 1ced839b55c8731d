//! The cache file: text that people can read, compare and keep, and that several processes may write.
//!
//! ```toml
//! schema = 2
//! environment = "SomeMaker-6-207-2;48K-2048K-266240K;avx2+scalar"
//!
//! [[entry]]
//! format = "..."
//! ```
//!
//! Entries are sorted by key. Each is read by itself and carries a digest of its text: one that is torn, edited or from another
//! environment is as good as none, and leaves its neighbours alone.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use super::{Digest, Entry, VARIABLE};
use crate::error::{Error, Result};

/// The meaning of the fields of an entry. Folders are named by it: versions do not read each other's files.
const SCHEMA: u32 = 2;

/// The line before an entry.
const MARK: &str = "[[entry]]";

/// The first lines of the file, for people.
const PREFACE: &str = "# The fastest kernels on this machine, as measured by quantloom. May be deleted at any time.\n";

/// The tuner's file for one environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheFile {
    path: PathBuf,
    environment: String,
}

/// What a cache file holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Contents {
    /// The entries, sorted by key.
    pub entries: Vec<Entry>,
    /// How many entries are torn, edited or foreign.
    pub unreadable: usize,
}

/// The lines before the first entry.
#[derive(Serialize, Deserialize)]
pub(super) struct Header {
    schema: u32,
    /// The environment that was measured.
    pub environment: String,
    /// How the environments of processors begin that may use a shipped file too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub relatives: Vec<String>,
}

/// Reads a file's text, whatever its environment. `None` if it has another schema.
pub(super) fn read_any(text: &str) -> Option<(Header, Contents)> {
    let header = toml::from_str::<Header>(&split(text).0).ok().filter(|header| header.schema == SCHEMA)?;
    let file = CacheFile::new(Path::new(""), &header.environment);
    let contents = file.parse(text);
    Some((header, contents))
}

impl CacheFile {
    /// The file of an environment in a cache folder; neither need exist.
    #[must_use]
    pub fn new(folder: &Path, environment: &str) -> Self {
        let digest = Digest::of(&[environment]).to_string();
        let path = folder.join("tune").join(format!("v{SCHEMA}")).join(digest).join("entries.toml");
        Self { path, environment: environment.to_owned() }
    }

    /// The file at a path, of whatever environment it names, to look at: it may have come from another machine.
    ///
    /// # Errors
    /// [`Error::Cache`] if it cannot be read, or does not begin as a file of this version does.
    pub fn open(path: &Path) -> Result<Self> {
        let wrong = |detail: String| Error::Cache { path: path.to_owned(), detail };
        let remedy = format!("name a file such as `quantloom cache path` prints, which {VARIABLE} moves");
        let bytes = fs::read(path).map_err(|cause| wrong(format!("cannot be read ({cause}); {remedy}")))?;
        let (header, _) = split(&String::from_utf8_lossy(&bytes));
        match toml::from_str::<Header>(&header) {
            Ok(Header { schema: SCHEMA, environment, .. }) => Ok(Self { path: path.to_owned(), environment }),
            Ok(Header { schema, .. }) => {
                Err(wrong(format!("has version {schema}, and only {SCHEMA} is read; tune again with this program")))
            }
            Err(_) => Err(wrong(format!("is no cache of the tuner; {remedy}"))),
        }
    }

    /// The file of an environment at a path of its own, to write what goes elsewhere. It need not exist.
    #[must_use]
    pub fn at(path: &Path, environment: &str) -> Self {
        Self { path: path.to_owned(), environment: environment.to_owned() }
    }

    /// The environment that its entries were measured in.
    #[must_use]
    pub fn environment(&self) -> &str {
        &self.environment
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads it. A file that is missing or cannot be read holds nothing.
    #[must_use]
    pub fn read(&self) -> Contents {
        self.try_read().unwrap_or_default()
    }

    /// Adds entries to the file, in place of those with equal keys; all others that can be read stay, also those of other builds.
    /// Waits at most `patience` for other writers.
    ///
    /// # Errors
    /// [`Error::Cache`] if the file cannot be written. Then it is as it was.
    pub fn merge(&self, entries: &[Entry], patience: Duration) -> Result<()> {
        self.try_merge(entries, patience).map_err(|cause| {
            let remedy = if cause.kind() == ErrorKind::WouldBlock {
                "try again when that has ended".to_owned()
            } else {
                format!("make the folder writable or set {VARIABLE} to one that is")
            };
            let detail = format!("cannot be written ({cause}), so what was measured is forgotten at exit; {remedy}");
            Error::Cache { path: self.path.clone(), detail }
        })
    }

    fn try_merge(&self, entries: &[Entry], patience: Duration) -> io::Result<()> {
        let folder = self.folder();
        fs::create_dir_all(folder)?;
        let _lock = lock(&self.path.with_extension("lock"), patience)?;
        let known = self.try_read()?.entries;
        let merged = known.iter().chain(entries).map(|entry| (&entry.key, entry)).collect::<BTreeMap<_, _>>();
        let text = self.text(merged.into_values(), &[]).map_err(io::Error::other)?;
        replace(&self.path, folder, &text)
    }

    /// Replaces the entries of the file by what `change` makes of them, while no other process writes it. Waits at most `patience` for
    /// other writers.
    ///
    /// # Errors
    /// [`Error::Cache`] if the file cannot be written. Then it is as it was.
    pub fn update(&self, patience: Duration, change: impl FnOnce(Vec<Entry>) -> Vec<Entry>) -> Result<()> {
        self.locked(patience, || {
            let entries = change(self.try_read()?.entries);
            self.replace("", &[], &entries)
        })
    }

    /// Writes a file that goes elsewhere, in place of what is there. Processors whose environments begin as `relatives` say may use it
    /// too; `note` is for people.
    ///
    /// # Errors
    /// [`Error::Cache`] if the file cannot be written. Then it is as it was.
    pub fn write(&self, note: &str, relatives: &[String], entries: &[Entry]) -> Result<()> {
        self.replace(note, relatives, entries).map_err(|cause| self.unwritable(&cause))
    }

    /// Does `work` while no other process writes the file.
    fn locked(&self, patience: Duration, work: impl FnOnce() -> io::Result<()>) -> Result<()> {
        let done = fs::create_dir_all(self.folder()).and_then(|()| {
            let _lock = lock(&self.path.with_extension("lock"), patience)?;
            work()
        });
        done.map_err(|cause| self.unwritable(&cause))
    }

    fn replace(&self, note: &str, relatives: &[String], entries: &[Entry]) -> io::Result<()> {
        let text = self.text(entries.iter(), relatives).map_err(io::Error::other)?;
        let note = note.lines().map(|line| format!("# {line}\n")).collect::<String>();
        replace(&self.path, self.folder(), &(note + &text))
    }

    fn unwritable(&self, cause: &io::Error) -> Error {
        let detail = format!("cannot be written ({cause}); name a place where that can be done");
        Error::Cache { path: self.path.clone(), detail }
    }

    /// The folder of the file.
    fn folder(&self) -> &Path {
        self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }

    fn try_read(&self) -> io::Result<Contents> {
        match fs::read(&self.path) {
            // Damage may be anything, also bytes that are not text.
            Ok(bytes) => Ok(self.parse(&String::from_utf8_lossy(&bytes))),
            Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(Contents::default()),
            Err(cause) => Err(cause),
        }
    }

    fn parse(&self, text: &str) -> Contents {
        let (header, entries) = split(text);
        let header = toml::from_str::<Header>(&header);
        let ours = header.is_ok_and(|header| header.schema == SCHEMA && header.environment == self.environment);
        let read = |text: &String| if ours { Entry::from_toml(text, &self.environment) } else { None };
        let read = entries.iter().filter_map(read).map(|entry| (entry.key.clone(), entry));
        let found = read.collect::<BTreeMap<_, _>>().into_values().collect::<Vec<_>>();
        Contents { unreadable: entries.len() - found.len(), entries: found }
    }

    fn text<'a>(&self, entries: impl Iterator<Item = &'a Entry>, relatives: &[String]) -> Result<String, toml::ser::Error> {
        let header = Header { schema: SCHEMA, environment: self.environment.clone(), relatives: relatives.to_vec() };
        let mut text = PREFACE.to_owned() + &toml::to_string(&header)?;
        for entry in entries {
            text += &format!("\n{MARK}\n{}", entry.to_toml(&self.environment)?);
        }
        Ok(text)
    }
}

/// The lines before the first entry, and those of each entry. A mark that is damaged begins an entry too: a wrong one.
fn split(text: &str) -> (String, Vec<String>) {
    let (mut header, mut entries) = (String::new(), Vec::<String>::new());
    for line in text.lines() {
        if line.starts_with('[') {
            entries.push(String::new());
        }
        if line.trim_end() != MARK {
            let part = entries.last_mut().unwrap_or(&mut header);
            part.push_str(line);
            part.push('\n');
        }
    }
    (header, entries)
}

/// Takes the lock that writers hold; it is given back when the file is dropped, or the process ends in any way.
pub(super) fn lock(path: &Path, patience: Duration) -> io::Result<File> {
    const PAUSE: Duration = Duration::from_millis(5);
    let file = File::options().create(true).truncate(false).write(true).open(path)?;
    let start = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(cause)) => return Err(cause),
            Err(TryLockError::WouldBlock) if start.elapsed() >= patience => {
                return Err(io::Error::new(ErrorKind::WouldBlock, "another process is writing it"));
            }
            Err(TryLockError::WouldBlock) => thread::sleep(PAUSE),
        }
    }
}

/// Replaces a file as a whole: readers, and whoever comes after a crash, find the old text or the new one.
pub(super) fn replace(path: &Path, folder: &Path, text: &str) -> io::Result<()> {
    let mut temporary = temporary(folder)?;
    temporary.write_all(text.as_bytes())?;
    temporary.as_file().sync_all()?;
    temporary.persist(path)?;
    Ok(())
}

/// A file of its own for each writer, which is removed again unless it is kept.
fn temporary(folder: &Path) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("entries.").suffix(".tmp");
    #[cfg(unix)]
    {
        // As any other file: several users may share a cache.
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tune::fake;

    /// A file with some entries, and its text.
    fn example(count: usize) -> (CacheFile, Vec<Entry>, String) {
        let file = CacheFile::new(Path::new("nowhere"), "one environment");
        let weights = fake::weights(1, 1);
        let entries = (1..=count).map(|threads| fake::entry(&weights, threads)).collect::<Vec<_>>();
        let text = file.text(entries.iter(), &[]).unwrap();
        (file, entries, text)
    }

    #[test]
    fn text_is_read_back() {
        let (file, entries, text) = example(3);
        assert_eq!(file.parse(&text), Contents { entries, unreadable: 0 });
    }

    #[test]
    fn a_torn_text_keeps_its_whole_entries() {
        let (file, entries, text) = example(3);
        // An entry is whole without the end of its last line, and without the empty line before the next.
        let mut ends = text.match_indices(MARK).map(|(at, _)| at - 2).collect::<Vec<_>>();
        ends.push(text.len() - 1);
        for cut in 0..text.len() {
            let whole = ends[1..].iter().filter(|&&end| end <= cut).count();
            assert_eq!(file.parse(&text[..cut]).entries, entries[..whole], "torn after {cut} bytes");
        }
    }

    #[test]
    fn no_damage_makes_a_new_entry() {
        let (file, entries, text) = example(2);
        for at in 0..text.len() {
            for with in [b'7', b'"', b'[', b'\n', 0xff] {
                let mut damaged = text.clone().into_bytes();
                damaged[at] = with;
                let found = file.parse(&String::from_utf8_lossy(&damaged)).entries;
                assert!(found.iter().all(|entry| entries.contains(entry)), "byte {at} is {with}");
            }
        }
    }
}
