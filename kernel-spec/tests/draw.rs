//! Formats drawn bit by bit.

mod common;

use quantloom_spec::draw;

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
