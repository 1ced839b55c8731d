//! Files of checked records: text that people can read, compare and keep, and that several processes may write.
//!
//! ```toml
//! schema = 3
//! environment = "SomeMaker-6-207-2;48K-2048K-266240K;avx2+scalar"
//!
//! [[entry]]
//! format = "..."
//! ```
//!
//! Records are sorted by key. Each is read by itself and carries a digest of its text: one that is torn, edited or from another
//! environment is as good as none, and leaves its neighbours alone.

mod elsewhere;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Digest, Entry, VARIABLE, disk, kept};
use crate::error::{Error, Result};
use crate::files;

/// The meaning of the fields of a record. Folders are named by it: versions do not read each other's files.
const SCHEMA: u32 = 3;

/// Something that is known under a key, and the file that such records are kept in.
pub trait Record: Clone + Serialize + DeserializeOwned {
    /// What the record is about.
    type Key: Ord;

    /// Name of the file, without its ending.
    const FILE: &'static str;

    /// The line before a record.
    const MARK: &'static str;

    /// The first line of the file, for people.
    const PREFACE: &'static str;

    /// What this one is about.
    fn key(&self) -> &Self::Key;

    /// Whether it stays although a later one has the same key.
    fn outlasts(&self, _later: &Self) -> bool {
        false
    }

    /// The record's lines in the file of an environment.
    ///
    /// # Errors
    /// A number that TOML cannot hold.
    fn to_toml(&self, environment: &str) -> Result<String, toml::ser::Error> {
        let text = toml::to_string_pretty(self)?;
        let check = Digest::of(&[environment, &text]);
        Ok(format!("{text}check = \"{check}\"\n"))
    }

    /// The record of some lines, if they are as [`Record::to_toml`] wrote them for this environment: not torn, edited or foreign.
    #[must_use]
    fn from_toml(text: &str, environment: &str) -> Option<Self> {
        let Checked::<Self> { record, check } = toml::from_str(text).ok()?;
        let written = toml::to_string_pretty(&record).ok()?;
        (Digest::of(&[environment, &written]) == check).then_some(record)
    }
}

/// A record as it is read.
#[derive(Deserialize)]
struct Checked<R> {
    #[serde(flatten)]
    record: R,
    check: Digest,
}

/// The file of one environment that holds records of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordFile<R> {
    path: PathBuf,
    environment: String,
    records: PhantomData<fn() -> R>,
}

/// The file of what the tuner chose.
pub type CacheFile = RecordFile<Entry>;

/// What a file of records holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Records<R> {
    /// The records, sorted by key.
    pub entries: Vec<R>,
    /// How many records are torn, edited or foreign.
    pub unreadable: usize,
}

/// What the cache file holds.
pub type Contents = Records<Entry>;

impl<R> Default for Records<R> {
    fn default() -> Self {
        Self { entries: Vec::new(), unreadable: 0 }
    }
}

/// The lines before the first record.
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
    let header = toml::from_str::<Header>(&split(text, Entry::MARK).0).ok().filter(|header| header.schema == SCHEMA)?;
    let file = CacheFile::new(Path::new(""), &header.environment);
    let contents = file.parse(text);
    Some((header, contents))
}

impl<R: Record> RecordFile<R> {
    /// The file of an environment in a cache folder; neither need exist.
    #[must_use]
    pub fn new(folder: &Path, environment: &str) -> Self {
        let digest = Digest::of(&[environment]).to_string();
        let folder = folder.join(kept::ROOT).join(format!("{}{SCHEMA}", kept::VERSION)).join(digest);
        Self::within(&folder, environment)
    }

    fn within(folder: &Path, environment: &str) -> Self {
        let path = folder.join(R::FILE).with_extension("toml");
        Self { path, environment: environment.to_owned(), records: PhantomData }
    }

    /// The file of other records of the same environment, in the same folder.
    #[must_use]
    pub fn beside<S: Record>(&self) -> RecordFile<S> {
        RecordFile::within(self.folder(), &self.environment)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder of the environment.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }

    /// Reads it. A file that is missing or cannot be read holds nothing.
    #[must_use]
    pub fn read(&self) -> Records<R> {
        self.try_read().unwrap_or_default()
    }

