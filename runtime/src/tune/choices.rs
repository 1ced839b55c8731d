//! What has been chosen: the memory of the process, in front of the cache file.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{LazyLock, Mutex, OnceLock, PoisonError, RwLock, RwLockWriteGuard};

use super::outbox::Outbox;
use super::turn::Turn;
use super::{CacheFile, Contents, Entry, Key, Variants, place};
use crate::error::Result;
use crate::matmul::Source;
use crate::registry::{self, Kernel};

/// Choices that are known: a memory, and perhaps a file behind it, which is read at the first look-up and written by
/// [`Choices::publish`]. May be shared by threads, and the file by processes.
#[derive(Debug)]
pub struct Choices {
    file: Option<CacheFile>,
    memory: OnceLock<RwLock<Memory>>,
    unpublished: Outbox<Entry>,
    variants: Variants,
    /// Writing failed before, and the caller has been told.
    failed: AtomicBool,
    /// Held by the thread that measures.
    turn: Mutex<()>,
}

type Known = (&'static Kernel, Source);

#[derive(Debug, Default)]
struct Memory {
    known: HashMap<Key, Known>,
    /// Entries of the file whose formats were not registered when it was read.
    waiting: HashMap<Key, Entry>,
}

impl Memory {
    /// Sorts the entries of a file: some are known from now on, some wait, the rest are of no use here.
    fn of(entries: Vec<Entry>) -> Self {
        let mut memory = Self::default();
        for entry in entries {
            if let Some(kernel) = entry.kernel() {
                memory.known.insert(entry.key, (kernel, Source::Cache));
            } else if registry::formats().all(|format| format.name != entry.key.format) {
                memory.waiting.insert(entry.key.clone(), entry);
            }
        }
        memory
    }
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
        Self {
            variants: Variants::new(file.as_ref()),
            file,
            memory: OnceLock::new(),
            unpublished: Outbox::default(),
            failed: AtomicBool::new(false),
            turn: Mutex::default(),
        }
    }

    /// The cache file, which may not exist yet.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.file.as_ref().map(CacheFile::path)
    }

    /// The folder of the cache file, which may not exist yet.
    pub(super) fn folder(&self) -> Option<&Path> {
        self.file.as_ref().map(CacheFile::folder)
    }

    /// What is known of the kernels themselves.
    #[must_use]
    pub const fn variants(&self) -> &Variants {
        &self.variants
    }

    /// The turn to measure; `None` while another thread or process measures.
    pub(super) fn turn(&self) -> Option<Turn<'_>> {
        Turn::take(self, &self.turn)
    }

    /// What the cache file holds now, usable here or not: [`Entry::kernel`] tells.
    #[must_use]
    pub fn contents(&self) -> Contents {
        self.file.as_ref().map(CacheFile::read).unwrap_or_default()
    }

    /// The kernel chosen for a problem, unless it is quarantined, and who remembered it. Only the first call reads the files.
    #[must_use]
    pub fn find(&self, key: &Key) -> Option<(&'static Kernel, Source)> {
        self.recall(key).filter(|(kernel, _)| !self.variants.is_quarantined(kernel))
    }

    fn recall(&self, key: &Key) -> Option<Known> {
        let memory = self.memory().read().unwrap_or_else(PoisonError::into_inner);
        let found = memory.known.get(key).copied();
        if found.is_some() || memory.waiting.is_empty() {
            return found;
        }
        let found = (memory.waiting.get(key)?.kernel()?, Source::Cache);
        drop(memory);
        Some(*self.write().known.entry(key.clone()).or_insert(found))
    }

    /// Remembers an entry from now on. One whose kernel does not run here is never found.
    pub fn record(&self, entry: Entry, keep: Keep) {
        let mut memory = self.write();
        memory.waiting.remove(&entry.key);
        match entry.kernel() {
            Some(kernel) => memory.known.insert(entry.key.clone(), (kernel, Source::Memory)),
            None => memory.known.remove(&entry.key),
        };
        drop(memory);
        if keep == Keep::InFile {
            self.unpublished.add(entry);
        }
    }

    /// Adds to the files what was recorded for them since the last time, of problems and of kernels.
    ///
    /// # Errors
    /// [`crate::Error::Cache`] when a file cannot be written, for the first time: later failures are not worth another warning, and
    /// are not waited for. What was recorded stays in memory, and the next call tries again.
    pub fn publish(&self) -> Result<()> {
        let entries = self.unpublished.send(self.file.as_ref(), &self.failed);
        entries.and(self.variants.publish(&self.failed))
    }

    fn memory(&self) -> &RwLock<Memory> {
        self.memory.get_or_init(|| RwLock::new(Memory::of(self.contents().entries)))
    }

    fn write(&self) -> RwLockWriteGuard<'_, Memory> {
        self.memory().write().unwrap_or_else(PoisonError::into_inner)
    }
}
