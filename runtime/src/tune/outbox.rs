//! Records on their way to a file.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::file::{Record, RecordFile};
use crate::error::{Error, Result};

/// How long a writer waits for others: a write takes milliseconds, so whoever takes this long is stuck.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is to be written to a file, or what is kept because there is none.
#[derive(Debug)]
pub struct Outbox<R>(Mutex<Vec<R>>);

impl<R> Default for Outbox<R> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<R: Record> Outbox<R> {
    /// Adds a record.
    pub fn add(&self, record: R) {
        self.records().push(record);
    }

    /// Writes what was added since the last time. `failed` says whether that failed before, this file or another of the folder.
    ///
    /// # Errors
    /// [`Error::Cache`] when the file cannot be written, for the first time: later failures are not worth another warning, and
    /// are not waited for. The records stay, and the next call tries again.
    pub fn send(&self, file: Option<&RecordFile<R>>, failed: &AtomicBool) -> Result<()> {
        let mut records = self.records();
        if records.is_empty() {
            return Ok(());
        }
        let patience = if failed.load(Ordering::Relaxed) { Duration::ZERO } else { PATIENCE };
        match file.ok_or_else(nowhere).and_then(|file| file.merge(&records, patience)) {
            Ok(()) => records.clear(),
            Err(error) if !failed.swap(true, Ordering::Relaxed) => return Err(error),
            Err(_) => {}
        }
        Ok(())
    }

    /// Whether all that was added has been written.
    pub fn is_empty(&self) -> bool {
        self.records().is_empty()
    }

    fn records(&self) -> MutexGuard<'_, Vec<R>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
        cause: None,
    }
}
