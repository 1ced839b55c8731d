//! The crash journal: which kernel is being run for the first time on this machine. A process that dies of it leaves that behind.
//!
//! Only the one that holds the [`super::turn::Turn`] of a folder writes its journal, so that what it finds there when its turn
//! begins was left by processes that are gone: no process numbers, which are used again and mean nothing in another container.

use std::borrow::Cow;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::VariantId;

/// The journal of an environment: a folder that is empty but while a kernel is run for the first time.
#[derive(Debug)]
pub struct Journal {
    folder: PathBuf,
}

impl Journal {
    /// The journal in the folder of an environment.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.join("probe") }
    }

    /// Does `work`, which runs the kernel, between two entries in the journal. Where nothing can be written, it is done all the same.
    pub fn watch<T>(&self, id: &VariantId, work: impl FnOnce() -> T) -> T {
        let path = self.folder.join(id.hash.to_string());
        // Not synchronised to the disk: a kernel that kills its process is what is to be remembered, not a power cut.
        let _ = self.write(&path, id);
        let result = work();
        // A kernel that panics does not come here: it crashed.
        let _ = fs::remove_file(&path);
        result
    }

    fn write(&self, path: &Path, id: &VariantId) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        File::create(path)?.write_all(format!("{}\n{}\n", id.kernel, id.hash).as_bytes())
    }

    /// What was left behind. An entry that is not whole says nothing: its kernel had not begun.
    pub fn left(&self) -> Vec<VariantId> {
        self.files().iter().filter_map(|path| parse(&fs::read_to_string(path).ok()?)).collect()
    }

    /// Forgets what was left behind.
    pub fn clear(&self) {
        for path in self.files() {
            let _ = fs::remove_file(path);
        }
    }

    fn files(&self) -> Vec<PathBuf> {
        fs::read_dir(&self.folder).into_iter().flatten().flatten().map(|file| file.path()).collect()
    }
}

/// The kernel of a whole entry.
fn parse(text: &str) -> Option<VariantId> {
    let (kernel, hash) = text.strip_suffix('\n')?.split_once('\n')?;
    Some(VariantId { kernel: Cow::Owned(kernel.to_owned()), hash: hash.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tune::fake;

    #[test]
    fn only_whole_entries_count() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::new(folder.path());
        let id = VariantId::of(&fake::kernel(&fake::weights(1, 1), "any"));
        let path = journal.watch(&id, || {
            assert_eq!(journal.left(), std::slice::from_ref(&id));
            journal.files().remove(0)
        });
        assert!(journal.left().is_empty() && !path.exists());
        let whole = format!("{}\n{}\n", id.kernel, id.hash);
        for cut in 0..=whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            assert_eq!(journal.left().len(), usize::from(cut == whole.len()), "{cut}");
        }
        journal.clear();
        assert!(!path.exists());
    }
}
