//! Cards with one number or one digit changed: nearly all must be rejected, and none may panic.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::PathBuf;

use quantloom_spec::eval::{Items, decode_rows, decode_tensors};
use quantloom_spec::model::{Format, Storage};
use quantloom_spec::{TableFolder, expand, read_format};
use toml::de::{DeTable, DeValue};

/// One change of a card's text.
struct Mutant {
    span: Range<usize>,
    text: String,
}

impl Mutant {
    fn apply(&self, card: &str) -> String {
        let mut text = card.to_owned();
        text.replace_range(self.span.clone(), &self.text);
        text
    }
}

/// What became of the mutants of a card.
#[derive(Debug, Default, PartialEq, Eq)]
struct Fate {
    rejected: usize,
    /// Accepted, and decodes as before.
    harmless: usize,
    /// Accepted, and only golden files would tell.
    silent: Vec<String>,
}

/// Every way to change one integer: strides, offsets, bits, sizes, and lengths of arrays. Steps, offsets and levels are values,
/// which no rule can know; type numbers, and what files say of themselves, tell formats apart.
fn change_numbers(table: &DeTable<'_>, mutants: &mut Vec<Mutant>) {
    let values = ["gguf", "step", "offset", "levels", "config", "doubtful_zero", "nested"];
    for (key, value) in table.iter().filter(|(key, _)| !values.contains(&key.get_ref().as_ref())) {
        change_value(key.get_ref(), value.span(), value.get_ref(), mutants);
    }
}

fn change_value(key: &str, span: Range<usize>, value: &DeValue<'_>, mutants: &mut Vec<Mutant>) {
    match value {
        DeValue::Integer(digits) => change_integer(digits.as_str(), span, mutants),
        DeValue::String(text) if key == "type" => {
            if let Some((element, count)) = text.trim_end_matches(']').split_once('[') {
                let mut counts = Vec::new();
                change_integer(count, span.clone(), &mut counts);
                let typed = |count: Mutant| Mutant { span: span.clone(), text: format!("\"{element}[{}]\"", count.text) };
                mutants.extend(counts.into_iter().map(typed));
            }
        }
        DeValue::Array(entries) => {
            entries.iter().for_each(|entry| change_value(key, entry.span(), entry.get_ref(), mutants));
        }
        DeValue::Table(table) => change_numbers(table, mutants),
        _ => {}
    }
}

fn change_integer(digits: &str, span: Range<usize>, mutants: &mut Vec<Mutant>) {
    let value: i64 = digits.parse().unwrap();
    let mut changed = vec![value + 1, value - 1, value * 2, value / 2];
    changed.sort_unstable();
    changed.dedup();
    changed.retain(|other| *other != value);
    mutants.extend(changed.into_iter().map(|other| Mutant { span: span.clone(), text: other.to_string() }));
}

type Strides<'c> = BTreeMap<&'c str, i64>;

/// Calls `visit` with every `item`, `bit`, `trit` or axis that is a table of strides.
fn for_each_map<'c>(table: &'c DeTable<'_>, visit: &mut dyn FnMut(&Strides<'c>, Range<usize>)) {
    for (key, value) in table.iter() {
        let map = ["item", "bit", "trit", "axes"].contains(&key.get_ref().as_ref());
        match value.get_ref() {
            DeValue::Table(terms) if map => visit(&strides(terms), value.span()),
            DeValue::Table(inner) => for_each_map(inner, visit),
            DeValue::Array(entries) => {
                for entry in entries {
                    match entry.get_ref().as_table() {
                        Some(terms) if map => visit(&strides(terms), entry.span()),
                        Some(inner) => for_each_map(inner, visit),
                        None => {}
                    }
                }
            }
            _ => {}
        }
    }
}

fn strides<'c>(terms: &'c DeTable<'_>) -> Strides<'c> {
    let stride = |value: &DeValue<'_>| value.as_integer().unwrap().as_str().parse::<i64>().unwrap();
    terms.iter().map(|(key, value)| (key.get_ref().as_ref(), stride(value.get_ref()))).collect()
}

fn written(strides: &Strides<'_>) -> String {
    let terms: Vec<String> = strides.iter().map(|(name, stride)| format!("{name} = {stride}")).collect();
    format!("{{ {} }}", terms.join(", "))
}

