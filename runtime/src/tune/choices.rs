//! What has been chosen: the memory of the process, in front of the cache file.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use super::{CacheFile, Contents, Entry, Key, place};
use crate::error::{Error, Result};
use crate::matmul::Source;
use crate::registry::Kernel;

/// How long a writer waits for others: a write takes milliseconds, so whoever takes this long is stuck.
const PATIENCE: Duration = Duration::from_secs(2);

/// Choices that are known: a memory, and perhaps a file behind it, which is read at the first look-up and written by
/// [`Choices::publish`]. May be shared by threads, and the file by processes.
#[derive(Debug)]
pub struct Choices {
    file: Option<CacheFile>,
    known: OnceLock<RwLock<HashMap<Key, Known>>>,
    unpublished: Mutex<Unpublished>,
}

type Known = (&'static Kernel, Source);

/// Entries on their way to the file.
#[derive(Debug, Default)]
struct Unpublished {
    entries: Vec<Entry>,
    /// Writing failed before, and the caller has been told.
    failed: bool,
}

/// Where an entry is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Until the process ends.
    InMemory,
    /// Also in the cache file, with the next [`Choices::publish`].
    InFile,
}

/// The choices that every multiplication of this process follows.
pub fn choices() -> &'static Choices {
    static CHOICES: LazyLock<Choices> = LazyLock::new(|| Choices::new(place::file()));
    &CHOICES
}

impl Choices {
    /// Choices with a file behind them, or none.
    #[must_use]
    pub fn new(file: Option<CacheFile>) -> Self {
        Self { file, known: OnceLock::new(), unpublished: Mutex::default() }
    }

    /// The cache file, which may not exist yet.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.file.as_ref().map(CacheFile::path)
    }

    /// What the cache file holds now, usable here or not: [`Entry::kernel`] tells.
    #[must_use]
    pub fn contents(&self) -> Contents {
        self.file.as_ref().map(CacheFile::read).unwrap_or_default()
    }

    /// The kernel chosen for a problem, and who remembered it. Only the first call reads the file.
    #[must_use]
    pub fn find(&self, key: &Key) -> Option<(&'static Kernel, Source)> {
        self.known().read().unwrap_or_else(PoisonError::into_inner).get(key).copied()
    }

    /// Remembers an entry from now on. One whose kernel does not run here is never found.
    pub fn record(&self, entry: Entry, keep: Keep) {
        let mut known = self.known().write().unwrap_or_else(PoisonError::into_inner);
        match entry.kernel() {
            Some(kernel) => known.insert(entry.key.clone(), (kernel, Source::Memory)),
            None => known.remove(&entry.key),
        };
        drop(known);
        if keep == Keep::InFile {
            self.unpublished().entries.push(entry);
        }
    }

    /// Adds to the file what was recorded for it since the last time.
    ///
    /// # Errors
    /// [`Error::Cache`] when the file cannot be written, for the first time: later failures are not worth another warning, and
    /// are not waited for. What was recorded stays in memory, and the next call tries again.
    pub fn publish(&self) -> Result<()> {
        let mut unpublished = self.unpublished();
        let Unpublished { entries, failed } = &mut *unpublished;
        if entries.is_empty() {
            return Ok(());
        }
        let patience = if *failed { Duration::ZERO } else { PATIENCE };
        match self.file.as_ref().ok_or_else(nowhere).and_then(|file| file.merge(entries, patience)) {
            Ok(()) => entries.clear(),
            Err(error) if !*failed => {
                *failed = true;
                return Err(error);
            }
            Err(_) => {}
        }
        Ok(())
    }

    fn known(&self) -> &RwLock<HashMap<Key, Known>> {
        self.known.get_or_init(|| {
            let entries = self.contents().entries.into_iter();
            let usable = entries.filter_map(|entry| entry.kernel().map(|kernel| (entry.key, (kernel, Source::Cache))));
            RwLock::new(usable.collect())
        })
    }

    fn unpublished(&self) -> MutexGuard<'_, Unpublished> {
        self.unpublished.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// There is no cache folder.
fn nowhere() -> Error {
    Error::Cache {
        path: PathBuf::from("the tuner's cache"),
        detail: format!(
            "there is no home folder, so what was measured is forgotten at exit; set {} to a folder",
            super::VARIABLE
        ),
    }
}
