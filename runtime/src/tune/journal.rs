//! The crash journal: which kernel is being run for the first time on this machine. A process that dies of it leaves that behind.
//!
//! Only the one that holds the [`super::turn::Turn`] of a folder writes its journal, so that what it finds there when its turn
//! begins was left by processes that are gone: no process numbers, which are used again and mean nothing in another container.

use std::borrow::Cow;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::{VariantId, kept};
use crate::files;

/// Bytes of the longest entry: many times those of the longest name.
const LONGEST: u64 = 4096;

/// The journal of an environment: a folder that is empty but while a kernel is run for the first time. Whatever else lies in it, and
/// whatever lies where a link in its place leads to, is left alone.
#[derive(Debug)]
pub struct Journal {
    environment: PathBuf,
}

impl Journal {
    /// The journal in the folder of an environment.
    pub fn new(environment: &Path) -> Self {
        Self { environment: environment.to_owned() }
    }

    /// Does `work`, which runs the kernel, between two entries in the journal. Where nothing can be written, it is done all the same.
    pub fn watch<T>(&self, id: &VariantId, work: impl FnOnce() -> T) -> T {
        let folder = self.environment.join(kept::JOURNAL);
        let path = folder.join(id.hash.to_string());
        // Not synchronised to the disk: a kernel that kills its process is what is to be remembered, not a power cut.
        let written = write(&folder, &path, id);
        let result = work();
        // A kernel that panics does not come here: it crashed.
        if written.is_ok() {
            let _ = fs::remove_file(&path);
        }
        result
    }

    /// What was left behind. An entry that is not whole says nothing: its kernel had not begun.
    pub fn left(&self) -> Vec<VariantId> {
        self.files().iter().filter_map(|path| parse(&read(path)?)).collect()
    }

    /// Forgets what processes of this user left behind.
    pub fn clear(&self) {
        let is_ours = |path: &PathBuf| path.symlink_metadata().is_ok_and(|data| files::is_ours(&data));
        for path in self.files().into_iter().filter(is_ours) {
            let _ = fs::remove_file(path);
        }
    }

    fn files(&self) -> Vec<PathBuf> {
        kept::journal(&self.environment)
    }
}

/// Writes an entry.
fn write(folder: &Path, path: &Path, id: &VariantId) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    if !kept::is_folder(folder) {
        return Err(io::Error::other("a link in place of the folder"));
    }
    let mut file = files::own(path, File::options().write(true).create(true).truncate(true))?;
    file.write_all(format!("{}\n{}\n", id.kernel, id.hash).as_bytes())
}

/// The text of an entry.
fn read(path: &Path) -> Option<String> {
    let mut text = String::new();
    files::own(path, File::options().read(true)).ok()?.take(LONGEST).read_to_string(&mut text).ok()?;
    Some(text)
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

    #[cfg(unix)]
    #[test]
    fn what_is_none_of_its_own_is_left_alone() {
        let [folder, elsewhere] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let journal = Journal::new(folder.path());
        let id = VariantId::of(&fake::kernel(&fake::weights(1, 1), "any"));
        let text = format!("{}\n{}\n", id.kernel, id.hash);
        let there = [elsewhere.path().join("letter"), elsewhere.path().join(id.hash.to_string())];
        for path in &there {
            fs::write(path, &text).unwrap();
        }
        // A link in place of the folder.
        let probe = folder.path().join(kept::JOURNAL);
        std::os::unix::fs::symlink(elsewhere.path(), &probe).unwrap();
        assert!(journal.left().is_empty());
        journal.watch(&id, || assert!(journal.left().is_empty()));
        journal.clear();
        assert!(there.iter().all(|path| fs::read_to_string(path).unwrap() == text));
        // A link in it.
        fs::remove_file(&probe).unwrap();
        fs::create_dir(&probe).unwrap();
        let link = probe.join(id.hash.to_string());
        std::os::unix::fs::symlink(&there[1], &link).unwrap();
        fs::write(probe.join("letter"), &text).unwrap();
        assert!(journal.left().is_empty());
        journal.watch(&id, || ());
        journal.clear();
        assert!(link.exists() && probe.join("letter").exists() && fs::read_to_string(&there[1]).unwrap() == text);
    }
}
