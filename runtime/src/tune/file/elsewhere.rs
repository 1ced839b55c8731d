//! Files of records that come from elsewhere, or go there.

use std::io::{self, Write};
use std::marker::PhantomData;
use std::path::Path;
use std::time::Duration;

use super::{Header, Record, RecordFile, SCHEMA, split};
use crate::error::{Error, Result};
use crate::files::{self, Output};
use crate::tune::VARIABLE;

impl<R: Record> RecordFile<R> {
    /// The file at a path, of whatever environment it names, to look at: it may have come from another machine.
    ///
    /// # Errors
    /// [`Error::Cache`] if it cannot be read, or does not begin as a file of this version does.
    pub fn open(path: &Path) -> Result<Self> {
        let wrong = |detail: String| Error::Cache { path: path.to_owned(), detail, cause: None };
        let remedy = format!("name a file of the tuner's cache, which {VARIABLE} moves");
        let bytes = files::read(path).map_err(|cause| {
            let detail = format!("cannot be read ({cause}); {remedy}");
            Error::Cache { path: path.to_owned(), detail, cause: Some(cause) }
        })?;
        let (header, _) = split(&String::from_utf8_lossy(&bytes), R::MARK);
        match toml::from_str::<Header>(&header) {
            Ok(Header { schema: SCHEMA, environment, .. }) => Ok(Self::at(path, &environment)),
            Ok(Header { schema, .. }) => {
                Err(wrong(format!("has version {schema}, and only {SCHEMA} is read; tune again with this program")))
            }
            Err(_) => Err(wrong(format!("is no cache of the tuner; {remedy}"))),
        }
    }

    /// The file of an environment at a path of its own, to write what goes elsewhere. It need not exist.
    #[must_use]
    pub fn at(path: &Path, environment: &str) -> Self {
        Self { path: path.to_owned(), environment: environment.to_owned(), records: PhantomData }
    }

    /// The environment that its entries were measured in.
    #[must_use]
    pub fn environment(&self) -> &str {
        &self.environment
    }

    /// Replaces the entries of the file by what `change` makes of them, while no other process writes it. Waits at most `patience` for
    /// other writers.
    ///
    /// # Errors
    /// [`Error::Cache`] if the file cannot be written. Then it is as it was.
    pub fn update(&self, patience: Duration, change: impl FnOnce(Vec<R>) -> Vec<R>) -> Result<()> {
        self.locked(patience, || self.replace("", &[], &change(self.try_read()?.entries)))
            .map_err(|cause| self.unwritable(cause))
    }

    /// Writes a file that goes elsewhere, in place of what is there. Processors whose environments begin as `relatives` say may use it
    /// too; `note` is for people.
    ///
    /// # Errors
    /// As [`Output::create`].
    pub fn write(&self, note: &str, relatives: &[String], entries: &[R]) -> Result<()> {
        self.write_to(Output::create(&self.path, [] as [&Path; 0])?, note, relatives, entries)
    }

    /// As [`RecordFile::write`], to an output of any name.
    ///
    /// # Errors
    /// [`Error::Output`] if it cannot be written.
    pub fn write_to(&self, mut output: Output, note: &str, relatives: &[String], entries: &[R]) -> Result<()> {
        let text = self.whole(note, relatives, entries).map_err(|cause| self.unwritable(cause))?;
        output.write_all(text.as_bytes()).map_err(|cause| output.failed(cause))?;
        output.finish()
    }

    fn unwritable(&self, cause: io::Error) -> Error {
        let detail = format!("cannot be written ({cause}); name a place where that can be done");
        Error::Cache { path: self.path.clone(), detail, cause: Some(cause) }
    }
}
