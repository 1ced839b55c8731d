//! Cards and blocks.

use std::path::{Path, PathBuf};

use quantloom_codegen::Config;
use quantloom_codegen::plan::{Card, Plan, PlannedFormat};
use quantloom_spec::gpu::Dialect;
use quantloom_spec::{Spec, TableFolder, cards_dir, read_format};

/// The folder of this test.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gpu")
}

/// A card that is not shipped.
pub fn planned(file: &str, text: &str) -> PlannedFormat {
    let tables = TableFolder::new(cards_dir().join("tables"));
    let format = read_format(file, text, &tables).unwrap_or_else(|wrong| panic!("{wrong}"));
    let card = Card { file: file.to_owned(), text: text.to_owned(), format };
    let plan = Plan::new(vec![card], Vec::new(), Vec::new()).unwrap_or_else(|wrong| panic!("{wrong}"));
    plan.formats.into_iter().next().expect("one card is one format")
}

/// Every block format of the shipped cards, and one that uses what they leave out.
pub fn formats() -> Vec<PlannedFormat> {
    let mut formats = Config::new().plan().unwrap_or_else(|wrong| panic!("{wrong}")).formats;
    formats.push(planned("odd.toml", include_str!("odd.toml")));
    formats
}

/// A shipped GPU dialect.
pub fn dialect(name: &str) -> Dialect {
    let dialects = Spec::read(cards_dir()).unwrap_or_else(|wrong| panic!("{wrong}")).dialects;
    dialects.into_iter().map(|(_, dialect)| dialect).find(|dialect| dialect.name == name).expect("the dialect has a card")
}