    /// Adds records to the file, in place of those with equal keys that do not outlast them; all others that can be read stay, also
    /// those of other builds. Waits at most `patience` for other writers.
    ///
    /// # Errors
    /// [`Error::Cache`] if the file cannot be written. Then it is as it was.
    pub fn merge(&self, records: &[R], patience: Duration) -> Result<()> {
        self.try_merge(records, patience).map_err(|cause| {
            let remedy = match cause.kind() {
                ErrorKind::WouldBlock => "try again when that has ended".to_owned(),
                ErrorKind::Unsupported => format!("set {VARIABLE} to a folder on a file system that has them"),
                ErrorKind::InvalidInput => {
                    format!("remove the link, pipe or folder in its place or its lock's, or set {VARIABLE} to another folder")
                }
                _ => format!("make the folder writable, make room on the disk, or set {VARIABLE} to another folder"),
            };
            let detail = format!("cannot be written ({cause}), so what was measured is forgotten at exit; {remedy}");
            Error::Cache { path: self.path.clone(), detail }
        })
    }

    fn try_merge(&self, records: &[R], patience: Duration) -> io::Result<()> {
        self.locked(patience, || {
            let known = self.try_read()?.entries;
            let merged = latest(known.iter().chain(records)).cloned().collect::<Vec<_>>();
            self.replace("", &[], &merged)
        })
    }

    /// Does `work` while no other process writes the file.
    fn locked(&self, patience: Duration, work: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        fs::create_dir_all(self.folder())?;
        let _lock = disk::lock(&self.path.with_extension("lock"), patience)?;
        work()
    }

    fn replace(&self, note: &str, relatives: &[String], records: &[R]) -> io::Result<()> {
        files::replace(&self.path, self.whole(note, relatives, records)?.as_bytes())
    }

    /// The text of the file, with a note for people before it.
    fn whole(&self, note: &str, relatives: &[String], records: &[R]) -> io::Result<String> {
        let text = self.text(records, relatives).map_err(io::Error::other)?;
        Ok(note.lines().map(|line| format!("# {line}\n")).collect::<String>() + &text)
    }

    fn try_read(&self) -> io::Result<Records<R>> {
        match files::read(&self.path) {
            // Damage may be anything, also bytes that are not text.
            Ok(bytes) => Ok(self.parse(&String::from_utf8_lossy(&bytes))),
            Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(Records::default()),
            Err(cause) => Err(cause),
        }
    }

    fn parse(&self, text: &str) -> Records<R> {
        let (header, parts) = split(text, R::MARK);
        let header = toml::from_str::<Header>(&header);
        let ours = header.is_ok_and(|header| header.schema == SCHEMA && header.environment == self.environment);
        let read = |text: &String| if ours { R::from_toml(text, &self.environment) } else { None };
        let read = parts.iter().filter_map(read).collect::<Vec<_>>();
        let found = latest(&read).cloned().collect::<Vec<_>>();
        Records { unreadable: parts.len() - found.len(), entries: found }
    }

    pub(super) fn text(&self, records: &[R], relatives: &[String]) -> Result<String, toml::ser::Error> {
        let header = Header { schema: SCHEMA, environment: self.environment.clone(), relatives: relatives.to_vec() };
        let mut text = format!("{}\n{}", R::PREFACE, toml::to_string(&header)?);
        for record in records {
            text += &format!("\n{}\n{}", R::MARK, record.to_toml(&self.environment)?);
        }
        Ok(text)
    }
}

/// One record of each key, sorted: the last that nothing before it outlasts.
fn latest<'a, R: Record + 'a>(records: impl IntoIterator<Item = &'a R>) -> impl Iterator<Item = &'a R> {
    let mut latest = BTreeMap::<&R::Key, &R>::new();
    for record in records {
        let stays = latest.get(record.key()).is_some_and(|known| known.outlasts(record));
        if !stays {
            latest.insert(record.key(), record);
        }
    }
    latest.into_values()
}

/// The lines before the first record, and those of each record. A mark that is damaged begins a record too: a wrong one.
fn split(text: &str, mark: &str) -> (String, Vec<String>) {
    let (mut header, mut records) = (String::new(), Vec::<String>::new());
    for line in text.lines() {
        if line.starts_with('[') {
            records.push(String::new());
        }
        if line.trim_end() != mark {
            let part = records.last_mut().unwrap_or(&mut header);
            part.push_str(line);
            part.push('\n');
        }
    }
    (header, records)
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
        let text = file.text(&entries, &[]).unwrap();
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
        let mut ends = text.match_indices(Entry::MARK).map(|(at, _)| at - 2).collect::<Vec<_>>();
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
