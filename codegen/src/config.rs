//! Generating from a build script, in the manner of other build-time generators.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

use quantloom_spec::isa::Isa;
use quantloom_spec::kernels::{Numerics, Set, Variant};
use quantloom_spec::model::Format;
use quantloom_spec::{Folders, Spec, TableFolder, cards_dir, text};

use crate::plan::{Card, Plan, has_variants, kernel_name};
use crate::{Error, SourceFile, emit, functions};

/// The folder of activation functions that quantloom ships, one file each.
fn functions_dir() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/functions"))
}

/// The module of quantloom that holds what generated code refers to.
const SUPPORT: &str = "::quantloom::kernels";

/// What to generate, and where to.
///
/// ```no_run
/// // build.rs
/// if let Err(error) = quantloom_codegen::Config::new().formats("cards").compile() {
///     eprintln!("{error}");
///     std::process::exit(1);
/// }
/// ```
///
/// The crate depends on `quantloom` and brings in what was generated with `quantloom::include_formats!()`.
#[derive(Clone, Debug)]
pub struct Config {
    folders: Folders,
    functions: PathBuf,
    targets: Option<BTreeSet<String>>,
    arch: Option<String>,
    set: Set,
    list: Option<PathBuf>,
    asked: BTreeSet<String>,
    support: String,
    compiler: Option<String>,
    out_dir: Option<PathBuf>,
    gpu: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self::new()
    }
}

impl Config {
    /// No formats yet; the instruction sets and tile sizes that quantloom ships, the default set of variants, and the `OUT_DIR` of
    /// the build script that asks.
    #[must_use]
    pub fn new() -> Self {
        let folders = Folders { formats: Vec::new(), ..Folders::below(cards_dir()) };
        Self {
            folders,
            functions: functions_dir().to_owned(),
            targets: None,
            arch: None,
            set: Set::Default,
            list: None,
            asked: BTreeSet::new(),
            support: SUPPORT.to_owned(),
            compiler: None,
            out_dir: None,
            gpu: None,
        }
    }

    /// Adds a folder of format cards. A table that a card names is looked for in the nearest folder `tables` in it, or at most two
    /// levels above.
    #[must_use]
    pub fn formats(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folders.formats.push(folder.into());
        self
    }

    /// A folder of kernel cards, in place of the tile sizes that quantloom ships. The processor cards that it ships begin with variants
    /// of those, and its operation cards name them, so that they are left out as well.
    #[must_use]
    pub fn kernels(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folders.kernels = folder.into();
        self.folders.operations = None;
        self.folders.processors = None;
        self
    }

    /// All cards of a whole specification, in place of what quantloom ships: the folder with `formats/`, `isa/`, `kernels/`,
    /// `operations/`, `processors/`, `gpu/` and `tables/`. Instruction sets that quantloom does not ship need a [`Config::support`] of their own.
    #[must_use]
    pub fn cards(mut self, folder: impl AsRef<Path>) -> Self {
        self.folders = Folders::below(folder.as_ref());
        self
    }

    /// A folder of activation functions, in place of those that quantloom ships: a file `NAME.rs` for each that an operation card names,
    /// with `fn NAME(x: f32) -> f32`.
    #[must_use]
    pub fn functions(mut self, folder: impl Into<PathBuf>) -> Self {
        self.functions = folder.into();
        self
    }

