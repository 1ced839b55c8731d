//! The readable sample in `generated/tests/golden/`: one variant of each packed class on the lowest and the highest instruction set of an
//! architecture, of a single class on those between, and what packs and decodes.
//!
//! `BLESS=1 cargo test -p quantloom-codegen --test golden` rewrites it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{env, fs};

use quantloom_codegen::emit::rust::{self, MARKER};
use quantloom_codegen::plan::Plan;
use quantloom_codegen::{Config, Set, SourceFile, cards_dir};
use quantloom_spec::isa::Isa;
use quantloom_spec::kernels::{Numerics, Schedule};

/// Largest file that a person is asked to read.
const READABLE: usize = 360_000;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../generated/tests/golden")
}

/// What quantloom's own build generates.
fn shipped() -> Config {
    Config::new().cards(cards_dir()).support("crate")
}

/// The instruction sets that only one class is shown on: they have a base, and there is a higher one.
fn between(plan: &Plan) -> impl Iterator<Item = &Isa> {
    let higher = |isa: &Isa| plan.isas.iter().any(|other| other.arch == isa.arch && other.rank > isa.rank);
    plan.isas.iter().filter(move |isa| isa.base.is_some() && higher(isa))
}

/// The plan with one variant per instruction set: class `int8`, one column.
fn sample() -> Plan {
    let mut plan = shipped().variants(Set::Default).plan().unwrap();
    let mut seen = BTreeSet::new();
    plan.variants.retain(|variant| {
        let chosen = variant.numerics == Numerics::Int8 && variant.schedule == Schedule::Direct && variant.cols == 1;
        chosen && seen.insert(variant.isa.clone())
    });
    plan
}

/// What the sample should hold: files of classes, and of formats that every build has kernels of and whose decoders carry no long
/// tables.
fn wanted() -> BTreeMap<String, String> {
    let mut plan = sample();
    plan.formats.retain(|format| format.card.format.kernels);
    let files = rust::files(&plan, "crate", "").into_iter();
    let listing = |name: &str| name == "registry.rs" || name == "root.rs";
    let long_table = |file: &SourceFile| file.name.starts_with("format_") && file.text.len() > 24_000;
    let left_out = |file: &SourceFile| listing(&file.name) || long_table(file) || file.stem().ends_with("_exact");
    let files = files.filter(|file| !left_out(file));
    let mut files = files.map(|file| (file.name, file.text)).collect::<BTreeMap<_, _>>();
    for isa in between(&plan) {
        let end = format!("_{}_int8.rs", isa.name.replace('-', "_"));
        let first = files.keys().find(|name| name.ends_with(&end)).cloned();
        files.retain(|name, _| !name.ends_with(&end) || first.as_ref() == Some(name));
    }
    files
}

fn committed() -> BTreeMap<String, String> {
    let files = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let texts =
        files.map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read_to_string(&path).unwrap()));
    texts.filter(|(_, text)| text.starts_with(MARKER)).collect()
}

#[test]
fn the_sample_is_what_the_cards_give() {
    let (wanted, committed) = (wanted(), committed());
    if env::var_os("BLESS").is_some() {
        committed
            .keys()
            .filter(|name| !wanted.contains_key(*name))
            .for_each(|name| fs::remove_file(folder().join(name)).unwrap());
        wanted.iter().for_each(|(name, text)| fs::write(folder().join(name), text).unwrap());
        return;
    }
    let names = |files: &BTreeMap<String, String>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&wanted), names(&committed), "run with BLESS=1 to rewrite generated/tests/golden");
    for (name, text) in &wanted {
        assert!(
            *text == committed[name],
            "{name} differs from generated/tests/golden: run with BLESS=1 and read the difference"
        );
    }
}

#[test]
fn generated_files_are_readable() {
    for file in shipped().generate().unwrap() {
        assert!(file.text.starts_with(MARKER), "{}", file.name);
        let table = file.name.starts_with("format_") || file.name == "registry.rs";
        assert!(table || file.text.len() <= READABLE, "{}: {} bytes", file.name, file.text.len());
        assert!(!file.text.contains(env!("CARGO_MANIFEST_DIR")), "{} holds a path of this machine", file.name);
    }
}

/// Copies the cards to a folder, in the given order of files.
fn copy_cards(to: &Path, reverse: bool) {
    for folder in ["formats", "isa", "kernels", "processors", "gpu", "tables", "formats/tensors"] {
        fs::create_dir_all(to.join(folder)).unwrap();
        let from = cards_dir().join(folder);
        let mut paths =
            fs::read_dir(from).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()).collect::<Vec<_>>();
        paths.sort();
        if reverse {
            paths.reverse();
        }
        for path in paths {
            fs::copy(&path, to.join(folder).join(path.file_name().unwrap())).unwrap();
        }
    }
}

#[test]
fn two_folders_give_the_same_bytes() {
    let generate = |reverse| {
        let (cards, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        copy_cards(cards.path(), reverse);
        Config::new().cards(cards.path()).out_dir(out.path()).compile().unwrap();
        let files = fs::read_dir(out.path()).unwrap().map(|entry| entry.unwrap().path());
        files.map(|path| (path.file_name().unwrap().to_owned(), fs::read(&path).unwrap())).collect::<BTreeMap<_, _>>()
    };
    let (one, other) = (generate(false), generate(true));
    assert!(one.len() > 20, "{}", one.len());
    assert!(one == other, "generation depends on where the cards lie");
}
