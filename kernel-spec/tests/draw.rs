//! Formats drawn bit by bit.

mod common;

use quantloom_spec::{draw, read_format};

/// Scattered sub-scales, pieces of base-3 digits, a scattered float, a grid, a row header, and separate tensors with whole
/// codes and with codes across words.
#[test]
fn as_drawn_before() {
    for stem in ["q4_K", "tq1_0", "iq1_m", "iq3_xxs", "iq4_KS", "awq_4bit_g128", "gptq_3bit_g128"] {
        let path = common::root().join(format!("tests/snapshots/{stem}.txt"));
        common::compare(&path, &draw(&common::format(stem)));
    }
}

#[test]
fn every_format_fits_the_page() {
    for (_, format) in common::spec().formats {
        let drawing = draw(&format);
        for line in drawing.lines() {
            assert!(line.chars().count() <= 100 && line.trim_end() == line, "{}: {line:?}", format.name);
        }
        for field in format.blocks().iter().flat_map(|blocks| &blocks.fields) {
            assert!(drawing.contains(&field.name), "{}: {}", format.name, field.name);
        }
    }
}

/// 256 codes of three bits, and as many of one bit behind them in the same stream.
const LONG: &str = r#"
name    = "Long"
doc     = "256 weights of 4 bits in one stream."
weights = 256
bytes   = 128
index   = { lane = 1 }
fields.q = { at = 0, type = "u8[128]", stream = true }
code.planes = [
  { from = "q", bit = { lane = 3 }, bits = 3 },
  { from = "q", item = 96, bit = { lane = 1 }, bits = 1 },
]
"#;

#[test]
fn long_streams_are_told_in_words() {
    let format = read_format("long.toml", LONG, &common::tables()).unwrap_or_else(|wrong| panic!("{wrong}"));
    let drawing = draw(&format);
    let (_, field) = drawing.split_once("\n\nq  ").unwrap();
    let expected = "\
bytes 0-127, u8[128]
   code bits 0-2 at bit 3 lane, from item 0
   code bit 3 at bit lane, from item 96
";
    assert_eq!(field, expected);
}
