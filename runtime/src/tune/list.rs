//! Lists of problems: what to tune without a model, and what there was no time for.

use std::collections::hash_map::Entry as Slot;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::{fs, io, mem};

use quantloom_spec::text;
use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::{Choices, Effort, Key, Problem};
use crate::error::{Error, Result, quoted};
use crate::files;
use crate::limits::{BATCH, COLUMNS, Limit, ROWS, THREADS};
use crate::matmul::Request;
use crate::pool::Pool;
use crate::registry::{self, Numerics};
use crate::weights::Layout;

/// The name of the list of problems that nobody had time for, beside the cache file.
pub(super) const UNTUNED: &str = "untuned.toml";

/// The first lines of that list, for people.
const PREFACE: &str = "# What there was no time to tune: `quantloom tune --from` goes on with it.\n\n";

/// Problems that are to be tuned.
#[derive(Clone, Debug, Default)]
pub struct List {
    /// The problems, in the order of the file.
    pub problems: Vec<Problem>,
}

/// The text of a list.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text<T> {
    problem: Vec<T>,
}

/// The text of a problem.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Item {
    format: String,
    n: usize,
    k: usize,
    batches: Vec<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    numerics: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    isa: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    threads: Option<usize>,
    #[serde(default)]
    layout: Layout,
}

impl List {
    /// Reads the list in a file.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::List`] with the line of what is wrong.
    pub fn read(path: &Path) -> Result<Self> {
        Self::parse(path, &text::read(path).map_err(Error::io(path))?)
    }

    /// The list in a text that is called `path` in messages.
    ///
    /// # Errors
    /// [`Error::List`] with the line of what is wrong.
    pub fn parse(path: &Path, text: &str) -> Result<Self> {
        let wrong = |at: usize, what: String| {
            let line = text.bytes().take(at).filter(|&byte| byte == b'\n').count() + 1;
            Error::List { path: path.to_owned(), detail: format!("line {line}: {what}"), cause: None }
        };
        let list = toml::from_str::<Text<Spanned<Item>>>(text).map_err(|error| {
            let what = error.message().lines().collect::<Vec<_>>().join(" ");
            wrong(error.span().map_or(0, |span| span.start), format!("{what}; see \"Commands\" in docs/tuning.md"))
        })?;
        let problem = |item: &Spanned<Item>| item.get_ref().problem().map_err(|what| wrong(item.span().start, what));
        Ok(Self { problems: list.problem.iter().map(problem).collect::<Result<_>>()? })
    }

    /// The text that reads as this list.
    ///
    /// # Errors
    /// A number that TOML cannot hold.
    fn text(&self) -> Result<String, toml::ser::Error> {
        let problem = self.problems.iter().map(Item::of).collect();
        Ok(PREFACE.to_owned() + &toml::to_string(&Text { problem })?)
    }

    /// Adds problems: the batch sizes of each to one that is there and differs in nothing else, or else all of it.
    pub fn extend(&mut self, more: impl IntoIterator<Item = Problem>, pool: &Pool) {
        let mut places = HashMap::<Key, (usize, HashSet<usize>)>::new();
        for problem in mem::take(&mut self.problems).into_iter().chain(more) {
            match places.entry(problem.key(1, pool)) {
                Slot::Occupied(mut known) => {
                    let (place, batches) = known.get_mut();
                    self.problems[*place].batches.extend(problem.batches.into_iter().filter(|&batch| batches.insert(batch)));
                }
                Slot::Vacant(free) => {
                    free.insert((self.problems.len(), problem.batches.iter().copied().collect()));
                    self.problems.push(problem);
                }
            }
        }
    }

    /// Leaves what was not even looked at quickly.
    pub fn retain_unknown(&mut self, choices: &Choices, pool: &Pool) {
        for problem in &mut self.problems {
            problem.batches = problem.unknown(choices, Effort::Quick, pool);
        }
        self.problems.retain(|problem| !problem.batches.is_empty());
    }

    /// Where a cache keeps the list of what there was no time for.
    #[must_use]
    pub fn untuned_path(choices: &Choices) -> Option<PathBuf> {
        choices.path().map(|path| path.with_file_name(UNTUNED))
    }

