//! What several tests share.
#![allow(dead_code, reason = "each test uses a part of it")]

pub mod gguf;

use std::fs;
use std::path::{Path, PathBuf};

use quantloom_spec::model::Format;
use quantloom_spec::{Spec, TableFolder};

/// The folder of this crate.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

pub fn tables() -> TableFolder {
    TableFolder::new(root().join("tables"))
}

pub fn spec() -> Spec {
    Spec::read(&root()).unwrap_or_else(|wrong| panic!("{wrong}"))
}

/// The format of a card by the stem of its file name.
pub fn format(stem: &str) -> Format {
    let formats = spec().formats;
    let found = formats.into_iter().find(|(path, _)| path.file_stem().is_some_and(|name| name == stem));
    found.unwrap_or_else(|| panic!("no card {stem}")).1
}

/// Compares a text with a file of this crate; with `BLESS` set, writes the file.
pub fn compare(path: &Path, text: &str) {
    if std::env::var_os("BLESS").is_some() {
        fs::write(path, text).unwrap();
    }
    let expected = fs::read_to_string(path).unwrap_or_default().replace("\r\n", "\n");
    assert!(expected == text, "{} has\n{expected}\nbut the text is\n{text}", path.display());
}
