//! Folders of cards: every card of a folder, or everything that is wrong in any of them.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::claim::Claim;
use crate::diagnostic::{Diagnostic, Diagnostics, Source};
use crate::gpu::{self, Dialect};
use crate::isa::{self, Isa};
use crate::kernels::{self, Kernels};
use crate::model::Format;
use crate::operation::{self, Operation};
use crate::processor::{self, Known, Processor};
use crate::read;
use crate::table::{TableFolder, Tables, shown};
use crate::text;

/// Cards with the files they are written in, sorted by file name.
pub type Files<T> = Vec<(PathBuf, T)>;

/// All cards of a specification: the folders `formats`, `formats/tensors`, `isa`, `kernels`, `operations`,
/// `processors` and `gpu`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Spec {
    /// Formats of blocks, then formats of separate tensors; those of a family have one file.
    pub formats: Files<Format>,
    /// Instruction sets.
    pub isas: Files<Isa>,
    /// What each operation is generated with.
    pub kernels: Files<Kernels>,
    /// What calls compute.
    pub operations: Files<Operation>,
    /// What is known of microarchitectures.
    pub processors: Files<Processor>,
    /// GPU dialects.
    pub dialects: Files<Dialect>,
}

/// Where the cards of a specification lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folders {
    /// Folders of format cards. Each finds its tables beside it: see [`TableFolder::beside`].
    pub formats: Vec<PathBuf>,
    /// The instruction sets.
    pub isas: PathBuf,
    /// The kernel cards.
    pub kernels: PathBuf,
    /// The operation cards, which name kernel cards; `None`: there are none.
    pub operations: Option<PathBuf>,
    /// The processor cards, which name variants of the kernel cards; `None`: there are none.
    pub processors: Option<PathBuf>,
    /// The GPU dialects.
    pub dialects: PathBuf,
}

impl Folders {
    /// The folders that [`Spec`] names, below `root`.
    #[must_use]
    pub fn below(root: &Path) -> Self {
        let formats = root.join("formats");
        Self {
            formats: vec![formats.clone(), formats.join("tensors")],
            isas: root.join("isa"),
            kernels: root.join("kernels"),
            operations: Some(root.join("operations")),
            processors: Some(root.join("processors")),
            dialects: root.join("gpu"),
        }
    }
}

impl Spec {
    /// Reads every card below `root`; format cards find their tables in `root/tables`.
    ///
    /// # Errors
    /// Everything that is wrong with any card.
    pub fn read(root: &Path) -> Result<Self, Diagnostics> {
        Self::read_from(&Folders::below(root))
    }

    /// Reads every card of some folders.
    ///
    /// # Errors
    /// Everything that is wrong with any card.
    pub fn read_from(folders: &Folders) -> Result<Self, Diagnostics> {
        let formats = read_formats(&folders.formats);
        let isas = read_isas(&folders.isas);
        let dialects = read_folders(&[&folders.dialects], |_, source| gpu::read_claims(source).map(single));
        // Without the instruction sets every variant would look wrong, and without the variants every start.
        let known_isas = known(&isas);
        let kernels = match &known_isas {
            Some(isas) => read_folders(&[&folders.kernels], |_, source| kernels::read_claims(source, isas).map(single)),
            None => Ok(Vec::new()),
        };
        let known_kernels = known(&kernels);
        let operations = match (&folders.operations, &known_kernels) {
            (Some(folder), Some(kernels)) => {
                read_folders(&[folder], |_, source| operation::read_claims(source, kernels).map(single))
            }
            _ => Ok(Vec::new()),
        };
        let processors = match (&folders.processors, known_isas, known_kernels) {
            (Some(folder), Some(isas), Some(kernels)) => read_processors(folder, &isas, &kernels),
            _ => Ok(Vec::new()),
        };
        let mut found = Diagnostics::default();
        let (formats, isas) = (found.keep(formats), found.keep(isas));
        let (kernels, operations) = (found.keep(kernels), found.keep(operations));
        let (processors, dialects) = (found.keep(processors), found.keep(dialects));
        if found.is_empty() { Ok(Self { formats, isas, kernels, operations, processors, dialects }) } else { Err(found) }
    }
}

/// What cards may refer to, if all of it is right.
fn known<T: Clone>(files: &Result<Files<T>, Diagnostics>) -> Option<Vec<T>> {
    files.as_ref().ok().map(|files| files.iter().map(|(_, card)| card.clone()).collect())
}