    /// The list of what there was no time for. One that cannot be read counts for nothing.
    #[must_use]
    pub fn left(choices: &Choices) -> Self {
        let Some(path) = Self::untuned_path(choices) else { return Self::default() };
        let bytes = files::read(&path).unwrap_or_default();
        Self::parse(&path, &String::from_utf8_lossy(&bytes)).unwrap_or_default()
    }

    /// Adds to the list of what there was no time for, takes out what is known by now, and removes the file when it would be empty.
    /// Whether there is one now.
    ///
    /// # Errors
    /// [`Error::List`] if the file cannot be written. Then it is as it was.
    pub fn leave(self, choices: &Choices, pool: &Pool) -> Result<bool> {
        let Some(path) = Self::untuned_path(choices) else { return Ok(false) };
        let mut all = Self::left(choices);
        all.extend(self.problems, pool);
        all.retain_unknown(choices, pool);
        let is_left = !all.problems.is_empty();
        let done = if is_left { all.write(&path) } else { remove(&path) };
        done.map_err(|cause| {
            let detail =
                format!("cannot be written ({cause}); remove what is there, or set {} to another folder", super::VARIABLE);
            Error::List { path: path.clone(), detail, cause: Some(cause) }
        })?;
        Ok(is_left)
    }

    fn write(&self, path: &Path) -> io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        files::replace(path, self.text().map_err(io::Error::other)?.as_bytes())
    }
}

/// Removes a list; what is none stays.
fn remove(path: &Path) -> io::Result<()> {
    if path.symlink_metadata().is_ok_and(|data| data.is_file()) { fs::remove_file(path) } else { Ok(()) }
}

impl Item {
    fn of(problem: &Problem) -> Self {
        let Problem { format, n, k, layout, batches, request } = problem;
        Self {
            format: format.name.to_owned(),
            n: *n,
            k: *k,
            batches: batches.clone(),
            numerics: Some(request.numerics_of(format).name().to_owned()),
            isa: request.isa.map(|isa| isa.name.to_owned()),
            threads: (request.threads > 0).then_some(request.threads),
            layout: *layout,
        }
    }