    /// Generates for these instruction sets only, and for the bases whose kernels they use. Without `scalar` among them there is
    /// nothing to run on a processor that has none of the others.
    #[must_use]
    pub fn targets(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.targets = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Leaves out the instruction sets of other architectures than this one, as Rust's `target_arch` has it. [`Config::compile`] asks
    /// cargo, if nobody says.
    #[must_use]
    pub fn arch(mut self, name: impl Into<String>) -> Self {
        self.arch = Some(name.into());
        self
    }

    /// Which variants to generate.
    #[must_use]
    pub fn variants(mut self, set: Set) -> Self {
        self.set = set;
        self
    }

    /// Generates only the kernels that a file lists, whatever their set: the key `kernels` with the names that `quantloom explain`
    /// prints. `quantloom cache prune` writes such a file. Formats without a kernel in it are only decoded, but for those of
    /// [`Config::kernels_of`]. Hashes are those of a build without the list, so that what the tuner measured there holds here.
    #[must_use]
    pub fn variants_from(mut self, file: impl Into<PathBuf>) -> Self {
        self.list = Some(file.into());
        self
    }

    /// Generates kernels of these formats as well, in any case of letters, where their cards leave that to those who ask or a list has
    /// none of theirs.
    #[must_use]
    pub fn kernels_of(mut self, formats: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.asked.extend(formats.into_iter().map(Into::into));
        self
    }

    /// The Rust path of the vocabulary that generated code refers to: `::quantloom::kernels` unless the crate knows quantloom by
    /// another name. With `crate` the generated registry has rows for the instruction sets as well: there is one crate that needs it.
    #[must_use]
    pub fn support(mut self, path: impl Into<String>) -> Self {
        self.support = path.into();
        self
    }

    /// What compiles the generated text, and how: part of the hash of every kernel, so that what was measured of one build does not count
    /// for another. [`Config::compile`] asks cargo, if nobody says.
    #[must_use]
    pub fn compiler(mut self, compiler: impl Into<String>) -> Self {
        self.compiler = Some(compiler.into());
        self
    }

    /// Where to write, instead of `OUT_DIR`. The folder must exist.
    #[must_use]
    pub fn out_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.out_dir = Some(folder.into());
        self
    }

    /// Writes kernels for graphics processors as well, to a folder, which is made if there is none; one that is not absolute is below where
    /// everything goes. For each packed format and each language of [`emit::device::targets`] there is a text `FORMAT.cu` and so on, which
    /// `include_str!` takes, and beside it `FORMAT.cu.json`: see [`emit::device::Manifest`].
    #[must_use]
    pub fn gpu(mut self, folder: impl Into<PathBuf>) -> Self {
        self.gpu = Some(folder.into());
        self
    }

    /// Reads the cards and plans the kernels, without writing anything.
    ///
    /// # Errors
    /// A card cannot be read or is wrong; every wrong card is reported. An instruction set that does not exist. A list of kernels
    /// that cannot be read or names one that does not exist.
    pub fn plan(&self) -> Result<Plan, Error> {
        if self.folders.formats.is_empty() {
            return Err(Error::NoFormats);
        }
        let spec = Spec::read_from(&self.folders).map_err(Error::Cards)?;
        let mut cards = spec.formats.into_iter().map(|(path, format)| card(&path, format)).collect::<Result<Vec<_>, _>>()?;
        let mut asked = BTreeSet::new();
        for name in &self.asked {
            let mut meant = cards.iter_mut().filter(|card| card.format.name.eq_ignore_ascii_case(name));
            let card = meant.next().ok_or_else(|| Error::UnknownFormat { name: name.clone() })?;
            card.format.kernels = true;
            asked.insert(card.format.name.clone());
        }
        let mut isas = spec.isas.into_iter().map(|(_, isa)| isa).collect::<Vec<_>>();
        let mut variants = spec.kernels.into_iter().flat_map(|(_, kernels)| kernels.variants).collect::<Vec<_>>();
        let operations = spec.operations.into_iter().map(|(_, operation)| operation).collect::<Vec<_>>();
        let functions = functions::read(&self.functions, &operations)?;
        let mut processors = spec.processors.into_iter().map(|(_, processor)| processor).collect::<Vec<_>>();
        let list = self.list.as_deref().map(|path| read_list(path, &cards, &variants)).transpose()?;
        if let Some(list) = &list {
            ask_for_listed(list, &mut cards);
        }
        let is_listed = |variant: &Variant| {
            let name = |card: &Card| kernel_name(&card.format.name, variant);
            list.as_ref().is_some_and(|list| cards.iter().any(|card| list.contains(&name(card))))
        };
        let is_built = |variant: &Variant| self.set == Set::All || variant.set == Set::Default;
        variants.retain(|variant| is_built(variant) || is_listed(variant));
        if let Some(targets) = &self.targets {
            let known = isas.iter().map(|isa| isa.name.clone()).collect::<BTreeSet<_>>();
            if let Some(name) = targets.difference(&known).next() {
                return Err(Error::UnknownTarget { name: name.clone(), known: known.into_iter().collect() });
            }
            retain_targets(targets, &mut isas, &mut variants);
        }
        if let Some(arch) = &self.arch {
            isas.retain(|isa| isa.arch.as_ref().is_none_or(|other| other == arch));
            variants.retain(|variant| isas.iter().any(|isa| isa.name == variant.isa));
            processors.retain(|processor| processor.arch == *arch);
        }
        let plan = Plan::new(cards, isas, variants).with_operations(operations, functions).with_processors(processors);
        Ok(match list {
            Some(mut list) => {
                list.extend(asked.iter().flat_map(|format| {
                    plan.variants.iter().filter(|variant| is_built(variant)).map(|variant| kernel_name(format, variant))
                }));
                plan.with_list(list)
            }
            None => plan,
        })
    }

