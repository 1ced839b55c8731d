//! What has been chosen: the memory of the process, the user's cache file, and the tables that the program ships with.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::layer::Layer;
use super::outbox::Outbox;
use super::shipped::{self, Table};
use super::turn::Turn;
use super::{CacheFile, Contents, Effort, Entry, Key, Mode, Pins, Settings, Variants, place};
use crate::error::Result;
use crate::matmul::{Launch, Source};

/// Choices that are known: a memory, perhaps a file behind it, which is read at the first look-up and written by
/// [`Choices::publish`], and perhaps shipped tables. May be shared by threads, and the file by processes.
#[derive(Debug)]
pub struct Choices {
    file: Option<CacheFile>,
    /// The program's own before those that the library ships with.
    tables: RwLock<Vec<Arc<Table>>>,
    /// Those of the process are read from its environment when they are first asked for.
    settings: OnceLock<Settings>,
    /// What the program asks for.
    mode: RwLock<Option<Mode>>,
    memory: RwLock<Layer>,
    cache: OnceLock<Layer>,
    answers: RwLock<Answers>,
    unpublished: Outbox<Entry>,
    variants: Variants,
    /// Writing failed before, and the caller has been told.
    failed: AtomicBool,
    /// Held by the thread that measures.
    turn: Mutex<()>,
}

/// What look-ups came to, by key and batch size: forgotten when anything changes, and when they are too many.
type Answers = HashMap<(Key, usize), (Launch, Source)>;

/// Look-ups that are remembered: those of every matrix of a large model, for many batch sizes.
const MOST_ANSWERS: usize = 1 << 14;

/// Where an entry is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Until the process ends.
    InMemory,
    /// Also in the cache file, with the next [`Choices::publish`].
    InFile,
}

/// The choices that every multiplication of this process follows: the user's, and those that the program ships with.
pub fn choices() -> &'static Choices {
    static CHOICES: LazyLock<Choices> =
        LazyLock::new(|| Choices { settings: OnceLock::new(), ..Choices::new(place::file()).with_shipped_tables() });
    &CHOICES
}

impl Choices {
    /// Choices with a file behind them, or none, that follow neither shipped tables nor the user's environment.
    #[must_use]
    pub fn new(file: Option<CacheFile>) -> Self {
        Self {
            variants: Variants::new(file.as_ref()),
            file,
            tables: RwLock::default(),
            settings: OnceLock::from(Settings::default()),
            mode: RwLock::default(),
            memory: RwLock::default(),
            cache: OnceLock::new(),
            answers: RwLock::default(),
            unpublished: Outbox::default(),
            failed: AtomicBool::new(false),
            turn: Mutex::default(),
        }
    }

    /// The same, following the tables that the library ships with as well.
    #[must_use]
    pub fn with_shipped_tables(self) -> Self {
        Self { tables: RwLock::new(shipped::tables().to_vec()), ..self }
    }

    /// The same, with settings of the program's own in place of a user's: see [`Choices::mode`] and [`Choices::pins`].
    #[must_use]
    pub fn with_settings(self, settings: Settings) -> Self {
        Self { settings: OnceLock::from(settings), ..self }
    }