impl Diagnostics {
    /// The value, or nothing after taking over what is wrong with it.
    fn keep<T: Default>(&mut self, result: Result<T, Self>) -> T {
        result.unwrap_or_else(|found| {
            self.append(found);
            T::default()
        })
    }
}

/// Reads every format card of a folder, sorted by file name; cards in folders below are left alone.
///
/// # Errors
/// Everything that is wrong with any card, names and type numbers that two of them share included.
pub fn read_folder(folder: &Path, tables: &dyn Tables) -> Result<Files<Format>, Diagnostics> {
    read_folders(&[folder], |_, source| read::read_claims(source, tables))
}

/// Reads every instruction-set card of a folder, sorted by file name.
///
/// # Errors
/// Everything that is wrong with any card, and with what they say of each other.
pub fn read_isas(folder: &Path) -> Result<Files<Isa>, Diagnostics> {
    let cards = read_folders(&[folder], |_, source| isa::read_claims(source).map(single))?;
    isa::check_bases(&cards.iter().map(|(_, card)| card).collect::<Vec<_>>())?;
    Ok(cards.into_iter().map(|(path, card)| (path, card.isa)).collect())
}

/// Reads every processor card of a folder, sorted by file name; their widths and starts are of `isas` and `kernels`.
///
/// # Errors
/// Everything that is wrong with any card, and processors that two of them recognise.
pub fn read_processors(folder: &Path, isas: &[Isa], kernels: &[Kernels]) -> Result<Files<Processor>, Diagnostics> {
    let known = Known { isas, kernels };
    let cards = read_folders(&[folder], |_, source| processor::read_claims(source, &known).map(single))?;
    processor::check_identities(&cards.iter().map(|(_, card)| card).collect::<Vec<_>>())?;
    Ok(cards.into_iter().map(|(path, card)| (path, card.processor)).collect())
}

/// Reads every format card of some folders, each with the tables beside it.
fn read_formats(folders: &[PathBuf]) -> Result<Files<Format>, Diagnostics> {
    let folders: Vec<&Path> = folders.iter().map(PathBuf::as_path).collect();
    read_folders(&folders, |folder, source| read::read_claims(source, &TableFolder::beside(folder)))
}

/// A card that describes one thing.
fn single<T>((card, claims): (T, Vec<Claim>)) -> (Vec<T>, Vec<Claim>) {
    (vec![card], claims)
}

/// Reads every card of some folders, and checks that no two claim the same.
fn read_folders<T>(
    folders: &[&Path],
    read: impl Fn(&Path, Arc<Source>) -> Result<(Vec<T>, Vec<Claim>), Diagnostics>,
) -> Result<Files<T>, Diagnostics> {
    let mut found = Diagnostics::default();
    let (mut cards, mut claimed) = (Vec::new(), BTreeMap::new());
    let mut paths = Vec::new();
    for folder in folders {
        paths.extend(found.keep(list(folder)).into_iter().map(|path| (*folder, path)));
    }
    for (folder, path) in paths {
        let Some(source) = found.keep(open(&path).map(Some)) else { continue };
        match read(folder, Arc::clone(&source)) {
            Ok((described, claims)) => {
                found.append(check_claims(&source, claims, &mut claimed));
                cards.extend(described.into_iter().map(|card| (path.clone(), card)));
            }
            Err(wrong) => found.append(wrong),
        }
    }
    if found.is_empty() { Ok(cards) } else { Err(found) }
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, Diagnostics> {
    text::files(folder).map_err(|why| Diagnostics::of_file(shown(folder), format!("cannot list the folder: {why}")))
}

fn open(path: &Path) -> Result<Arc<Source>, Diagnostics> {
    let text = text::read(path);
    let text = text.map_err(|why| Diagnostics::of_file(shown(path), format!("cannot read the card: {why}")))?;
    Ok(Source::shared(&shown(path), &text))
}

/// Reports what another card has claimed before.
pub(crate) fn check_claims(
    source: &Arc<Source>,
    claims: Vec<Claim>,
    claimed: &mut BTreeMap<(&'static str, String), String>,
) -> Diagnostics {
    let mut found = Diagnostics::default();
    for Claim { key, value, span } in claims {
        let message = format!("two cards have the `{key}` {value}");
        match claimed.entry((key, value)) {
            Entry::Vacant(free) => {
                free.insert(source.path.clone());
            }
            Entry::Occupied(first) => {
                let mut diagnostic = Diagnostic::new(Arc::clone(source), Some(span), message);
                diagnostic.note(format!("the first is {}", first.get()));
                found.push(diagnostic);
            }
        }
    }
    found
}