/// Every way to put one digit in the place of another in a map; strides of the same digit add up.
fn change_digits(table: &DeTable<'_>, digits: &[String], mutants: &mut Vec<Mutant>) {
    for_each_map(table, &mut |strides, span| {
        for (name, stride) in strides.iter().filter(|(name, _)| **name != "at") {
            for other in digits.iter().filter(|other| other != name) {
                let mut renamed: BTreeMap<&str, i64> = strides.clone();
                renamed.remove(name);
                *renamed.entry(other).or_default() += stride;
                mutants.push(Mutant { span: span.clone(), text: written(&renamed) });
            }
        }
    });
}

/// Every way to exchange two strides of a map.
fn swap_strides(table: &DeTable<'_>, mutants: &mut Vec<Mutant>) {
    for_each_map(table, &mut |strides, span| {
        let names: Vec<&str> = strides.keys().copied().filter(|name| *name != "at").collect();
        for (i, one) in names.iter().enumerate() {
            for other in &names[..i] {
                let mut swapped = strides.clone();
                swapped.insert(one, strides[other]);
                swapped.insert(other, strides[one]);
                mutants.push(Mutant { span: span.clone(), text: written(&swapped) });
            }
        }
    });
}

/// The names of all digits of a format.
fn digits(format: &Format) -> Vec<String> {
    let rows = if let Storage::Tensors(tensors) = &format.storage { tensors.rows.as_slice() } else { &[] };
    let digits = format.pieces.iter().flat_map(|piece| &piece.digits).chain(rows);
    let mut names: Vec<String> = digits.map(|digit| digit.name.clone()).collect();
    names.sort();
    names.dedup();
    names
}

/// Bytes that look random and are always the same.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..length).map(|_| next()).collect()
}

fn decoded(format: &Format) -> Vec<u32> {
    let weights = match &format.storage {
        Storage::Blocks(blocks) => {
            let k = 16 * blocks.weights;
            decode_rows(format, &noise(blocks.row_bytes(k)), k)
        }
        Storage::Tensors(tensors) => {
            let repeats = 2;
            let shapes = common::shapes(format, tensors, repeats);
            let sizes = tensors.tensors.iter().zip(&shapes).map(|(tensor, shape)| {
                let items: usize = shape.iter().product();
                items * tensor.element.bits() as usize / 8
            });
            let bytes: Vec<Vec<u8>> = sizes.map(noise).collect();
            let items: Vec<Items<'_>> = shapes.iter().zip(&bytes).map(|(shape, bytes)| Items { shape, bytes }).collect();
            decode_tensors(format, &items, repeats * tensors.rows[0].stride, repeats * format.pieces[0].end)
        }
    };
    weights.into_iter().map(f32::to_bits).collect()
}

fn fate(card: &str, format: &Format, mutants: &[Mutant], tables: &TableFolder) -> Fate {
    let before = decoded(format);
    let mut fate = Fate::default();
    for mutant in mutants {
        match read_format("mutant.toml", &mutant.apply(card), tables) {
            Err(wrong) => {
                assert!(!wrong.is_empty());
                fate.rejected += 1;
            }
            Ok(changed) if decoded(&changed) == before => fate.harmless += 1,
            Ok(_) => {
                let line = card[..mutant.span.start].matches('\n').count() + 1;
                fate.silent.push(format!("{}:{line}: {}", format.name, mutant.text));
            }
        }
    }
    fate
}

/// The cards of all formats; of a family that of the last member, without what is left of the others.
fn cards() -> Vec<(String, Format)> {
    let mut cards = BTreeMap::new();
    for (path, format) in common::spec().formats {
        cards.insert(path, format);
    }
    let card = |(path, format): (PathBuf, Format)| {
        let text = fs::read_to_string(&path).unwrap();
        let text = expand("card.toml", &text).unwrap().pop().unwrap();
        let kept = text.split("\n\n").filter(|part| !part.starts_with("[family]")).collect::<Vec<_>>();
        (kept.join("\n\n"), format)
    };
    cards.into_iter().map(card).collect()
}

