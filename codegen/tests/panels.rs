//! Panels for graphics processors: that nothing is lost on the way into them, and what they take.

use quantloom_codegen::ir::Storage;
use quantloom_codegen::lower::class::{Class, PANEL_ROWS, Source};
use quantloom_codegen::lower::layout::{PackedLayout, has_halves};
use quantloom_codegen::lower::panels::interleave;
use quantloom_codegen::plan::Plan;
use quantloom_codegen::{Config, Set, cards_dir};

fn plan() -> Plan {
    Config::new().cards(cards_dir()).variants(Set::Default).plan().unwrap()
}

/// The code of a weight of a row of a unit of 16 rows.
fn code(class: &Class, unit: &[u8], row: usize, weight: usize) -> u8 {
    let codes = PackedLayout::cpu(class).offset_of("codes").unwrap();
    let (body, quad) = (weight / class.body(), weight % class.body() / 4);
    let bits = class.places(quad).into_iter().map(|place| {
        let line = body * class.body_lines() + place.line;
        let byte = unit[codes + (line * PANEL_ROWS + row) * 4 + weight % 4];
        (byte >> place.shift & (0xff >> (8 - place.bits))) << place.low
    });
    bits.fold(0, |code, bits| code | bits)
}

/// The same of a unit of 32 rows, as `docs/gpu.md` says where it lies.
fn code_of_panel(class: &Class, unit: &[u8], row: usize, weight: usize) -> u8 {
    let layout = PackedLayout::panel(class);
    let (quad, byte) = (weight / 4, weight % 4);
    let (word, slot) = match class.step % 32 {
        0 => (quad % 8 / 2, quad / 8 * 2 + quad % 2),
        _ => (quad % 4, quad / 4),
    };
    let (mut code, mut low) = (0, 0);
    for bits in [8_usize, 4, 2, 1] {
        let Some(offset) = layout.offset_of(&format!("codes{bits}")) else { continue };
        let slots = 8 / bits;
        let held = unit[offset + (slot / slots * 32 + row) * 16 + 4 * word + byte];
        code |= (held >> (slot % slots * bits) & (0xff >> (8 - bits))) << low;
        low += bits;
    }
    code
}

/// Bytes that look random.
fn random(count: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..count).map(|_| next()).collect()
}

#[test]
fn panels_have_every_code_scale_and_min() {
    // Rows that are two panels of 32 less some, and a part of a unit.
    let n = 2 * 32 - PANEL_ROWS - 3;
    for (name, class) in &plan().classes {
        let tall = class.in_panels();
        let (cpu, layout) = (PackedLayout::cpu(class), PackedLayout::panel(&tall));
        let k = tall.unit + class.unit;
        let units = k / class.unit;
        let packed = random(n.div_ceil(PANEL_ROWS) * units * cpu.bytes());
        let interleave = interleave(class);
        let panels = interleave.panels(&packed, n, k).unwrap();
        assert_eq!(Some(panels.len()), interleave.bytes(n, k), "{name}");
        assert_eq!(interleave.panels(&packed[1..], n, k), None, "{name}: too few bytes");
        let (tall_units, ratio) = (k.div_ceil(tall.unit), tall.unit / class.unit);
        for (row, at) in (0..n).flat_map(|row| (0..units).map(move |at| (row, at))) {
            let unit = &packed[(row / PANEL_ROWS * units + at) * cpu.bytes()..][..cpu.bytes()];
            let panel = &panels[(row / 32 * tall_units + at / ratio) * layout.bytes()..][..layout.bytes()];
            let (lane, tall_lane, part) = (row % PANEL_ROWS, row % 32, at % ratio);
            if !class.planes.is_empty() {
                for weight in 0..class.unit {
                    let found = code_of_panel(&tall, panel, tall_lane, part * class.unit + weight);
                    assert_eq!(found, code(class, unit, lane, weight), "{name}: row {row}, unit {at}, weight {weight}");
                }
            }
            let heads = ["roots", "min_roots", "zeros"].into_iter().filter_map(|field| {
                Some((cpu.fields.iter().find(|known| known.name == field)?, cpu.offset_of(field)?, layout.offset_of(field)?))
            });
            for (field, from, to) in heads {
                let (size, count) = (field.element.bytes(), field.counts[0]);
                for index in 0..count {
                    let wanted = &unit[from + (index * PANEL_ROWS + lane) * size..][..size];
                    let found = &panel[to + ((part * count + index) * 32 + tall_lane) * size..][..size];
                    assert_eq!(found, wanted, "{name}: {} of row {row}, unit {at}", field.name);
                }
            }
            let Some(subs) = layout.fields.iter().find(|field| field.name == "subs") else { continue };
            let of_row = &panel[layout.offset_of("subs").unwrap() + tall_lane * subs.element.bytes()..][..subs.element.bytes()];
            let scales = if class.sub_scale.is_some() { class.steps() } else { 0 };
            if has_halves(&tall) {
                for step in 0..scales {
                    let of = |name: &str, at: usize| unit[cpu.offset_of(name).unwrap() + at];
                    let min = of("mins", (step / 2 * PANEL_ROWS + lane) * 2 + step % 2);
                    let wanted = of("scales", step * PANEL_ROWS + lane) & 15 | min << 4;
                    assert_eq!(of_row[part * scales + step], wanted, "{name}: step {step}, row {row}, unit {at}");
                }
                continue;
            }
            for step in 0..scales {
                let wanted = unit[cpu.offset_of("scales").unwrap() + step * PANEL_ROWS + lane];
                assert_eq!(of_row[part * scales + step], wanted, "{name}: the scale of step {step}, row {row}, unit {at}");
            }
            for pair in 0..class.min_pairs() {
                let wanted = &unit[cpu.offset_of("mins").unwrap() + (pair * PANEL_ROWS + lane) * 2..][..2];
                let found = &of_row[ratio * scales + 2 * (part * class.min_pairs() + pair)..][..2];
                assert_eq!(found, wanted, "{name}: mins {pair}, row {row}, unit {at}");
            }
        }
        // Rows past the last one.
        let past = &panels[(n / 32 * tall_units) * layout.bytes()..];
        assert!(past.len() >= layout.bytes(), "{name}: a panel that is not whole");
        if let Some(offset) = layout.offset_of("roots") {
            let size = layout.fields[0].element.bytes();
            assert_eq!(past[offset + 31 * size..][..size], [0; 4][..size], "{name}: the root of a row that there is not");
        }
    }
}

/// What packed formats of blocks take: no more than 1.04 times what is stored, but for those whose stored codes are shorter than their levels.
#[test]
fn panels_are_about_as_large_as_what_is_stored() {
    let mut compared = 0;
    for format in &plan().formats {
        let (Some((_, class)), Storage::Rows { header: 0, block }) = (&format.class, &format.decoder.storage) else { continue };
        let tall = class.in_panels();
        let packed = PackedLayout::panel(&tall).bytes() as f64 / (32 * tall.unit) as f64;
        let ratio = packed / (*block as f64 / format.decoder.weights as f64);
        let name = format.card.format.name.as_str();
        let most = match name {
            // Three weights to five bits are two bits each.
            "TQ1_0" => 1.23,
            // Levels of code books.
            _ if matches!(class.source, Source::Level { .. }) => 2.13,
            _ => 1.04,
        };
        assert!(ratio <= most, "{name}: {ratio}");
        compared += 1;
    }
    assert!(compared >= 20, "{compared} formats of blocks");
}
