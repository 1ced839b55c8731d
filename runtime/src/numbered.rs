//! What the files of a model in several are called: each says which of how many it is.

use std::path::{Path, PathBuf};

/// The name of a file of a model in several: `STEM-00001-of-00003.EXTENSION`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Numbered<'p> {
    path: &'p Path,
    stem: &'p str,
    extension: &'p str,
    /// Which file it is, counted from 0.
    pub number: u64,
    /// How many there are: two at least.
    pub count: u64,
}

/// Digits of a number.
const DIGITS: usize = 5;

impl<'p> Numbered<'p> {
    /// What a name says; `None` if it is not one of several.
    pub fn of(path: &'p Path, extension: &'p str) -> Option<Self> {
        let name = path.file_name()?.to_str()?.strip_suffix(extension)?.strip_suffix('.')?;
        let (rest, count) = name.rsplit_once("-of-")?;
        let (stem, number) = rest.rsplit_once('-')?;
        let parsed = |digits: &str| {
            let all = digits.len() == DIGITS && digits.bytes().all(|digit| digit.is_ascii_digit());
            all.then(|| digits.parse::<u64>().ok()).flatten()
        };
        let (number, count) = (parsed(number)?, parsed(count)?);
        let number = number.checked_sub(1).filter(|number| count > 1 && *number < count)?;
        Some(Self { path, stem, extension, number, count })
    }

    /// The paths of all files, in their order.
    pub fn all(&self) -> Vec<PathBuf> {
        let name = |number| format!("{}{}", self.stem, ending(number, self.count, self.extension));
        (0..self.count).map(|number| self.path.with_file_name(name(number))).collect()
    }
}

/// How the name of file `number` of `count` ends.
pub(crate) fn ending(number: u64, count: u64, extension: &str) -> String {
    format!("-{:05}-of-{count:05}.{extension}", number + 1)
}

/// Which of the files of a model are not there, as a message says it; `None` if all are.
pub(crate) fn missing(paths: &[PathBuf]) -> Option<String> {
    let mut missing = paths.iter().filter(|path| !path.is_file());
    let first = crate::error::quoted(&missing.next()?.file_name().unwrap_or_default().to_string_lossy());
    let others = match missing.count() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Some(format!("{first}{others} missing beside it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_which_of_how_many() {
        let of = |name: &str| Numbered::of(Path::new(name), "gguf").map(|name| (name.number, name.count));
        assert_eq!(of("a/m-00001-of-00003.gguf"), Some((0, 3)));
        assert_eq!(of("m-x-00003-of-00003.gguf"), Some((2, 3)));
        for other in [
            "m.gguf",
            "m-00001-of-00001.gguf",
            "m-00000-of-00003.gguf",
            "m-00004-of-00003.gguf",
            "m-1-of-3.gguf",
            "m-+0001-of-00003.gguf",
            "m-00001-of-00003.safetensors",
        ] {
            assert_eq!(of(other), None, "{other}");
        }
        let all = Numbered::of(Path::new("a/m-00002-of-00002.gguf"), "gguf").unwrap().all();
        assert_eq!(all, [Path::new("a/m-00001-of-00002.gguf"), Path::new("a/m-00002-of-00002.gguf")]);
    }
}