    /// The generated files.
    ///
    /// # Errors
    /// As [`Config::plan`].
    pub fn generate(&self) -> Result<Vec<SourceFile>, Error> {
        self.plan().map(|plan| self.files(&plan))
    }

    fn files(&self, plan: &Plan) -> Vec<SourceFile> {
        emit::rust::files(plan, &self.support, self.compiler.as_deref().unwrap_or_default())
    }

    /// Every folder and file that the result depends on, sorted: cards, tables, the folders that new ones may appear in, and the list
    /// of kernels.
    #[must_use]
    pub fn sources(&self) -> Vec<PathBuf> {
        let Folders { formats, isas, kernels, operations, processors, dialects } = &self.folders;
        let tables = formats.iter().map(|folder| TableFolder::beside(folder).path().to_owned());
        // A folder that is missing would count as changed on every build.
        let tables = tables.filter(|folder| folder.is_dir());
        let folders =
            formats.iter().chain([isas, kernels, dialects]).chain(operations).chain(processors).cloned().chain(tables);
        let folders = folders.collect::<BTreeSet<_>>();
        let files = folders.iter().flat_map(|folder| cards_in(folder)).collect::<Vec<_>>();
        let functions = operations.as_ref().map(|_| self.functions.clone());
        folders
            .into_iter()
            .chain(files)
            .chain(functions)
            .chain(self.list.clone())
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect()
    }

    /// Generates, and writes each file whose text changed. Tells cargo to run the build script again when a card, a table or one of
    /// their folders changes. Warns of a profile that does not optimise, and of formats that can be decoded only, because no kernel covers
    /// their cards.
    ///
    /// # Errors
    /// As [`Config::plan`], or a file cannot be written. The message is what `quantloom check` prints, caret and all: a build script
    /// prints it and exits with status 1.
    pub fn compile(&self) -> Result<(), Error> {
        for source in self.sources() {
            println!("cargo::rerun-if-changed={}", source.display());
        }
        println!("cargo::rerun-if-changed=build.rs");
        if let Some(warning) = slow(env::var("OPT_LEVEL").ok().as_deref(), env::var("CARGO_PKG_NAME").ok().as_deref()) {
            println!("cargo::warning={warning}");
        }
        let out_dir = self.out_dir.clone().or_else(|| env::var_os("OUT_DIR").map(PathBuf::from)).ok_or(Error::NoOutDir)?;
        let arch = self.arch.clone().or_else(|| env::var("CARGO_CFG_TARGET_ARCH").ok());
        let compiler = self.compiler.clone().unwrap_or_else(compiler);
        let config = Self { arch, compiler: Some(compiler), ..self.clone() };
        let plan = config.plan()?;
        for (format, what) in plan.uncovered() {
            println!("cargo::warning={format} can be decoded only: no kernel covers {what}");
        }
        write_files(&out_dir, &config.files(&plan))?;
        let Some(folder) = &config.gpu else { return Ok(()) };
        let folder = out_dir.join(folder);
        fs::create_dir_all(&folder).map_err(|source| Error::Io { path: folder.clone(), source })?;
        write_files(&folder, &device_files(&plan)?)
    }
}

/// The kernels of packed formats for graphics processors, and what hosts must know of them.
fn device_files(plan: &Plan) -> Result<Vec<SourceFile>, Error> {
    let formats = plan.formats.iter().filter(|format| format.class.is_some());
    let pairs = formats.flat_map(|format| emit::device::targets().map(move |target| (&format.card.format, target)));
    let files = pairs.map(|(format, target)| {
        let module = emit::device::module(format, target)?;
        let name = format!("{}.{}", format.name, module.extension);
        let json = SourceFile { name: format!("{name}.json"), text: module.manifest.json(), arch: None };
        Ok([SourceFile { name, text: module.text, arch: None }, json])
    });
    files.collect::<Result<Vec<_>, _>>().map(|files| files.into_iter().flatten().collect())
}

fn write_files(folder: &Path, files: &[SourceFile]) -> Result<(), Error> {
    for file in files {
        let path = folder.join(&file.name);
        write_if_changed(&path, &file.text).map_err(|source| Error::Io { path, source })?;
    }
    Ok(())
}

