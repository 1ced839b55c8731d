//! Tables of levels: rows of digits, and sets of all rows.

mod common;

use std::collections::BTreeMap;

use quantloom_abi::fnv;
use quantloom_spec::model::{Format, Levels, Number};
use quantloom_spec::read_format;

const CARD: &str = r#"
name    = "Grid"
doc     = "Four vectors of two, each one of four."
weights = 8
bytes   = 1
index   = { pair = 2, lane = 1 }
fields.q    = { at = 0, type = "u8" }
code.planes = [{ from = "q", bit = { pair = 2 }, bits = 2 }]
code.levels = "grid"
"#;

/// The levels of a table with this body, whose vectors are two of three letters.
fn values(body: &str) -> Vec<f32> {
    let table = format!("name = \"grid\"\ndoc = \"Test.\"\nwidth = 2\nletters = [0, 1, -5]\n{body}\n");
    let tables = BTreeMap::from([("grid".to_owned(), table)]);
    let format = read_format("card.toml", CARD, &tables).unwrap_or_else(|wrong| panic!("{wrong}"));
    format.pieces[0].code.levels.clone().unwrap().values
}

#[test]
fn sets_are_rows_in_counting_order() {
    let rows = values("rows = \"00 10 21 22\"");
    assert_eq!(rows, [0.0, 0.0, 1.0, 0.0, -5.0, 1.0, -5.0, -5.0]);
    // 00 is row 0, 10 row 1, 21 row 5 and 22 row 8.
    assert_eq!(values("members = \"\"\"\n32\n1\"\"\""), rows);
}

/// Codes and a fingerprint of the values of each table, taken when every format that uses it agreed with ggml on golden files.
const TABLES: [(&str, usize, u64); 7] = [
    ("iq1_s", 2048, 0xc1a2_be4e_8e97_9658),
    ("iq2_s", 1024, 0xdd59_316f_3374_d1b0),
    ("iq2_xs", 512, 0x3366_246e_b99c_bd55),
    ("iq2_xxs", 256, 0xfba3_0f0f_2e13_d7b0),
    ("iq3_s", 512, 0x0ae8_de7c_1f30_91e5),
    ("iq3_xxs", 256, 0xffdb_393e_56f3_ee12),
    ("signs7", 128, 0x805e_9e80_6b38_0325),
];

fn numbers(format: &Format) -> impl Iterator<Item = &Number> {
    format.pieces.iter().map(|piece| &piece.code).chain(&format.sign)
}

fn fingerprint(levels: &Levels) -> u64 {
    fnv::of_bytes(levels.values.iter().flat_map(|value| value.to_le_bytes()))
}

#[test]
fn tables_hold_what_they_held() {
    let formats = common::spec().formats;
    let levels = formats.iter().flat_map(|(_, format)| numbers(format)).filter_map(|number| number.levels.as_ref());
    let found: BTreeMap<&str, (usize, u64)> = levels
        .filter_map(|levels| Some((levels.table.as_deref()?, (levels.values.len() / levels.width, fingerprint(levels)))))
        .collect();
    assert_eq!(found, TABLES.map(|(name, codes, print)| (name, (codes, print))).into());
}
