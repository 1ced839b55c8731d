//! What is known of each kernel on this machine: whether it may run at all.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{OnceLock, PoisonError, RwLock, RwLockReadGuard};

use quantloom_kernels::VOCABULARY;
use serde::{Deserialize, Serialize};

use super::file::{Record, RecordFile};
use super::outbox::Outbox;
use super::{CacheFile, Digest};
use crate::error::Result;
use crate::registry::{self, Kernel};

/// A kernel with a certain text: when the text changes, nothing is known of it any more.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct VariantId {
    /// Name of the kernel.
    pub kernel: Cow<'static, str>,
    /// Its text, the words it is written in, and what compiled it.
    pub hash: Digest,
}

impl VariantId {
    /// The kernel as this build has it.
    #[must_use]
    pub const fn of(kernel: &Kernel) -> Self {
        Self { kernel: Cow::Borrowed(kernel.name), hash: Digest(kernel.hash ^ VOCABULARY.rotate_left(1)) }
    }

    /// Whether this build has the kernel with another text.
    fn is_outdated(&self) -> bool {
        let mut kernels = registry::formats().flat_map(registry::kernels);
        kernels.find(|kernel| kernel.name == self.kernel).is_some_and(|kernel| Self::of(kernel) != *self)
    }
}

/// What is known of a kernel. Of two findings the greater stays, whoever comes last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// A process disappeared while it ran the kernel for the first time. The kernel need not be the reason.
    Abandoned,
    /// It gave the bits of the reference.
    Passed,
    /// A process of its own died of it, or had to be killed.
    Crashed,
    /// It gave other bits than the reference.
    Wrong,
}

impl State {
    /// Whether a kernel must not run.
    #[must_use]
    pub const fn is_quarantined(self) -> bool {
        !matches!(self, Self::Passed)
    }
}

/// What was found out about a kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variant {
    /// The kernel.
    #[serde(flatten)]
    pub id: VariantId,
    /// What is known of it.
    pub state: State,
    /// How it crashed; empty if it did not.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

impl fmt::Display for Variant {
    /// What is known, in some words.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.state {
            State::Abandoned => f.write_str("a process ended while it ran this kernel for the first time"),
            State::Passed => f.write_str("right"),
            State::Crashed => write!(f, "crashed: {}", self.detail),
            State::Wrong => f.write_str("its bits differ from the reference's"),
        }
    }
}

impl Record for Variant {
    type Key = VariantId;

    const FILE: &'static str = "variants";
    const MARK: &'static str = "[[variant]]";
    const PREFACE: &'static str =
        "# Which kernels are right on this machine, and which must not run, as quantloom found. May be deleted at any time.";

    fn key(&self) -> &VariantId {
        &self.id
    }

    fn outlasts(&self, later: &Self) -> bool {
        self.state > later.state
    }
}

/// What is known of kernels: a memory, and perhaps a file behind it. May be shared by threads, and the file by processes.
#[derive(Debug)]
pub struct Variants {
    file: Option<RecordFile<Variant>>,
    memory: OnceLock<RwLock<HashMap<VariantId, Variant>>>,
    /// Whether any kernel is quarantined: usually none is, and look-ups end here.
    any_quarantined: AtomicBool,
    unpublished: Outbox<Variant>,
}

impl Variants {
    /// What is known beside a cache file, or nothing yet.
    pub(super) fn new(file: Option<&CacheFile>) -> Self {
        Self {
            file: file.map(CacheFile::beside),
            memory: OnceLock::new(),
            any_quarantined: AtomicBool::new(false),
            unpublished: Outbox::default(),
        }
    }

    /// What is known of a kernel, if anything.
    #[must_use]
    pub fn state(&self, kernel: &Kernel) -> Option<State> {
        self.find(&VariantId::of(kernel)).map(|variant| variant.state)
    }

    /// What is known of a kernel, with the details.
    #[must_use]
    pub fn find(&self, id: &VariantId) -> Option<Variant> {
        self.read().get(id).cloned()
    }

    /// Whether a kernel must not run. Only the first call reads the file; does not allocate.
    #[must_use]
    pub fn is_quarantined(&self, kernel: &Kernel) -> bool {
        let memory = self.memory();
        self.any_quarantined.load(Ordering::Acquire) && {
            let memory = memory.read().unwrap_or_else(PoisonError::into_inner);
            memory.get(&VariantId::of(kernel)).is_some_and(|variant| variant.state.is_quarantined())
        }
    }

    /// Those of some kernels that may run.
    #[must_use]
    pub fn healthy(&self, kernels: &[&'static Kernel]) -> Vec<&'static Kernel> {
        kernels.iter().copied().filter(|kernel| !self.is_quarantined(kernel)).collect()
    }

    /// All that must not run, of this build or of formats that it does not know, in order of their names: for people to read.
    #[must_use]
    pub fn quarantined(&self) -> Vec<Variant> {
        let memory = self.read();
        let quarantined = memory.values().filter(|variant| variant.state.is_quarantined() && !variant.id.is_outdated());
        let mut found = quarantined.cloned().collect::<Vec<_>>();
        found.sort_by(|a, b| a.id.cmp(&b.id));
        found
    }

    /// Remembers from now on what was found out about a kernel, unless worse is known, and in the file from the next
    /// [`super::Choices::publish`] on. `detail` says how it crashed.
    pub fn record(&self, kernel: &Kernel, state: State, detail: &str) {
        self.add(Variant { id: VariantId::of(kernel), state, detail: detail.to_owned() });
    }

    /// As [`Variants::record`].
    pub(super) fn add(&self, variant: Variant) {
        if self.read().get(&variant.id) == Some(&variant) {
            return;
        }
        self.learn(self.memory(), [variant.clone()]);
        self.unpublished.add(variant);
    }

    /// Takes in what other processes have found since.
    pub(super) fn refresh(&self) {
        match (&self.file, self.memory.get()) {
            (Some(file), Some(memory)) => self.learn(memory, file.read().entries),
            _ => drop(self.memory()),
        }
    }

    /// Writes what was recorded: see [`Outbox::send`].
    pub(super) fn publish(&self, failed: &AtomicBool) -> Result<()> {
        self.unpublished.send(self.file.as_ref(), failed)
    }

    /// Whether the file holds all that was recorded.
    pub(super) fn are_written(&self) -> bool {
        self.unpublished.is_empty()
    }

    fn learn(&self, memory: &RwLock<HashMap<VariantId, Variant>>, variants: impl IntoIterator<Item = Variant>) {
        let mut memory = memory.write().unwrap_or_else(PoisonError::into_inner);
        for variant in variants {
            if memory.get(&variant.id).is_none_or(|known| !known.outlasts(&variant)) {
                self.any_quarantined.fetch_or(variant.state.is_quarantined(), Ordering::Release);
                memory.insert(variant.id.clone(), variant);
            }
        }
    }

    fn memory(&self) -> &RwLock<HashMap<VariantId, Variant>> {
        self.memory.get_or_init(|| {
            let memory = RwLock::default();
            self.learn(&memory, self.file.as_ref().map(|file| file.read().entries).unwrap_or_default());
            memory
        })
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<VariantId, Variant>> {
        self.memory().read().unwrap_or_else(PoisonError::into_inner)
    }
}