/// What to say of the optimisation level that cargo builds a package with. Kernels that are not optimised take tens of times longer: the
/// words that they are made of are functions.
fn slow(level: Option<&str>, package: Option<&str>) -> Option<String> {
    let (level, package) = (level?, package?);
    let key = format!("[profile.dev.package.{package}]");
    (level == "0").then(|| {
        format!("kernels that are not optimised are of no use; write `opt-level = 2` under `{key}` in the Cargo.toml of the workspace")
    })
}

/// The compiler that cargo uses, the optimisation level and the target features, in a build script. What cargo does not tell is left out.
fn compiler() -> String {
    let version = env::var_os("RUSTC").and_then(|rustc| Command::new(rustc).arg("-vV").output().ok());
    let version = version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let settings = ["OPT_LEVEL", "CARGO_CFG_TARGET_FEATURE"].map(|name| env::var(name).unwrap_or_default());
    [version, settings.join(";")].concat()
}

/// Leaves the variants that the targets run, and the instruction sets that are targets or among the bases of one.
fn retain_targets(targets: &BTreeSet<String>, isas: &mut Vec<Isa>, variants: &mut Vec<Variant>) {
    let wanted = || isas.iter().filter(|isa| targets.contains(&isa.name));
    let run = |isa: &'_ Isa, numerics| {
        let owner = isa.lineage(isas).find(|isa| has_variants(variants, isa, numerics))?;
        Some((owner.name.clone(), numerics))
    };
    let run = wanted().flat_map(|isa| Numerics::ALL.into_iter().filter_map(move |numerics| run(isa, numerics)));
    let run = run.collect::<BTreeSet<_>>();
    let kept = wanted().flat_map(|isa| isa.lineage(isas)).map(|isa| isa.name.clone()).collect::<BTreeSet<_>>();
    variants.retain(|variant| run.contains(&(variant.isa.clone(), variant.numerics)));
    isas.retain(|isa| kept.contains(&isa.name));
}

/// Reads a list of kernels that there must be, in whatever set.
fn read_list(path: &Path, cards: &[Card], variants: &[Variant]) -> Result<BTreeSet<String>, Error> {
    let text = text::read(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    let mut cards = cards.to_vec();
    cards.iter_mut().for_each(|card| card.format.kernels = true);
    let known = Plan::new(cards, Vec::new(), variants.to_vec()).kernel_names().collect();
    quantloom_spec::read_list(&path.to_string_lossy(), &text, &known).map_err(Error::Cards)
}

/// Who lists a kernel asks for it.
fn ask_for_listed(list: &BTreeSet<String>, cards: &mut [Card]) {
    let formats = list.iter().filter_map(|kernel| kernel.split('.').next()).collect::<BTreeSet<_>>();
    for card in cards.iter_mut().filter(|card| formats.contains(card.format.name.as_str())) {
        card.format.kernels = true;
    }
}

/// The cards or tables of a folder; none if it cannot be listed, which reading it reports.
fn cards_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| path.extension().is_some_and(|extension| extension == "toml")).collect()
}

/// A format with the text of its card and of its tables, which the registry keeps.
fn card(path: &Path, format: Format) -> Result<Card, Error> {
    let read = |path: &Path| text::read(path).map_err(|source| Error::Io { path: path.to_owned(), source });
    let text = read(path)?;
    let folder = TableFolder::beside(path.parent().unwrap_or(path));
    let table = |name: String| {
        let text = read(&folder.path().join(&name).with_extension("toml"))?;
        Ok((name, text))
    };
    let tables = format.tables().into_iter().map(table).collect::<Result<BTreeMap<_, _>, Error>>()?;
    let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Card { file, text, tables, format })
}

/// Leaves the time stamp of a file alone when its text is the same, so that nothing is built again for it.
fn write_if_changed(path: &Path, text: &str) -> io::Result<()> {
    match fs::read(path) {
        Ok(old) if old == text.as_bytes() => Ok(()),
        _ => fs::write(path, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_that_does_not_optimise_is_warned_of() {
        let warning = slow(Some("0"), Some("mine")).unwrap();
        assert!(warning.contains("[profile.dev.package.mine]"), "{warning}");
        assert_eq!([slow(Some("2"), Some("mine")), slow(None, Some("mine"))], [None, None]);
    }
}
