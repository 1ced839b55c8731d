//! Tables that the program ships with: cache files of machines that were measured before, in `runtime/tables/`.
//!
//! They are hints for a first start. Other compilers and later cards may have made other code of a kernel, so that unlike the user's own
//! cache a table counts by the names of kernels, as long as the card's default is the one that was measured against.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use super::layer::Layer;
use super::{Digest, Entry, Key, file};
use crate::error::{Error, Result};
use crate::matmul::Launch;
use crate::registry::{self, Kernel};

/// The texts of `runtime/tables/`.
const TEXTS: &[&str] = include!(concat!(env!("OUT_DIR"), "/tables.rs"));

/// What was measured on one processor: a file that `quantloom cache export` wrote, for [`super::Choices::add_table`].
///
/// ```no_run
/// use quantloom::tune::{self, Table};
///
/// # fn main() -> quantloom::Result<()> {
/// // `include_str!` makes it a part of the program.
/// let text = std::fs::read_to_string("zen4.toml").expect("a table");
/// tune::choices().add_table(Table::parse("zen4.toml", &text)?);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Table {
    /// Its environment.
    environment: String,
    /// How the environments of processors begin that are said to be like it.
    relatives: Vec<String>,
    /// By keys without code.
    layer: Layer,
}

/// All tables.
pub fn tables() -> &'static [Arc<Table>] {
    static TABLES: LazyLock<Vec<Arc<Table>>> =
        LazyLock::new(|| TEXTS.iter().filter_map(|text| Table::read(text)).map(|(table, _)| Arc::new(table)).collect());
    &TABLES
}

impl Table {
    /// The table in a text that is called `name` in messages.
    ///
    /// # Errors
    /// [`Error::Cache`] if it is no table of this version, or entries of it are torn or were edited.
    pub fn parse(name: impl AsRef<Path>, text: &str) -> Result<Self> {
        let wrong = |what: String| {
            let detail = format!("{what}; write it again with `quantloom cache export`");
            Error::Cache { path: name.as_ref().to_owned(), detail, cause: None }
        };
        match Self::read(text) {
            Some((table, 0)) => Ok(table),
            Some((_, unreadable)) => Err(wrong(format!("{unreadable} of its entries are torn or were edited"))),
            None => Err(wrong("is no table of this version of the tuner".to_owned())),
        }
    }

    /// The table in the text of a cache file, and how many entries it has that cannot be read. `None` if it has another schema.
    fn read(text: &str) -> Option<(Self, usize)> {
        let (header, contents) = file::read_any(text)?;
        let mut layer = Layer::default();
        contents.entries.into_iter().for_each(|entry| layer.insert(without_code(&entry.key), entry));
        Some((Self { environment: header.environment, relatives: header.relatives, layer }, contents.unreadable))
    }

    /// Whether it was measured on a processor like that of an environment: the same model, caches and instruction sets.
    pub(super) fn is_for(&self, environment: &str) -> bool {
        hardware(&self.environment) == hardware(environment)
    }