    /// Follows a table of the program's own from now on, before those that are followed already: what it knows counts as [`Source::Shipped`]
    /// or [`Source::Relative`], after what was measured on this machine.
    pub fn add_table(&self, table: Table) {
        self.tables.write().unwrap_or_else(PoisonError::into_inner).insert(0, Arc::new(table));
        self.forget_answers();
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

    /// When to measure: what the user says, or else what the program says, or else [`Mode::default`].
    ///
    /// # Errors
    /// As [`Settings::from_env`].
    pub fn mode(&self) -> Result<Mode> {
        let user = self.settings()?.mode;
        Ok(user.or(*self.mode.read().unwrap_or_else(PoisonError::into_inner)).unwrap_or_default())
    }

    /// Says when to measure, unless the user does.
    pub fn set_mode(&self, mode: Mode) {
        *self.mode.write().unwrap_or_else(PoisonError::into_inner) = Some(mode);
        self.forget_answers();
    }

    /// Kernels that the user named.
    ///
    /// # Errors
    /// As [`Settings::from_env`].
    pub fn pins(&self) -> Result<&Pins> {
        self.settings().map(|settings| &settings.pins)
    }

    fn settings(&self) -> Result<&Settings> {
        if let Some(settings) = self.settings.get() {
            return Ok(settings);
        }
        let settings = Settings::from_env()?;
        Ok(self.settings.get_or_init(|| settings))
    }

    /// The kernel that was measured to be the best for a problem, and who remembered it: the first that knows of one that is not
    /// quarantined. None if nothing measured is to be followed. Only the first call reads the files.
    #[must_use]
    pub fn find(&self, key: &Key) -> Option<(Launch, Source)> {
        if !self.mode().is_ok_and(Mode::follows_measurements) {
            return None;
        }
        let mut found = Source::ORDER.into_iter().filter_map(|source| Some((self.launch(source, key)?, source)));
        found.find(|(launch, _)| !self.variants.is_quarantined(launch.kernel))
    }

    /// As [`Choices::find`], but only what was measured at least that thoroughly on this machine, or, where a quick look does, on such a one.
    pub(super) fn measured(&self, key: &Key, effort: Effort) -> Option<(Launch, Source)> {
        self.find(key).filter(|&(_, source)| match source {
            Source::Memory | Source::Cache => self.entry(source, key).is_some_and(|entry| entry.effort >= effort),
            source => source == Source::Shipped && effort == Effort::Quick,
        })
    }

    /// The kernel that one source says is the best, if it knows and this build has it.
    pub(super) fn launch(&self, source: Source, key: &Key) -> Option<Launch> {
        match source {
            Source::Memory => self.memory().launch(key, Entry::launch),
            Source::Cache => self.cache().launch(key, Entry::launch),
            Source::Shipped | Source::Relative => shipped::launch(&self.tables_of(source), key),
            Source::Pin | Source::Model | Source::Default => None,
        }
    }

    /// What one source knows of a problem, whether this build has the kernel or not.
    pub(super) fn entry(&self, source: Source, key: &Key) -> Option<Entry> {
        match source {
            Source::Memory => self.memory().entry(key).cloned(),
            Source::Cache => self.cache().entry(key).cloned(),
            Source::Shipped | Source::Relative => shipped::entry(&self.tables_of(source), key),
            Source::Pin | Source::Model | Source::Default => None,
        }
    }

    /// Whether what the cache file knows of a problem was measured by another version of the program or under another system.
    pub(super) fn is_stale(&self, key: &Key) -> bool {
        self.cache().entry(key).is_some_and(|entry| entry.system != place::system())
    }

    /// The shipped tables for this processor, or else those of its relatives.
    fn tables_of(&self, source: Source) -> Vec<Arc<Table>> {
        let environment = place::environment();
        let holds = |table: &&Arc<Table>| match source {
            Source::Shipped => table.is_for(environment),
            _ => table.is_for_a_relative_of(environment),
        };
        self.tables.read().unwrap_or_else(PoisonError::into_inner).iter().filter(holds).cloned().collect()
    }

    /// Remembers an entry from now on. One whose kernel does not run here is never found.
    pub fn record(&self, entry: Entry, keep: Keep) {
        self.memory.write().unwrap_or_else(PoisonError::into_inner).insert(entry.key.clone(), entry.clone());
        self.forget_answers();
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

    /// What a look-up came to before, unless the kernel was quarantined since.
    pub(crate) fn answer(&self, key: &Key, batch: usize) -> Option<(Launch, Source)> {
        let found = self.answers.read().unwrap_or_else(PoisonError::into_inner).get(&(key.clone(), batch)).copied();
        found.filter(|(launch, _)| !self.variants.is_quarantined(launch.kernel))
    }

    /// Keeps what a look-up came to.
    pub(crate) fn keep_answer(&self, key: &Key, batch: usize, answer: (Launch, Source)) {
        let mut answers = self.answers_mut();
        if answers.len() >= MOST_ANSWERS {
            answers.clear();
        }
        answers.insert((key.clone(), batch), answer);
    }

    fn forget_answers(&self) {
        self.answers_mut().clear();
    }

    fn answers_mut(&self) -> RwLockWriteGuard<'_, Answers> {
        self.answers.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn memory(&self) -> RwLockReadGuard<'_, Layer> {
        self.memory.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn cache(&self) -> &Layer {
        self.cache.get_or_init(|| self.contents().entries.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tune::fake;

    #[test]
    fn answers_do_not_become_more_and_more() {
        let weights = fake::weights(1, 1);
        let (key, launch) = (fake::entry(&weights, 1).key, Launch::of(fake::kernels(&weights)[0]));
        let choices = Choices::new(None);
        for batch in 0..3 * MOST_ANSWERS {
            choices.keep_answer(&key, batch, (launch, Source::Default));
            assert!(choices.answer(&key, batch).is_some());
        }
        let answers = choices.answers_mut();
        assert!(answers.len() <= MOST_ANSWERS && answers.capacity() <= 4 * MOST_ANSWERS, "{}", answers.len());
    }
}