/// What becomes of all mutants that `make` makes of the cards.
fn fate_of_all(make: impl Fn(&DeTable<'_>, &Format) -> Vec<Mutant>) -> Fate {
    let tables = common::tables();
    let mut all = Fate::default();
    for (card, format) in cards() {
        let mutants = make(DeTable::parse(&card).unwrap().get_ref(), &format);
        let fate = fate(&card, &format, &mutants, &tables);
        all.rejected += fate.rejected;
        all.harmless += fate.harmless;
        all.silent.extend(fate.silent);
    }
    all
}

/// Mutants that are another right card: numbers that all rows share, one for each of their columns, and groups of another length. The shapes
/// in a file tell them apart.
const SHARED_BY_ROWS: [&str; 53] = [
    "CT-W8A16-g128-f32:4: 64",
    "CT-W8A16-g128-f32:4: 256",
    "CT-W8A16-g128-f32:9: { word = 1 }",
    "CT-W8A16-g128-f32:9: { word = 1 }",
    "CT-W8A16-asym-g128-f32:4: 64",
    "CT-W8A16-asym-g128-f32:4: 256",
    "CT-W8A16-asym-g128-f32:10: { band = 1 }",
    "CT-W8A16-asym-g128-f32:10: { word = 1 }",
    "CT-W8A16-asym-g128-f32:10: { band = 1 }",
    "CT-W8A16-asym-g128-f32:10: { word = 1 }",
    "CT-W8A16-asym-g128-f32:9: { word = 1 }",
    "CT-W8A16-gall-f32:4: 16",
    "CT-W8A16-gall-f32:4: 64",
    "CT-W8A16-gall-f32:9: { run = 1 }",
    "CT-W8A16-gall-f32:9: { word = 1 }",
    "CT-W8A8-f32:4: 16",
    "CT-W8A8-f32:4: 31",
    "CT-W8A8-f32:4: 33",
    "CT-W8A8-f32:4: 64",
    "CT-W8A8-f32:9: { k = 1 }",
    "CT-W8A8-f32:9: { run = 1 }",
    "BNB-FP4-g128:4: 64",
    "BNB-FP4-g128:4: 256",
    "BNB-FP4-g128:18: { byte = 1 }",
    "BNB-FP4-g128:18: { byte = 1 }",
    "FP8-E4M3-block128-ct-bf16:4: 64",
    "FP8-E4M3-block128-ct-bf16:4: 127",
    "FP8-E4M3-block128-ct-bf16:4: 129",
    "FP8-E4M3-block128-ct-bf16:5: 64",
    "FP8-E4M3-block128-ct-bf16:5: 127",
    "FP8-E4M3-block128-ct-bf16:5: 129",
    "FP8-E4M3-block128-ct-bf16:9: { k = 1 }",
    "FP8-E4M3-block128-ct-bf16:9: { row = 1 }",
    "FP8-E4M3-block128-ct-bf16:9: { k = 1 }",
    "FP8-E4M3-block128-ct-bf16:9: { row = 1 }",
    "GPTQ-8bit-gall-v2-bf16:14: { band = 1 }",
    "GPTQ-8bit-gall-v2-bf16:14: { lane = 1 }",
    "GPTQ-8bit-gall-v2-bf16:14: { run = 1 }",
    "MLX-nvfp4:4: 32",
    "MLX-nvfp4:14: { word = 1 }",
    "MLX-nvfp4:14: { word = 1 }",
    "MLX-mxfp8:4: 16",
    "MLX-mxfp8:4: 64",
    "MLX-mxfp8:14: { word = 1 }",
    "MLX-mxfp8:14: { word = 1 }",
    "MXFP4-packed:4: 16",
    "MXFP4-packed:4: 64",
    "MXFP4-packed:9: { byte = 1 }",
    "MXFP4-packed:9: { byte = 1 }",
    "NVFP4-modelopt:4: 8",
    "NVFP4-modelopt:4: 32",
    "NVFP4-modelopt:9: { byte = 1 }",
    "NVFP4-modelopt:9: { byte = 1 }",
];

#[test]
fn changed_numbers_and_digits_are_rejected() {
    let all = fate_of_all(|card, format| {
        let mut mutants = Vec::new();
        change_numbers(card, &mut mutants);
        change_digits(card, &digits(format), &mut mutants);
        mutants
    });
    // What the indices of two cards hold says nothing of weights: another number refuses every file.
    assert_eq!(all, Fate { rejected: 3259, harmless: 4, silent: SHARED_BY_ROWS.map(str::to_owned).to_vec() });
}

/// Two strides of one map exchanged are often another way to read every bit once; golden files tell those apart.
#[test]
fn half_of_swapped_strides_are_rejected() {
    let all = fate_of_all(|card, _| {
        let mut mutants = Vec::new();
        swap_strides(card, &mut mutants);
        mutants
    });
    assert_eq!((all.rejected, all.harmless, all.silent.len()), (64, 0, 55));
}
