//! Cards that must be rejected, with the exact text of the diagnostics.
//!
//! `tests/wrong/KIND/NAME.toml` is the card, `NAME.txt` what is said of it. `BLESS=1` writes the texts anew.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use quantloom_spec::architecture::{self, read_architecture};
use quantloom_spec::gpu::read_dialect;
use quantloom_spec::isa::{Dot, Isa, read_isa};
use quantloom_spec::kernels::{Kernels, read_kernels};
use quantloom_spec::operation::read_operation;
use quantloom_spec::processor::read_processor;
use quantloom_spec::{Diagnostics, TableFolder, read_folder, read_format, read_isas, read_processors};

/// Checks every wrong card of a kind; `read` gives what is wrong with it. Returns how many there are.
fn check_all(kind: &str, read: impl Fn(&str, &str) -> Option<Diagnostics>) -> usize {
    let folder = Path::new("tests/wrong").join(kind);
    let mut cards: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cards.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    cards.sort();
    for card in &cards {
        let path = card.display().to_string().replace('\\', "/");
        let wrong = read(&path, &fs::read_to_string(card).unwrap());
        let wrong = wrong.unwrap_or_else(|| panic!("{path} is accepted"));
        common::compare(&card.with_extension("txt"), &format!("{wrong}\n"));
    }
    cards.len()
}

#[test]
fn format_cards() {
    let tables = TableFolder::new("tests/wrong/tables");
    let count = check_all("formats", |path, text| read_format(path, text, &tables).err());
    assert!(count >= 115);
}

#[test]
fn instruction_set_cards() {
    assert!(check_all("isa", |path, text| read_isa(path, text).err()) > 0);
}

#[test]
fn instruction_sets_and_their_bases() {
    let folder = Path::new("tests/wrong/bases");
    let wrong = read_isas(folder).unwrap_err();
    assert!(wrong.iter().all(|one| one.span().is_some() && !one.path().ends_with("right.toml")));
    common::compare(&folder.join("all.txt"), &format!("{wrong}\n"));
}

/// An instruction set for any architecture.
fn isa(name: &str, vector_bits: usize, registers: usize) -> Isa {
    Isa {
        name: name.to_owned(),
        doc: String::new(),
        arch: None,
        base: None,
        features: Vec::new(),
        vector_bits,
        registers,
        dot: Dot::Scalar,
        rank: 0,
    }
}

#[test]
fn kernel_cards() {
    let isas = [isa("wide", 512, 32), isa("narrow", 256, 16), isa("plain", 32, 16)];
    assert!(check_all("kernels", |path, text| read_kernels(path, text, &isas).err()) > 0);
}

/// What processor and operation cards may refer to: instruction sets of two architectures, and their variants.
fn known() -> (Vec<Isa>, Vec<Kernels>) {
    let on = |arch: &str, isa: Isa| Isa { arch: Some(arch.to_owned()), ..isa };
    let wide = Isa { base: Some("narrow".to_owned()), ..isa("wide", 512, 32) };
    let isas = vec![
        on("x86_64", wide),
        on("x86_64", isa("narrow", 256, 16)),
        on("x86_64", isa("bare", 256, 16)),
        on("aarch64", isa("elsewhere", 128, 32)),
        isa("plain", 32, 16),
    ];
    let variant = |[isa, numerics, schedule, set]: [&str; 4], cols: usize, more: &str| {
        format!(
            "[[variant]]\nisa = '{isa}'\nnumerics = '{numerics}'\nschedule = '{schedule}'\nrows = 16\ncols = {cols}\n\
             prefetch = 'none'\nset = '{set}'\n{more}\n"
        )
    };
    let variants = [
        variant(["wide", "int8", "direct", "default"], 1, "batch = 1"),
        variant(["wide", "int8", "panel", "default"], 2, "batch = 2"),
        variant(["wide", "int8", "direct", "all"], 4, ""),
        variant(["narrow", "exact", "direct", "default"], 1, "batch = 1"),
        variant(["elsewhere", "int8", "direct", "default"], 1, "batch = 1"),
        variant(["plain", "int8", "direct", "default"], 1, "batch = 1"),
    ];
    let kernels = read_kernels("kernels.toml", &format!("operation = 'matmul'\n{}", variants.concat()), &isas);
    (isas, vec![kernels.unwrap_or_else(|wrong| panic!("{wrong}"))])
}

#[test]
fn processor_cards() {
    let (isas, kernels) = known();
    assert!(check_all("processors", |path, text| read_processor(path, text, &isas, &kernels).err()) > 0);
}

#[test]
fn operation_cards() {
    let (_, kernels) = known();
    assert!(check_all("operations", |path, text| read_operation(path, text, &kernels).err()) > 0);
}

/// Names of activation functions.
const ACTIVATIONS: [&str; 3] = ["gelu_tanh", "silu", "swiglu_clamped"];

#[test]
fn model_cards() {
    let bases = architecture::shipped(&ACTIVATIONS).unwrap();
    let known = architecture::Known { bases: &bases, activations: &ACTIVATIONS };
    assert!(check_all("models", |path, text| read_architecture(path, text, known).err()) >= 8);
}

#[test]
fn processors_that_two_cards_recognise() {
    let folder = Path::new("tests/wrong/recognised");
    let wrong = read_processors(folder, &[], &[]).unwrap_err();
    assert!(wrong.iter().all(|one| one.span().is_some() && !one.path().ends_with("elsewhere.toml")));
    common::compare(&folder.join("all.txt"), &format!("{wrong}\n"));
}

#[test]
fn dialect_cards() {
    assert!(check_all("gpu", |path, text| read_dialect(path, text).err()) > 0);
}

#[test]
fn cards_that_share_a_name() {
    let folder = Path::new("tests/wrong/folder");
    let wrong = read_folder(folder, &TableFolder::new("tests/wrong/tables")).unwrap_err();
    common::compare(&folder.join("all.txt"), &format!("{wrong}\n"));
}

#[test]
fn folders_that_are_not_there() {
    let wrong = read_folder(Path::new("tests/nowhere"), &TableFolder::new("tests/nowhere")).unwrap_err();
    assert_eq!(wrong.len(), 1);
    assert!(wrong.to_string().starts_with("error: cannot list the folder"), "{wrong}");
}

#[test]
fn colours_only_where_asked_for() {
    let wrong = read_isa("x.toml", "nmae = 1").unwrap_err();
    assert!(!wrong.render(false).contains('\x1b'));
    assert!(wrong.render(true).contains('\x1b'));
}

#[test]
fn the_first_errors_are_shown_and_all_are_counted() {
    let keys = |count: usize| (0..count).map(|at| format!("key{at} = 1\n")).collect::<String>();
    let wrong = read_isa("x.toml", &keys(90)).unwrap_err();
    let shown = wrong.render(false);
    let titles = shown.lines().filter(|line| line.starts_with("error")).collect::<Vec<_>>();
    assert_eq!(titles.len(), 11, "{shown}");
    assert_eq!(titles[10], format!("error: {} errors in all; these are the first 10", wrong.len()));
    assert!(wrong.len() >= 90 && shown.contains("key0") && !shown.contains("key20"), "{shown}");
    assert!(!read_isa("x.toml", &keys(1)).unwrap_err().render(false).contains("errors in all"));
}
