//! Entries in memory, to look up by key.

use std::collections::HashMap;
use std::sync::OnceLock;

use super::{Entry, Key};
use crate::matmul::Launch;

/// Entries of one source.
#[derive(Debug, Default)]
pub struct Layer {
    entries: HashMap<Key, Known>,
}

/// An entry, and its launch once that was asked for: the format may be registered later than the entry is read.
#[derive(Debug)]
struct Known {
    entry: Entry,
    launch: OnceLock<Launch>,
}

impl Layer {
    /// All entries, in no order.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values().map(|known| &known.entry)
    }

    /// The entry for a key, if there is one.
    pub fn entry(&self, key: &Key) -> Option<&Entry> {
        self.entries.get(key).map(|known| &known.entry)
    }

    /// What the entry for a key chooses, if there is one and `launch_of` finds it in this build.
    pub fn launch(&self, key: &Key, launch_of: fn(&Entry) -> Option<Launch>) -> Option<Launch> {
        let known = self.entries.get(key)?;
        if let Some(launch) = known.launch.get() {
            return Some(*launch);
        }
        let launch = launch_of(&known.entry)?;
        Some(*known.launch.get_or_init(|| launch))
    }

    /// Adds an entry under a key, in place of the one that was there.
    pub fn insert(&mut self, key: Key, entry: Entry) {
        self.entries.insert(key, Known { entry, launch: OnceLock::new() });
    }
}

impl FromIterator<Entry> for Layer {
    fn from_iter<T: IntoIterator<Item = Entry>>(entries: T) -> Self {
        let mut layer = Self::default();
        entries.into_iter().for_each(|entry| layer.insert(entry.key.clone(), entry));
        layer
    }
}
