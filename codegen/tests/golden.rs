//! The readable sample in `generated/tests/golden/`: a kernel of each kind of tile on each instruction set, by turns of one class and another;
//! what packs some classes, and what decodes and packs some formats.
//!
//! `BLESS=1 cargo test -p quantloom-codegen --test golden` rewrites it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{env, fs, mem};

use quantloom_codegen::emit::rust::{self, MARKER};
use quantloom_codegen::plan::Plan;
use quantloom_codegen::{Config, Set, cards_dir};
use quantloom_spec::isa::Isa;
use quantloom_spec::kernels::{Numerics, Schedule, Variant};

/// Largest file that a person is asked to read.
const READABLE: usize = 360_000;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../generated/tests/golden")
}

/// What quantloom's own build generates.
fn shipped() -> Config {
    Config::new().cards(cards_dir()).support("crate")
}

/// The formats of the sample: blocks under one and two levels of scales, looked-up levels, base-3 digits, separate tensors.
const FORMATS: [&str; 8] = ["Q4_0", "Q4_K", "IQ4_XS", "TQ1_0", "MXFP4", "NF4", "GPTQ-4bit-g128", "FP8-E4M3"];

/// The classes of the sample, so that others may come and go: codes of 1 to 8 bits alone, with mins and with zero points, palettes, floats, and
/// weights that are roots.
const CLASSES: [&str; 15] = [
    "linear4z8_g32_h32_a32_u64",
    "plain_g32_h1_a32_u64",
    "linear4_g32u_h256_minn_a256_u256",
    "floats4_g32_f64_a32_u64",
    "palette4z128_g32_h32_a32_u64",
    "e4m3_g32_f256_a32_u256",
    "linear6z32_g16i_h256_a256_u256",
    "linear1x1z1_g32_h128_a32_u256",
    "linear4_g32_h32_min_a32_u64",
    "palette3z64_g32ue3_h256_a256_u256",
    "linear8z128_g32_h32_a32_u64",
    "linear3_z128_g32_h128_a32_u128",
    "linear2_g16u_h256_minn_a256_u256",
    "palette4z64_g32_p128_32_a32_u128",
    "linear3z4_g16i_h256_a256_u256",
];

/// Which tiles a variant is a sample of: its class, its schedule, and whether it has several columns.
type Kind = (Numerics, Schedule, bool);

/// The first variant of each kind that is a default of an instruction set.
fn kinds(plan: &Plan, isa: &Isa) -> Vec<(Kind, Variant)> {
    let mut kinds = Vec::<(Kind, Variant)>::new();
    for variant in plan.variants_of(isa) {
        let kind = (variant.numerics, variant.schedule, variant.cols > 1);
        if kinds.iter().all(|(known, _)| *known != kind) {
            kinds.push((kind, variant.clone()));
        }
    }
    kinds
}

/// What the sample should hold.
fn wanted() -> BTreeMap<String, String> {
    let mut plan = shipped().variants(Set::Default).plan().unwrap();
    let (mut formats, classes) = (mem::take(&mut plan.formats), plan.classes.clone());
    let mut sample = BTreeMap::new();
    let mut turn = 0;
    for isa in plan.isas.clone() {
        for ((numerics, ..), variant) in kinds(&plan, &isa) {
            let those = CLASSES.into_iter().filter(|name| classes[*name].has(numerics)).collect::<Vec<_>>();
            let name = those[turn % those.len()];
            turn += 1;
            plan.classes = BTreeMap::from([(name.to_owned(), classes[name].clone())]);
            let tile = variant.tile_name();
            let others = mem::replace(&mut plan.variants, vec![variant]);
            let kernels = rust::files(&plan, "crate", "").into_iter().filter(|file| file.stem().ends_with(numerics.name()));
            plan.variants = others;
            sample.extend(kernels.map(|file| (format!("{}.{tile}.rs", file.stem()), file.text)));
        }
    }
    formats.retain(|format| FORMATS.contains(&format.card.format.name.as_str()));
    assert_eq!(formats.len(), FORMATS.len(), "a format of the sample has another name");
    plan.classes = formats.iter().filter_map(|format| format.class.clone()).collect();
    (plan.formats, plan.variants) = (formats, Vec::new());
    let listing = |name: &str| name == "registry.rs" || name == "root.rs";
    let others = rust::files(&plan, "crate", "").into_iter().filter(|file| !listing(&file.name));
    sample.extend(others.map(|file| (file.name, file.text)));
    sample
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
    for folder in ["formats", "isa", "kernels", "operations", "processors", "gpu", "tables", "formats/tensors"] {
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
