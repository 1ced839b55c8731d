//! Rows with headers: data packed by hand here, against their formulas; and streams in fields of blocks.

mod common;

use proptest::prelude::*;
use proptest::sample::select;

use quantloom_spec::eval::{decode_blocks, decode_rows, weight};
use quantloom_spec::read_format;

/// A generator of bytes that look random.
fn noise(seed: u64) -> impl FnMut() -> u8 {
    let mut state = seed;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    }
}

const BANK: [i32; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

#[test]
fn one_scale_per_row() {
    let format = common::format("iq4_KS");
    let (rows, k) = (3, 512);
    let row_bytes = 4 + 2 * 136;
    assert_eq!(format.blocks().unwrap().row_bytes(k), row_bytes);
    let mut next = noise(7);
    let mut bytes: Vec<u8> = (0..rows * row_bytes).map(|_| next()).collect();
    let d = |row: usize| 0.0037 * (row as f32 - 1.3);
    for (row, bytes) in bytes.chunks_mut(row_bytes).enumerate() {
        bytes[..4].copy_from_slice(&d(row).to_le_bytes());
    }
    let decoded = decode_rows(&format, &bytes, k);
    assert_eq!(decoded.len(), rows * k);
    for (i, value) in decoded.into_iter().enumerate() {
        let (row, block, group, j) = (i / k, i % k / 256, i % 256 / 32, i % 32);
        let block = &bytes[row * row_bytes + 4 + block * 136..][..136];
        let (scale, byte) = (i32::from(block[group]), block[8 + 16 * group + j % 16]);
        let nibble = if j < 16 { byte & 15 } else { byte >> 4 };
        let level = BANK[usize::from(nibble)] + 4 * (scale & 1);
        let expected = d(row) * ((scale & 254) - 127) as f32 * level as f32;
        assert_eq!(value.to_bits(), expected.to_bits(), "weight {i}");
    }
    let second = weight(&format, &bytes[row_bytes..], 300);
    assert_eq!(second.scale.unwrap().outer, Some(d(1)));
}

/// 16 weights of 3 bits in six bytes, one after the other, below an f16.
const STREAM: &str = r#"
name    = "Stream"
doc     = "16 weights of 3 bits that run across bytes."
weights = 16
bytes   = 8
index   = { lane = 1 }

[fields]
d  = { at = 0, type = "f16" }
qs = { at = 2, type = "u8[6]", stream = true }

[code]
planes = [{ from = "qs", bit = { lane = 3 }, bits = 3 }]
offset = -4

[scale]
from = "d"
"#;

#[test]
fn codes_across_bytes() {
    let format = read_format("stream.toml", STREAM, &common::tables()).unwrap_or_else(|wrong| panic!("{wrong}"));
    let mut next = noise(11);
    let mut block: Vec<u8> = (0..8).map(|_| next()).collect();
    block[..2].copy_from_slice(&[0x00, 0x38]);
    let bits = block[2..].iter().rev().fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
    let expected: Vec<f32> = (0..16).map(|i| 0.5 * ((bits >> (3 * i) & 7) as f32 - 4.0)).collect();
    assert_eq!(decode_blocks(&format, &block), expected);
}

/// A block of `weights` codes of `bits` bits one after another, as `count` items of a type.
fn stream_card(weights: usize, bits: usize, element: &str, count: usize) -> String {
    format!(
        r#"
name    = "Stream"
doc     = "Codes one after another."
weights = {weights}
bytes   = {}
index   = {{ lane = 1 }}
fields.q    = {{ at = 0, type = "{element}[{count}]", stream = true }}
code.planes = [{{ from = "q", bit = {{ lane = {bits} }}, bits = {bits} }}]
"#,
        weights * bits / 8
    )
}

/// Bit `bit` of little-endian bytes.
fn bit(bytes: &[u8], bit: usize) -> u32 {
    u32::from(bytes[bit / 8] >> (bit % 8) & 1)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    /// The same bytes as items of any width are the same stream, whether codes are narrower or wider than items.
    #[test]
    fn streams_do_not_show_their_items(bits in 1..=24_usize, width in select(vec![8, 16, 24, 32, 40, 48]), seed in any::<u64>()) {
        let card = stream_card(2 * width, bits, &format!("u{width}"), 2 * bits);
        let format = read_format("stream.toml", &card, &common::tables()).unwrap_or_else(|wrong| panic!("{wrong}"));
        let mut next = noise(seed);
        let block: Vec<u8> = (0..2 * width * bits / 8).map(|_| next()).collect();
        let code = |i: usize| (0..bits).fold(0, |code, low| code | bit(&block, i * bits + low) << low);
        let expected: Vec<f32> = (0..2 * width).map(|i| code(i) as f32).collect();
        prop_assert_eq!(decode_blocks(&format, &block), expected);
    }

    /// A stream of codes one bit wider or narrower than their distance reads bits twice or not at all.
    #[test]
    fn streams_are_read_exactly_once(bits in 2..=23_usize, width in select(vec![8, 16, 32, 48]), wider in any::<bool>()) {
        let card = stream_card(2 * width, bits, &format!("u{width}"), 2 * bits);
        let other = if wider { bits + 1 } else { bits - 1 };
        let card = card.replace(&format!("bits = {bits} }}]"), &format!("bits = {other} }}]"));
        let wrong = read_format("stream.toml", &card, &common::tables()).unwrap_err();
        let said = wrong.iter().next().unwrap().message().to_owned();
        let expected = if wider { "outside the stream" } else { "nothing reads bit" };
        prop_assert!(said.contains(expected) || said.contains("read twice"), "{}", said);
    }
}
