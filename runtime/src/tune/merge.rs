//! Which of two answers to one problem to keep, when caches of different origin come together.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;

use super::{Entry, Key, Origin};

/// One entry for each problem, sorted: of several the one that was measured more thoroughly, then in more rounds, then nearer to this
/// machine; of equals the one with the smaller text. Neither the order of the entries nor how they come in groups matters.
#[must_use]
pub fn merged(entries: impl IntoIterator<Item = Entry>) -> Vec<Entry> {
    let mut kept = BTreeMap::<Key, Entry>::new();
    for entry in entries {
        match kept.entry(entry.key.clone()) {
            Slot::Vacant(free) => {
                free.insert(entry);
            }
            Slot::Occupied(mut taken) => {
                if rank(&entry) > rank(taken.get()) {
                    taken.insert(entry);
                }
            }
        }
    }
    kept.into_values().collect()
}

/// The entries as they are worth to another machine than the one that measured them.
#[must_use]
pub fn imported(entries: Vec<Entry>) -> Vec<Entry> {
    let import = |entry: Entry| match entry.origin {
        Origin::Local => Entry { origin: Origin::Imported, ..entry },
        Origin::Imported | Origin::Shipped => entry,
    };
    entries.into_iter().map(import).collect()
}

/// What decides between entries for one problem: equal for equal entries only.
fn rank(entry: &Entry) -> impl Ord {
    let rounds = entry.time().map_or(0, |time| time.rounds);
    let nearness = match entry.origin {
        Origin::Shipped => 0,
        Origin::Imported => 1,
        Origin::Local => 2,
    };
    // A number that TOML cannot hold makes an entry that nobody can write: it loses.
    let text = toml::to_string(entry).ok();
    (entry.effort, rounds, nearness, text.is_some(), Reverse(text))
}
