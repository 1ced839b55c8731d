//! What several tests share.
#![allow(dead_code, reason = "each test uses a part of it")]

pub mod gguf;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use quantloom_spec::model::{Digit, Format, Map, Tensors};
use quantloom_spec::{Spec, TableFolder};

/// The folder of this crate.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

pub fn tables() -> TableFolder {
    TableFolder::new(root().join("tables"))
}

pub fn spec() -> Spec {
    static SPEC: LazyLock<Spec> = LazyLock::new(|| Spec::read(&root()).unwrap_or_else(|wrong| panic!("{wrong}")));
    SPEC.clone()
}

/// The format of that name, in lower case and with `_` for `-`.
pub fn format(name: &str) -> Format {
    let is_meant = |format: &Format| format.name.replace('-', "_").eq_ignore_ascii_case(name);
    let found = spec().formats.into_iter().map(|(_, format)| format).find(is_meant);
    found.unwrap_or_else(|| panic!("no format {name}"))
}

/// The shape of each tensor of a matrix in which the slowest digits of rows and columns take `repeats` values.
pub fn shapes(format: &Format, tensors: &Tensors, repeats: usize) -> Vec<Vec<usize>> {
    let digits = || tensors.rows.iter().chain(&format.pieces[0].digits);
    let length = |axis: &Map| {
        let stride = |digit: &Digit| axis.strides.get(&digit.name).map_or(0, |stride| (*stride).max(0) as usize);
        let unbounded = digits().find(|digit| digit.size == 0 && stride(digit) > 0);
        let reach = || axis.at as usize + digits().map(|digit| stride(digit) * digit.size.saturating_sub(1)).sum::<usize>();
        unbounded.map_or_else(|| reach() + 1, |digit| repeats * stride(digit))
    };
    tensors.tensors.iter().map(|tensor| tensor.axes.iter().map(length).collect()).collect()
}

/// Compares a text with a file of this crate; with `BLESS` set, writes the file.
pub fn compare(path: &Path, text: &str) {
    if std::env::var_os("BLESS").is_some() {
        fs::write(path, text).unwrap();
    }
    let expected = fs::read_to_string(path).unwrap_or_default().replace("\r\n", "\n");
    assert!(expected == text, "{} has\n{expected}\nbut the text is\n{text}", path.display());
}