    /// Whether it says that the processor of an environment is like the one that it was measured on.
    pub(super) fn is_for_a_relative_of(&self, environment: &str) -> bool {
        let begins = |relative: &String| {
            environment.strip_prefix(relative.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', ';']))
        };
        !self.is_for(environment) && self.relatives.iter().any(begins)
    }
}

/// How many entries of the tables that the program ships with name kernels of this build, for the processor of this machine and for
/// a relative of it.
#[must_use]
pub fn shipped() -> (usize, usize) {
    let useful = |table: &Arc<Table>| table.layer.entries().filter(|entry| launch_by_name(entry).is_some()).count();
    let count =
        |holds: fn(&Table, &str) -> bool| tables().iter().filter(|table| holds(table, super::environment())).map(useful).sum();
    (count(Table::is_for), count(Table::is_for_a_relative_of))
}

/// The first entry that some tables have for a problem.
pub fn entry(tables: &[Arc<Table>], key: &Key) -> Option<Entry> {
    let key = without_code(key);
    tables.iter().find_map(|table| table.layer.entry(&key)).cloned()
}

/// What the first of them that knows says is the best, if this build has it.
pub fn launch(tables: &[Arc<Table>], key: &Key) -> Option<Launch> {
    let key = without_code(key);
    tables.iter().find_map(|table| table.layer.launch(&key, launch_by_name))
}

/// What an entry chose, by the name of the kernel alone, if it was compared with the default of this processor.
fn launch_by_name(entry: &Entry) -> Option<Launch> {
    let kernels = kernels_of(entry)?;
    let default = crate::matmul::default(&kernels, entry.key.batch.first());
    chosen(entry, &kernels).filter(|_| default.kernel.name == Launch::split(&entry.default).0)
}

/// What there was to choose from; `None` if this processor or this build has nothing of it.
fn kernels_of(entry: &Entry) -> Option<Vec<&'static Kernel>> {
    let Key { format, numerics, isa, .. } = &entry.key;
    let format = registry::format_by_name(format).ok()?;
    let of_class = |kernel: &&Kernel| kernel.numerics == *numerics && kernel.isa().name == isa && kernel.isa().is_available();
    let kernels = registry::kernels(format).iter().filter(of_class).collect::<Vec<_>>();
    (!kernels.is_empty()).then_some(kernels)
}

