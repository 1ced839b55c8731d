//! Whose turn it is to measure: one process and one thread at a time, for two that measure at once measure each other.

use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, TryLockError};
use std::time::Duration;

use super::disk::Lock;
use super::journal::Journal;
use super::{Choices, State, Variant, VariantId, Variants, disk, kept};
use crate::error::Error;
use crate::registry::Kernel;

/// Leave to run kernels that may be unknown, and to measure. It ends when this is dropped, or the process ends in any way.
#[derive(Debug)]
pub struct Turn<'a> {
    choices: &'a Choices,
    /// The file that is locked, and the journal beside it, where there is a folder that can be written.
    held: Option<(Lock, Journal)>,
    _thread: MutexGuard<'a, ()>,
}

impl<'a> Turn<'a> {
    /// The turn to measure for these choices, which no other thread has; `None` if another thread or process has it.
    pub(super) fn take(choices: &'a Choices, thread: &'a Mutex<()>) -> Option<Self> {
        let thread = match thread.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        let held = match choices.folder().map(lock) {
            Some(Ok(held)) => Some(held),
            Some(Err(cause)) if cause.kind() == ErrorKind::WouldBlock => return None,
            // Where nothing can be locked, nothing can be written: processes do not meet.
            Some(Err(_)) | None => None,
        };
        choices.variants().refresh();
        Some(Self { choices, held, _thread: thread })
    }

    /// What is known, and what is found in this turn.
    pub(super) const fn choices(&self) -> &'a Choices {
        self.choices
    }

    /// What is known of kernels.
    pub(super) const fn variants(&self) -> &'a Variants {
        self.choices.variants()
    }

    /// Does `work`, which runs the kernel: under the eyes of the journal, if nothing is known of the kernel.
    pub(super) fn watch<T>(&self, kernel: &Kernel, work: impl FnOnce() -> T) -> T {
        match &self.held {
            Some((_, journal)) if self.variants().state(kernel).is_none() => journal.watch(&VariantId::of(kernel), work),
            _ => work(),
        }
    }

    /// Kernels that processes disappeared with, and nobody has heard of yet: quarantined from now on.
    pub(super) fn abandoned(&self) -> Vec<Error> {
        let Some((_, journal)) = &self.held else { return Vec::new() };
        let variants = self.variants();
        let unheard = journal.left().into_iter().filter(|id| variants.find(id).is_none()).collect::<Vec<_>>();
        for id in &unheard {
            variants.add(Variant { id: id.clone(), state: State::Abandoned, detail: String::new() });
        }
        let mut warnings =
            unheard.into_iter().map(|id| Error::Abandoned { kernel: id.kernel.into_owned() }).collect::<Vec<_>>();
        warnings.extend(self.choices.publish().err());
        if variants.are_written() {
            journal.clear();
        }
        warnings
    }
}

/// Takes the lock of a folder.
fn lock(folder: &Path) -> io::Result<(Lock, Journal)> {
    Ok((disk::lock(&folder.join(kept::TURN), Duration::ZERO)?, Journal::new(folder)))
}
