//! Generating from a build script, in the manner of other build-time generators.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

use quantloom_spec::Spec;
use quantloom_spec::kernels::Set;
use quantloom_spec::model::Format;

use crate::plan::{Card, Plan};
use crate::{Error, SourceFile, emit};

/// What to generate, and where to.
///
/// ```no_run
/// // build.rs
/// quantloom_codegen::Config::new().compile().unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Config {
    cards: PathBuf,
    set: Set,
    support: String,
    out_dir: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self::new()
    }
}

impl Config {
    /// The cards that quantloom ships, the default set of variants, and the `OUT_DIR` of the build script that asks.
    #[must_use]
    pub fn new() -> Self {
        Self { cards: quantloom_spec::cards_dir().to_owned(), set: Set::Default, support: "crate".to_owned(), out_dir: None }
    }

    /// The folder with `formats/`, `isa/`, `kernels/` and `tables/`.
    #[must_use]
    pub fn cards(mut self, folder: impl Into<PathBuf>) -> Self {
        self.cards = folder.into();
        self
    }

    /// Which variants to generate.
    #[must_use]
    pub fn variants(mut self, set: Set) -> Self {
        self.set = set;
        self
    }

    /// Where to write, instead of `OUT_DIR`.
    #[must_use]
    pub fn out_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.out_dir = Some(folder.into());
        self
    }

    /// Reads the cards and plans the kernels, without writing anything.
    ///
    /// # Errors
    /// A card cannot be read or is wrong; every wrong card is reported.
    pub fn plan(&self) -> Result<Plan, Error> {
        let spec = Spec::read(&self.cards).map_err(Error::Cards)?;
        let cards = spec.formats.into_iter().map(|(path, format)| card(&path, format)).collect::<Result<_, _>>()?;
        let isas = spec.isas.into_iter().map(|(_, isa)| isa).collect();
        let variants = spec.kernels.into_iter().flat_map(|(_, kernels)| kernels.variants);
        let variants = variants.filter(|variant| self.set == Set::All || variant.set == Set::Default).collect();
        Ok(Plan::new(cards, isas, variants))
    }

    /// The generated files.
    ///
    /// # Errors
    /// As [`Config::plan`].
    pub fn generate(&self) -> Result<Vec<SourceFile>, Error> {
        Ok(emit::rust::files(&self.plan()?, &self.support))
    }

    /// Generates, and writes each file whose text changed. Tells cargo which folders to watch.
    ///
    /// # Errors
    /// As [`Config::plan`], or a file cannot be written.
    pub fn compile(&self) -> Result<(), Error> {
        println!("cargo::rerun-if-changed={}", self.cards.display());
        println!("cargo::rerun-if-changed=build.rs");
        let out_dir = self.out_dir.clone().or_else(|| env::var_os("OUT_DIR").map(PathBuf::from)).ok_or(Error::NoOutDir)?;
        for file in self.generate()? {
            let path = out_dir.join(&file.name);
            write_if_changed(&path, &file.text).map_err(|source| Error::Io { path, source })?;
        }
        Ok(())
    }
}

/// A format with the text of its card, which the registry keeps.
fn card(path: &Path, format: Format) -> Result<Card, Error> {
    let text = fs::read_to_string(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Card { file, text, format })
}

/// Leaves the time stamp of a file alone when its text is the same, so that nothing is built again for it.
fn write_if_changed(path: &Path, text: &str) -> io::Result<()> {
    match fs::read(path) {
        Ok(old) if old == text.as_bytes() => Ok(()),
        _ => fs::write(path, text),
    }
}
