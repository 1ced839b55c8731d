//! Models in several files: each says which one it is, and its name says what the others are called.

use std::path::{Path, PathBuf};

use super::parse::Contents;
use super::value::Value;
use super::{Part, wrong};
use crate::error::{Result, quoted};
use crate::numbered::{Numbered, ending, missing};

/// The entry that says which of the files one is, counted from 0.
const NUMBER: &str = "split.no";
/// The entry that says how many files there are.
const COUNT: &str = "split.count";
/// The entry that says how many tensors they have together.
const TENSORS: &str = "split.tensors.count";

/// How the names of GGUF files end.
pub(super) const EXTENSION: &str = "gguf";

/// Files that a name can count.
const MOST: u64 = 99_999;

/// What to do with files that cannot be found.
const MERGE: &str = "or merge the files first: llama-gguf-split --merge";

/// What a file says of the model that it is a part of.
#[derive(Debug)]
pub(super) struct Split {
    number: u64,
    count: u64,
    /// Tensors of all parts, if it says how many.
    tensors: Option<u64>,
}

impl Split {
    /// Of a file; `None` if it is a whole model. The error ends with a remedy.
    pub fn of(contents: &Contents) -> Result<Option<Self>, String> {
        let value = |key: &str| contents.metadata.iter().find(|(known, _)| known == key).map(|(_, value)| value);
        let Some(count) = value(COUNT) else { return Ok(None) };
        let number = |value: &Value, most: u64| value.as_u64().filter(|number| *number <= most);
        let tensors = value(TENSORS).and_then(|value| number(value, u64::MAX));
        let Some(count) = number(count, MOST) else {
            return Err(format!("key {}: not a number of files; fetch it again, {MERGE}", quoted(COUNT)));
        };
        if count <= 1 {
            let (found, wanted) = (contents.tensors.len() as u64, tensors);
            return match wanted.filter(|&wanted| wanted != found) {
                Some(wanted) => Err(too_few(found, wanted)),
                None => Ok(None),
            };
        }
        let Some(number) = value(NUMBER).and_then(|value| number(value, count - 1)) else {
            return Err(format!(
                "key {}: it does not say which of {count} files this is; fetch it again, {MERGE}",
                quoted(NUMBER)
            ));
        };
        Ok(Some(Self { number, count, tensors }))
    }

    /// What is wrong with a file that does not say what it is a part of, if its name does.
    pub fn unsaid(path: &Path, contents: &Contents) -> Option<String> {
        let name = Numbered::of(path, EXTENSION).filter(|_| contents.metadata.iter().all(|(key, _)| key != COUNT))?;
        Some(format!(
            "its name says file {} of {}, but the file does not ({COUNT} is missing), so that what is missing of the model cannot be known; if it \
             is all of it, give it another name, else fetch its files again",
            name.number + 1,
            name.count
        ))
    }

    /// What is wrong with a part by itself.
    pub fn alone(&self) -> String {
        format!("it is {}; name a file in the folder that has all of them, {MERGE}", self.this())
    }

    /// Which part this is.
    fn this(&self) -> String {
        format!("file {} of the {} that the model was split into ({COUNT})", self.number + 1, self.count)
    }

    /// The parts, and what they list together: the metadata of the first, and the tensors of all.
    ///
    /// # Errors
    /// [`crate::Error::Gguf`] if the name of this one does not say what the others are called, or if they are not all there or not of one
    /// model; as [`Part::open`].
    pub fn gather(&self, part: Part, contents: Contents) -> Result<(Vec<Part>, Contents)> {
        let names = self.names(&part.path)?;
        if let Some(missing) = missing(&names) {
            let detail = format!("it is {}; {missing}: fetch what is missing, {MERGE}", self.this());
            return Err(wrong(&part.path, detail));
        }
        let opened_as = part.path.clone();
        let mut this = Some((part, contents));
        let mut parts = Vec::with_capacity(names.len());
        let mut all: Option<Contents> = None;
        for (place, path) in names.iter().enumerate() {
            let is_this = place as u64 == self.number;
            let (part, mut contents) = match this.take_if(|_| is_this) {
                Some(this) => this,
                None => self.open(path, place as u64)?,
            };
            contents.tensors.iter_mut().for_each(|tensor| tensor.part = place);
            parts.push(part);
            match &mut all {
                None => all = Some(contents),
                Some(all) => all.tensors.append(&mut contents.tensors),
            }
        }
        let Some(all) = all else { return Err(wrong(&opened_as, self.alone())) };
        let found = all.tensors.len() as u64;
        match self.tensors.filter(|&wanted| wanted != found) {
            Some(wanted) => Err(wrong(&opened_as, too_few(found, wanted))),
            None => Ok((parts, all)),
        }
    }

    /// Opens another part, which must be number `place` of as many.
    fn open(&self, path: &Path, place: u64) -> Result<(Part, Contents)> {
        let (part, contents) = Part::open(path)?;
        let split = Self::of(&contents).map_err(|detail| wrong(path, detail))?;
        match split {
            Some(other) if (other.number, other.count, other.tensors) == (place, self.count, self.tensors) => {
                Ok((part, contents))
            }
            other => {
                let what = other.map_or_else(|| "a whole model".to_owned(), |other| other.this());
                let detail = format!(
                    "it is {what}, but its name says file {} of {} of the model that was opened; fetch that file again",
                    place + 1,
                    self.count
                );
                Err(wrong(path, detail))
            }
        }
    }

    /// What the parts are called, from what this one is.
    fn names(&self, path: &Path) -> Result<Vec<PathBuf>> {
        let says_so = |name: &Numbered<'_>| (name.number, name.count) == (self.number, self.count);
        Numbered::of(path, EXTENSION).filter(says_so).map(|name| name.all()).ok_or_else(|| {
            let detail = format!(
                "it is {}, but it is not called NAME{}, so that the others cannot be found; give all of them their names, {MERGE}",
                self.this(),
                ending(self.number, self.count, EXTENSION)
            );
            wrong(path, detail)
        })
    }
}

/// What is wrong if tensors are missing.
fn too_few(found: u64, wanted: u64) -> String {
    format!("{found} tensors, but the model has {wanted} ({TENSORS}); fetch its files again")
}

/// Takes away the entries on how a model was split: it is whole now.
pub(super) fn forget(metadata: &mut Vec<(String, Value)>) {
    metadata.retain(|(key, _)| ![NUMBER, COUNT, TENSORS].contains(&key.as_str()));
}