    /// The problem that is meant, or what is wrong with it.
    fn problem(&self) -> Result<Problem, String> {
        let format = registry::format_by_name(&self.format).map_err(|error| error.to_string())?;
        let isa = self.isa.as_deref().map(registry::isa_by_name).transpose().map_err(|error| error.to_string())?;
        let class = |name: &String| {
            Numerics::ALL.into_iter().find(|class| class.name() == name).ok_or_else(|| {
                let names = Numerics::ALL.map(Numerics::name).join(" or ");
                format!("no numerics class is called {}; it is {names}", quoted(name))
            })
        };
        let numerics = self.numerics.as_ref().map(class).transpose()?;
        let (name, multiple) = (format.name.to_owned(), format.block_weights);
        let check = |what: &str, limit: Limit, number| limit.check(number).map_err(|why| format!("{what}: {why}"));
        check("n", ROWS, self.n)?;
        check("k", COLUMNS, self.k)?;
        self.batches.iter().try_for_each(|&batch| check("batches", BATCH, batch).map(drop))?;
        if self.batches.is_empty() {
            return Err("batches: there must be at least one".to_owned());
        }
        let threads = self.threads.map(|threads| check("threads", THREADS, threads)).transpose()?;
        if !self.k.is_multiple_of(multiple) {
            return Err(Error::BadK { format: name, k: self.k, multiple }.to_string());
        }
        if !self.n.is_multiple_of(format.row_multiple()) {
            return Err(Error::BadN { format: name, n: self.n, multiple: format.row_multiple() }.to_string());
        }
        let request = Request::default().numerics(numerics).isa(isa).threads(threads.unwrap_or(0));
        Ok(Problem { format, n: self.n, k: self.k, layout: self.layout, batches: self.batches.clone(), request })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tune::{Keep, fake};

    fn parse(text: &str) -> Result<List, String> {
        List::parse(Path::new("list.toml"), text).map_err(|error| error.to_string())
    }

    /// A list of one problem for every processor.
    fn example(batches: &[usize]) -> (List, &'static registry::Format) {
        let weights = fake::weights(1, 1);
        let kernel = fake::kernels(&weights)[0];
        let request = Request::default().numerics(kernel.numerics).isa(kernel.isa()).threads(1);
        let (format, layout) = (weights.format(), Layout::Packed);
        let problem = Problem { format, n: 64, k: format.block_weights, layout, batches: batches.to_vec(), request };
        (List { problems: vec![problem] }, format)
    }

    #[test]
    fn text_is_read_back() {
        let (list, _) = example(&[1, 8]);
        let text = list.text().unwrap();
        let again = parse(&text).unwrap();
        assert_eq!(again.text().unwrap(), text);
        assert_eq!((again.problems[0].n, &again.problems[0].batches[..]), (64, &[1, 8][..]));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let format = example(&[1]).1;
        let (name, k) = (format.name, format.block_weights);
        let right = format!("[[problem]]\nformat = '{name}'\nn = 64\nk = {k}\nbatches = [1]\n");
        assert!(parse(&right).is_ok());
        for (text, part) in [
            (format!("{right}row = 1\n"), "line 6: unknown field `row`"),
            (format!("{right}{right}").replace("n = 64", "n = 'a'"), "line 3: "),
            (format!("{right}{}", right.replace("n = 64", "n = 0")), "line 6: n: a number of rows is from 1 to "),
            (right.replace("n = 64", "n = 9223372036854775807"), "line 1: n: a number of rows is from 1 to "),
            (right.replace(&format!("k = {k}"), "k = 1073741824"), "line 1: k: a number of columns is from 1 to "),
            (right.replace("[1]", "[]"), "line 1: batches: there must be at least one"),
            (right.replace("[1]", "[1, 9223372036854775807]"), "line 1: batches: a batch is from 1 to "),
            (right.replace("[1]", "[-1]"), "line 5: "),
            (format!("{right}threads = 1000000\n"), "line 1: threads: a number of threads is from 1 to 4096, not 1000000"),
            (right.replace(name, "none such"), "line 1: no format is called \"none such\""),
            (right.replace(&format!("k = {k}"), "k = 0"), "line 1: k: a number of columns is from 1 to "),
            (format!("{right}isa = 'mmx'\n"), "line 1: no instruction set is called \"mmx\""),
            (format!("{right}numerics = 'f64'\n"), "no numerics class is called \"f64\""),
            ("problem = 1".to_owned(), "line 1: "),
            ("[[problem]".to_owned(), "line 1: "),
        ] {
            let error = parse(&text).unwrap_err();
            assert!(error.starts_with("list.toml: ") && error.contains(part) && error.lines().count() == 1, "{text}{error}");
        }
    }

    #[test]
    fn many_problems_are_added_at_once() {
        const MANY: usize = 20_000;
        let (one, _) = example(&[1]);
        let of = |n: usize, batches: &[usize]| Problem { n, batches: batches.to_vec(), ..one.problems[0].clone() };
        let mut list = List::default();
        let pool = Pool::new(1);
        // Were each compared with all before it, this would take minutes.
        list.extend((1..=MANY).chain(1..=MANY).map(|n| of(n, &[1, 8])), &pool);
        list.extend([of(1, &(1..MANY).collect::<Vec<_>>())], &pool);
        assert_eq!(list.problems.len(), MANY);
        assert_eq!(list.problems[0].batches[..4], [1, 8, 2, 3]);
        assert!(list.problems[0].batches.len() == MANY - 1 && list.problems[1].batches == [1, 8]);
    }

    #[test]
    fn what_there_was_no_time_for_is_kept_until_it_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let pool = Pool::new(1);
        let file = crate::tune::CacheFile::new(folder.path(), "somewhere");
        let choices = Choices::new(Some(file));
        let path = List::untuned_path(&choices).unwrap();
        assert!(!List::default().leave(&choices, &pool).unwrap() && !path.exists());

        assert!(example(&[1, 8]).0.leave(&choices, &pool).unwrap());
        assert!(example(&[8, 100]).0.leave(&choices, &pool).unwrap());
        let left = List::read(&path).unwrap();
        assert!(left.problems.len() == 1 && left.problems[0].batches == [1, 8, 100], "{left:?}");

        let know = |batch| {
            let entry = fake::entry(&fake::weights(64, 1), 1);
            let key = example(&[batch]).0.problems[0].key(batch, &pool);
            choices.record(crate::tune::Entry { key, ..entry }, Keep::InMemory);
        };
        know(8);
        assert!(List::default().leave(&choices, &pool).unwrap());
        assert_eq!(List::read(&path).unwrap().problems[0].batches, [1, 100]);
        know(1);
        know(100);
        assert!(!List::default().leave(&choices, &pool).unwrap() && !path.exists());
    }
}
