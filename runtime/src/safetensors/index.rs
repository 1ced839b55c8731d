//! Models in several files: which they are, and which tensor is in which.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::part::Part;
use super::wrong;
use crate::error::{Error, Result, quoted};
use crate::files;
use crate::numbered::{Numbered, missing};

/// How the names of safetensors files end.
const EXTENSION: &str = "safetensors";
/// What the name of an index has in it; some have more between that and the ending.
const INDEX: &str = ".safetensors.index";
/// How the name of an index ends.
const JSON: &str = "json";

/// Bytes that an index may have: many times those of the largest model's.
const MOST: u64 = 64 << 20;

/// An index: the files of a model.
#[derive(Debug)]
pub(super) struct Index {
    pub path: PathBuf,
    /// By tensor, the name of the file that it is in.
    tensors: BTreeMap<String, String>,
}

/// What of an index is read.
#[derive(Deserialize)]
struct Text {
    weight_map: BTreeMap<String, String>,
}

impl Index {
    fn read(path: &Path) -> Result<Self> {
        let length = path.metadata().map_err(Error::io(path))?.len();
        if length > MOST {
            return Err(wrong(path, format!("{length} bytes, more than the {MOST} of an index; name a model file")));
        }
        let text = files::read(path).map_err(Error::io(path))?;
        let Text { weight_map: tensors } = serde_json::from_slice(&text).map_err(|fault| {
            wrong(path, format!("it is not an index of safetensors files ({fault}); fetch it again, or name a model file"))
        })?;
        if tensors.is_empty() {
            return Err(wrong(path, "it lists no tensors; fetch it again".to_owned()));
        }
        let is_name = |name: &str| Path::new(name).file_name().is_some_and(|file| file == name);
        match tensors.values().find(|name| !is_name(name)) {
            Some(name) => Err(wrong(path, format!("{} is not the name of a file beside it; fetch it again", quoted(name)))),
            None => Ok(Self { path: path.to_owned(), tensors }),
        }
    }

    /// The paths of the files that it lists, in the order of their names.
    fn files(&self) -> Vec<PathBuf> {
        let names = self.tensors.values().collect::<BTreeSet<_>>();
        names.into_iter().map(|name| self.path.with_file_name(name)).collect()
    }
}

/// All files of a model.
#[derive(Debug)]
pub(super) struct Whole {
    /// What lists them, if something does.
    pub index: Option<Index>,
    /// In the order of their names; all are there.
    pub files: Vec<PathBuf>,
}

impl Whole {
    /// The files of the model that a path leads to: that of an index, of a folder, or of any of the files.
    pub fn find(path: &Path) -> Result<Self> {
        if path.is_dir() {
            return Self::in_folder(path);
        }
        if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(JSON)) {
            return Self::listed(Index::read(path)?, "it lists");
        }
        let numbered = Numbered::of(path, EXTENSION);
        for index in indices(path.parent().unwrap_or(path)) {
            match Index::read(&index) {
                Ok(index) if index.files().iter().any(|file| file.file_name() == path.file_name()) => {
                    return Self::listed(index, "the index lists");
                }
                // One that cannot be read may be that of the other files of this one.
                Err(fault) if numbered.is_some() => return Err(fault),
                _ => {}
            }
        }
        let files = numbered.as_ref().map_or_else(|| vec![path.to_owned()], Numbered::all);
        match (numbered, missing(&files)) {
            (Some(Numbered { number, count, .. }), Some(missing)) => Err(wrong(
                path,
                format!(
                    "it is file {} of the {count} that the model was saved in; {missing}: fetch what is missing",
                    number + 1
                ),
            )),
            _ => Ok(Self { index: None, files }),
        }
    }

    fn listed(index: Index, by: &str) -> Result<Self> {
        let files = index.files();
        match missing(&files) {
            Some(missing) => Err(wrong(&index.path, format!("{by} {} files; {missing}: fetch what is missing", files.len()))),
            None => Ok(Self { index: Some(index), files }),
        }
    }

    /// The one model in a folder.
    fn in_folder(folder: &Path) -> Result<Self> {
        if let [index] = &indices(folder)[..] {
            return Self::find(index);
        }
        let all = named(folder, |name| name.ends_with(&format!(".{EXTENSION}")));
        let Some(first) = all.first() else {
            return Err(wrong(folder, "no safetensors file is in this folder; name a model file".to_owned()));
        };
        let whole = Self::find(first)?;
        if all.iter().all(|file| whole.files.contains(file)) {
            return Ok(whole);
        }
        Err(wrong(folder, "several models are in this folder; name the index or a file of one".to_owned()))
    }
}

/// The indices in a folder, sorted.
fn indices(folder: &Path) -> Vec<PathBuf> {
    let is_index = |name: &str| name.contains(INDEX) && name.ends_with(&format!(".{JSON}"));
    named(if folder.as_os_str().is_empty() { Path::new(".") } else { folder }, is_index)
}

/// The files in a folder with such names, sorted.
fn named(folder: &Path, is_named: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths = entries
        .filter(|entry| entry.file_name().to_str().is_some_and(&is_named))
        .map(|entry| entry.path())
        .filter(|path| path.is_file())
        .collect::<Vec<_>>();
    paths.sort();
    paths
}

/// The files that tensors are in: each in one, and, if there is an index, in that which the index says. Empty for one file without an
/// index.
pub(super) fn places(index: Option<&Index>, parts: &[Part]) -> Result<BTreeMap<String, usize>> {
    if index.is_none() && parts.len() == 1 {
        return Ok(BTreeMap::new());
    }
    let mut places = BTreeMap::new();
    for (place, part) in parts.iter().enumerate() {
        for tensor in part.metadata.offset_keys() {
            if let Some(other) = places.insert(tensor.clone(), place) {
                let (tensor, other) = (quoted(&tensor), quoted(&name(&parts[other])));
                return Err(wrong(
                    &part.path,
                    format!("tensor {tensor} is also in {other}; fetch the files of the model again"),
                ));
            }
        }
    }
    index.map_or(Ok(()), |index| agrees(index, parts, &places))?;
    Ok(places)
}

/// Checks that the tensors are where an index says.
fn agrees(index: &Index, parts: &[Part], places: &BTreeMap<String, usize>) -> Result<()> {
    let found = places.iter().find_map(|(tensor, place)| {
        let (listed, found, shown) = (index.tensors.get(tensor), name(&parts[*place]), quoted(tensor));
        match listed {
            None => Some(format!("tensor {shown} of {} is not listed", quoted(&found))),
            Some(listed) if *listed != found => {
                Some(format!("tensor {shown} is in {}, not in {}", quoted(&found), quoted(listed)))
            }
            Some(_) => None,
        }
    });
    let missing = || {
        let (tensor, listed) = index.tensors.iter().find(|(tensor, _)| !places.contains_key(*tensor))?;
        Some(format!("tensor {} is not in {}", quoted(tensor), quoted(listed)))
    };
    match found.or_else(missing) {
        Some(detail) => Err(wrong(&index.path, format!("{detail}; fetch the index and the files of the model again"))),
        None => Ok(()),
    }
}

/// The name of a file.
fn name(part: &Part) -> String {
    part.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
