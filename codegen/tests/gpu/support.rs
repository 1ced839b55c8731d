//! Cards, blocks, and the plain form of what modules compute. The tests that run modules on devices use it as well.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use quantloom_codegen::ir::Storage;
use quantloom_codegen::lower::class::SEGMENT;
use quantloom_codegen::plan::{Card, Plan, PlannedFormat};
use quantloom_spec::gpu::{Dialect, read_dialect};
use quantloom_spec::{TableFolder, cards_dir, eval, read_format};

/// Every format of the shipped cards whose rows are blocks alone, and one that uses what they leave out.
pub fn formats() -> Vec<PlannedFormat> {
    let folder = cards_dir().join("formats");
    let entries = folder.read_dir().unwrap_or_else(|why| panic!("{}: {why}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()).collect();
    paths.sort();
    let file = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    let shipped = paths.iter().map(|path| card(&file(path), &fs::read_to_string(path).unwrap()));
    let blocks = shipped.filter(|card| card.format.blocks().is_some_and(|blocks| blocks.header == 0));
    blocks.map(plan).chain([planned("odd.toml", include_str!("odd.toml"))]).collect()
}

/// The format of a card.
pub fn planned(file: &str, text: &str) -> PlannedFormat {
    plan(card(file, text))
}

fn card(file: &str, text: &str) -> Card {
    let tables = TableFolder::new(cards_dir().join("tables"));
    let format = read_format(file, text, &tables).unwrap_or_else(|wrong| panic!("{wrong}"));
    Card { file: file.to_owned(), text: text.to_owned(), tables: BTreeMap::new(), format }
}

fn plan(card: Card) -> PlannedFormat {
    let plan = Plan::new(vec![card], Vec::new(), Vec::new());
    plan.formats.into_iter().next().expect("one card is one format")
}

/// Bytes of a stored block.
pub fn block_bytes(format: &PlannedFormat) -> usize {
    match format.decoder.storage {
        Storage::Rows { block, .. } => block,
        Storage::Tensors { .. } => panic!("separate tensors have no blocks"),
    }
}

/// A shipped GPU dialect.
pub fn dialect(name: &str) -> Dialect {
    let path = cards_dir().join("gpu").join(name).with_extension("toml");
    let text = fs::read_to_string(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
    read_dialect(name, &text).unwrap_or_else(|wrong| panic!("{wrong}"))
}

/// Stored weights and what they decode to.
pub struct Sample<'a> {
    pub what: String,
    pub format: &'a PlannedFormat,
    pub rows: usize,
    pub k: usize,
    pub bytes: Vec<u8>,
    pub weights: Vec<f32>,
}

/// Random blocks as the oracle decodes them: rows for a group of threads and a part of one, each three segments and a part of one.
pub fn random<'a>(format: &'a PlannedFormat, dialect: &Dialect, dice: &mut Dice) -> Sample<'a> {
    let (rows, k) = (dialect.workgroup + 3, 3 * SEGMENT + 256);
    let (mut bytes, mut weights) = (Vec::new(), Vec::new());
    while weights.len() < rows * k {
        let block: Vec<u8> = (0..block_bytes(format)).map(|_| dice.roll() as u8).collect();
        let decoded = eval::decode_blocks(&format.card.format, &block);
        // Sums stay far from overflow.
        if decoded.iter().all(|weight| weight.abs() < 1e9) {
            bytes.extend(block);
            weights.extend(decoded);
        }
    }
    Sample { what: format!("random blocks of {}", format.card.file), format, rows, k, bytes, weights }
}

/// Numbers that look random and are the same every time: splitmix64.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// Values of either sign below 1.
    pub fn vector(&mut self, length: usize) -> Vec<f32> {
        (0..length).map(|_| self.roll() as i32 as f32 / 2_f32.powi(31)).collect()
    }
}

/// The class `exact`, as plainly as it can be said: segments from +0 in K order, then their sums from +0 in order.
pub fn product(weights: &[f32], x: &[f32], multiply_add: impl Fn(f32, f32, f32) -> f32) -> Vec<f32> {
    let dot = |row: &[f32]| {
        let segments = row.chunks(SEGMENT).zip(x.chunks(SEGMENT));
        let sums = segments.map(|(w, x)| w.iter().zip(x).fold(0.0, |sum, (w, x)| multiply_add(*w, *x, sum)));
        sums.fold(0.0, |sum, segment| sum + segment)
    };
    weights.chunks(x.len()).map(dot).collect()
}

/// Compares bits, and says where they differ.
pub fn assert_equal_bits(found: &[f32], wanted: &[f32], what: &str) {
    assert_eq!(found.len(), wanted.len(), "{what}: number of values");
    let wrong = found.iter().zip(wanted).enumerate().filter(|(_, (found, wanted))| found.to_bits() != wanted.to_bits());
    let wrong: Vec<_> = wrong.map(|(index, (found, wanted))| format!("{index}: {found:e} for {wanted:e}")).collect();
    assert!(wrong.is_empty(), "{what}: {} of {} values differ: {:?}", wrong.len(), found.len(), &wrong[..wrong.len().min(4)]);
}