fn chosen(entry: &Entry, kernels: &[&'static Kernel]) -> Option<Launch> {
    let (name, arguments) = Launch::split(&entry.kernel);
    Launch::parse(kernels.iter().copied().find(|kernel| kernel.name == name)?, arguments).ok()
}

fn without_code(key: &Key) -> Key {
    Key { code: Digest(0), ..key.clone() }
}

/// What an environment says of the machine, and not of how the program was built.
fn hardware(environment: &str) -> &str {
    environment.strip_suffix(super::place::DEBUG).unwrap_or(environment)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::matmul::{self, Source};
    use crate::tune::{CacheFile, Choices, Keep, Mode, State, fake, place};

    fn table(environment: &str, relatives: &[&str]) -> Table {
        let relatives = relatives.iter().map(|&relative| relative.to_owned()).collect();
        Table { environment: environment.to_owned(), relatives, layer: Layer::default() }
    }

    #[test]
    fn every_table_is_read_whole() {
        assert_eq!(tables().len(), TEXTS.len());
        for text in TEXTS {
            let (_, contents) = file::read_any(text).unwrap();
            assert!(contents.unreadable == 0 && !contents.entries.is_empty());
        }
    }

    #[test]
    fn every_choice_of_a_table_is_there() {
        for entry in tables().iter().flat_map(|table| table.layer.entries()) {
            if registry::isa_by_name(&entry.key.isa).is_ok_and(|isa| isa.is_available()) {
                let kernels = kernels_of(entry).unwrap_or_default();
                let launch = chosen(entry, &kernels).map(|launch| launch.to_string());
                let default = Launch::split(&entry.default).0;
                assert!(kernels.iter().any(|kernel| kernel.name == default), "{default}");
                assert_eq!(launch.as_deref(), Some(&*entry.kernel), "{}", entry.key.format);
            }
        }
    }

    /// Choices that follow one table, which chooses the last kernel for some weights, and the key of the problem.
    fn following(environment: &str, relatives: &[&str], default: &str) -> (Choices, Key, &'static Kernel) {
        let weights = fake::weights(16, 1);
        let kernels = fake::kernels(&weights);
        let last = *kernels.last().unwrap();
        let entry = Entry {
            kernel: last.name.to_owned(),
            kernel_hash: Digest(1),
            default: default.to_owned(),
            ..fake::entry(&weights, 3)
        };
        let key = entry.key.clone();
        let file = CacheFile::at(Path::new("any"), environment);
        let relatives = relatives.iter().map(|&relative| relative.to_owned()).collect::<Vec<_>>();
        // Of another build: tables do not look at code.
        let entry = Entry { key: Key { code: Digest(7), ..entry.key.clone() }, ..entry };
        let choices = Choices::new(None);
        choices.add_table(Table::parse("any", &file.text(&[entry], &relatives).unwrap()).unwrap());
        (choices, key, last)
    }

    #[test]
    fn a_table_holds_on_its_processor_and_on_relatives() {
        let weights = fake::weights(16, 1);
        let default = matmul::default(&fake::kernels(&weights), 1).kernel.name;
        let here = place::environment();
        let family = here.split(';').next().unwrap();
        for (environment, relatives, wanted) in [
            (here, &[][..], Some(Source::Shipped)),
            ("Nobody-1-2-3;any", &[family], Some(Source::Relative)),
            ("Nobody-1-2-3;any", &[], None),
        ] {
            let (choices, key, last) = following(environment, relatives, default);
            let found = choices.find(&key);
            assert_eq!(found.map(|(launch, source)| (launch.kernel.name, source)), wanted.map(|source| (last.name, source)));
            choices.set_mode(Mode::Off);
            assert!(choices.find(&key).is_none());
        }
        let (choices, key, _) = following(here, &[], "another default");
        assert!(choices.find(&key).is_none(), "it was not compared with the default of this build");
    }

    #[test]
    fn a_quarantined_choice_does_not_hide_the_next_source() {
        let weights = fake::weights(16, 1);
        let first = fake::kernels(&weights)[0];
        let (choices, key, last) =
            following(place::environment(), &[], matmul::default(&fake::kernels(&weights), 1).kernel.name);
        choices.record(fake::entry(&weights, 3), Keep::InMemory);
        assert_eq!(choices.find(&key), Some((first.into(), Source::Memory)));
        choices.variants().record(first, State::Wrong, "");
        assert_eq!(choices.find(&key), Some((last.into(), Source::Shipped)));
    }

    #[test]
    fn the_table_of_a_program_goes_before_those_that_it_came_with() {
        let weights = fake::weights(16, 1);
        let kernels = fake::kernels(&weights);
        let default = matmul::default(&kernels, 1).kernel;
        let (choices, key, last) = following(place::environment(), &[], default.name);
        let text = |kernel: &Kernel| {
            let entry = Entry {
                key: key.clone(),
                kernel: kernel.name.to_owned(),
                default: default.name.to_owned(),
                ..fake::entry(&weights, 3)
            };
            CacheFile::at(Path::new("any"), place::environment()).text(&[entry], &[]).unwrap()
        };
        // What was looked up before is not kept against it.
        choices.keep_answer(&key, 1, (last.into(), Source::Shipped));
        choices.add_table(Table::parse("own.toml", &text(kernels[0])).unwrap());
        assert!(choices.answer(&key, 1).is_none());
        assert_eq!(choices.find(&key), Some((kernels[0].into(), Source::Shipped)));

        let error = |text: &str| Table::parse("own.toml", text).unwrap_err().to_string();
        let torn = text(last).replace(&format!("kernel = \"{}\"", last.name), "kernel = \"another\"");
        assert!(error(&torn).starts_with("own.toml: 1 of its entries"), "{}", error(&torn));
        assert!(error("schema = 0").starts_with("own.toml: is no table"), "{}", error("schema = 0"));
    }

    #[test]
    fn a_processor_is_the_same_a_relative_or_a_stranger() {
        let table = table("Maker-6-207-2;48K;avx2", &["Maker-6-207", "Maker-6-143"]);
        let kinds = |environment: &str| (table.is_for(environment), table.is_for_a_relative_of(environment));
        assert_eq!(kinds("Maker-6-207-2;48K;avx2"), (true, false));
        assert_eq!(kinds("Maker-6-207-2;48K;avx2;debug"), (true, false));
        assert_eq!(kinds("Maker-6-207-3;48K;avx2"), (false, true));
        assert_eq!(kinds("Maker-6-143-8;32K;avx2"), (false, true));
        assert_eq!(kinds("Maker-6-1430-8;32K;avx2"), (false, false));
        assert_eq!(kinds("Maker-6-208-2;48K;avx2"), (false, false));
    }
}
