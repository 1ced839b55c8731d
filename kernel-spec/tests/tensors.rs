//! Formats over separate tensors: data packed by hand here, against their formulas.

mod common;

use quantloom_spec::eval::{Items, decode_tensors};
use quantloom_spec::read_format;

const ROWS: usize = 64;
const COLUMNS: usize = 384;

/// A number below `limit` for each row and column or group.
fn noise(row: usize, column: usize, limit: u32) -> u32 {
    let mixed = ((row * 7919 + column) as u32).wrapping_mul(2_654_435_761);
    (mixed >> 13) % limit
}

fn code(row: usize, column: usize) -> u32 {
    noise(row, column, 16)
}

/// The low three bits of a code.
fn octal(row: usize, column: usize) -> u32 {
    code(row, column) & 7
}

fn zero(row: usize, group: usize) -> u32 {
    noise(row + 100, group, 16)
}

/// A scale as the bits of an f16: 1 to 2.
fn scale_bits(row: usize, group: usize) -> u16 {
    0x3C00 + noise(row + 200, group, 1024) as u16
}

fn scale(row: usize, group: usize) -> f32 {
    1.0 + noise(row + 200, group, 1024) as f32 / 1024.0
}

/// Eight nibbles as the bytes of a word; nibble i is `nibble(order[i])`.
fn word(order: [usize; 8], nibble: impl Fn(usize) -> u32) -> [u8; 4] {
    let word = order.iter().enumerate().fold(0, |word, (i, &which)| word | (nibble(which) << (4 * i)));
    word.to_le_bytes()
}

/// 32 codes of three bits as three words: bit b of code i is bit 3i + b of the 96.
fn three_words(code: impl Fn(usize) -> u32) -> [[u8; 4]; 3] {
    let bits = (0..32).fold(0u128, |bits, i| bits | u128::from(code(i)) << (3 * i));
    [0, 32, 64].map(|low| ((bits >> low) as u32).to_le_bytes())
}

const STRAIGHT: [usize; 8] = [0, 1, 2, 3, 4, 5, 6, 7];

/// Scales, group by group.
fn scales(groups: usize) -> Vec<u8> {
    let each = (0..groups).flat_map(|group| (0..ROWS).map(move |row| scale_bits(row, group)));
    each.flat_map(u16::to_le_bytes).collect()
}

/// Zero points: for each group, words of eight rows.
fn zeros(groups: usize, order: [usize; 8]) -> Vec<u8> {
    let words = (0..groups).flat_map(|group| (0..ROWS / 8).map(move |octet| (group, octet)));
    words.flat_map(|(group, octet)| word(order, |row| zero(8 * octet + row, group))).collect()
}

/// Every weight bit for bit; only of NaN the sign and payload are left open.
fn compare(card: &str, tensors: &[(&[usize], &[u8])], weight: impl Fn(usize, usize) -> f32) {
    let bits = |value: f32| if value.is_nan() { None } else { Some(value.to_bits()) };
    let items: Vec<Items<'_>> = tensors.iter().map(|&(shape, bytes)| Items { shape, bytes }).collect();
    let decoded = decode_tensors(&common::format(card), &items, ROWS, COLUMNS);
    assert_eq!(decoded.len(), ROWS * COLUMNS);
    for (i, value) in decoded.into_iter().enumerate() {
        let (row, column) = (i / COLUMNS, i % COLUMNS);
        assert_eq!(bits(value), bits(weight(row, column)), "{card}: row {row}, column {column}");
    }
}

#[test]
fn words_along_the_columns() {
    let groups = COLUMNS / 128;
    let words = (0..COLUMNS / 8).flat_map(|octet| (0..ROWS).map(move |row| (octet, row)));
    let codes: Vec<u8> = words.flat_map(|(octet, row)| word(STRAIGHT, |lane| code(row, 8 * octet + lane))).collect();
    let tensors: [(&[usize], &[u8]); 3] =
        [(&[COLUMNS / 8, ROWS], &codes), (&[groups, ROWS / 8], &zeros(groups, STRAIGHT)), (&[groups, ROWS], &scales(groups))];
    compare("gptq_4bit_g128", &tensors, |row, column| {
        let group = column / 128;
        scale(row, group) * (code(row, column) as f32 - (zero(row, group) + 1) as f32)
    });
}

#[test]
fn words_along_the_rows() {
    let (groups, order) = (COLUMNS / 128, [0, 2, 4, 6, 1, 3, 5, 7]);
    let words = (0..COLUMNS).flat_map(|column| (0..ROWS / 8).map(move |octet| (column, octet)));
    let codes: Vec<u8> = words.flat_map(|(column, octet)| word(order, |row| code(8 * octet + row, column))).collect();
    let tensors: [(&[usize], &[u8]); 3] =
        [(&[COLUMNS, ROWS / 8], &codes), (&[groups, ROWS / 8], &zeros(groups, order)), (&[groups, ROWS], &scales(groups))];
    compare("awq_4bit_g128", &tensors, |row, column| {
        let group = column / 128;
        scale(row, group) * (code(row, column) as f32 - zero(row, group) as f32)
    });
}

#[test]
fn levels_high_nibble_first() {
    let groups = COLUMNS / 64;
    let pairs = (0..ROWS).flat_map(|row| (0..COLUMNS / 2).map(move |byte| (row, 2 * byte)));
    let data: Vec<u8> = pairs.map(|(row, column)| (code(row, column) << 4 | code(row, column + 1)) as u8).collect();
    let each = (0..ROWS).flat_map(|row| (0..groups).map(move |group| scale(row, group)));
    let absmax: Vec<u8> = each.flat_map(f32::to_le_bytes).collect();
    let levels = common::format("nf4").pieces[0].code.levels.clone().unwrap().values;
    let tensors: [(&[usize], &[u8]); 2] = [(&[ROWS, COLUMNS / 2], &data), (&[ROWS, groups], &absmax)];
    compare("nf4", &tensors, |row, column| scale(row, column / 64) * levels[code(row, column) as usize]);
}

#[test]
fn codes_across_words() {
    let groups = COLUMNS / 128;
    let mut codes = vec![0; COLUMNS / 32 * 3 * ROWS * 4];
    for (run, row) in (0..COLUMNS / 32).flat_map(|run| (0..ROWS).map(move |row| (run, row))) {
        for (i, word) in three_words(|lane| octal(row, 32 * run + lane)).into_iter().enumerate() {
            codes[((3 * run + i) * ROWS + row) * 4..][..4].copy_from_slice(&word);
        }
    }
    let bands = (0..groups).flat_map(|group| (0..ROWS / 32).map(move |band| (group, band)));
    let zeros = bands.flat_map(|(group, band)| three_words(|row| zero(32 * band + row, group) & 7).concat());
    let tensors: [(&[usize], &[u8]); 3] = [
        (&[COLUMNS / 32 * 3, ROWS], &codes),
        (&[groups, ROWS / 32 * 3], &zeros.collect::<Vec<_>>()),
        (&[groups, ROWS], &scales(groups)),
    ];
    compare("gptq_3bit_g128", &tensors, |row, column| {
        let group = column / 128;
        scale(row, group) * (octal(row, column) as f32 - ((zero(row, group) & 7) + 1) as f32)
    });
}

/// A number for each row and group of a row-major f16 tensor.
fn by_row(groups: usize, bits: impl Fn(usize, usize) -> u16) -> Vec<u8> {
    let each = (0..ROWS).flat_map(|row| (0..groups).map(move |group| (row, group)));
    each.flat_map(|(row, group)| bits(row, group).to_le_bytes()).collect()
}

#[test]
fn scales_and_biases() {
    let groups = COLUMNS / 64;
    let words = (0..ROWS).flat_map(|row| (0..COLUMNS / 8).map(move |octet| (row, octet)));
    let codes: Vec<u8> = words.flat_map(|(row, octet)| word(STRAIGHT, |lane| code(row, 8 * octet + lane))).collect();
    let bias = |row, group| scale_bits(row + ROWS, group) | 0x8000;
    let tensors: [(&[usize], &[u8]); 3] = [
        (&[ROWS, COLUMNS / 8], &codes),
        (&[ROWS, groups], &by_row(groups, scale_bits)),
        (&[ROWS, groups], &by_row(groups, bias)),
    ];
    compare("mlx_4bit_g64", &tensors, |row, column| {
        let group = column / 64;
        scale(row, group) * code(row, column) as f32 + -scale(row + ROWS, group)
    });
}

/// An 8-bit float by its definition: sign, four exponent bits of bias 7, three bits of fraction.
fn e4m3(bits: u8) -> f32 {
    let (exponent, fraction) = (i32::from(bits >> 3 & 15), f32::from(bits & 7) / 8.0);
    let magnitude = match (exponent, bits & 7) {
        (15, 7) => f32::NAN,
        (0, _) => fraction * (-6f32).exp2(),
        _ => (1.0 + fraction) * ((exponent - 7) as f32).exp2(),
    };
    if bits < 128 { magnitude } else { -magnitude }
}

#[test]
fn floats_under_a_scale_per_row() {
    let bits = |row, column| noise(row, column, 256) as u8;
    let weights: Vec<u8> = (0..ROWS * COLUMNS).map(|i| bits(i / COLUMNS, i % COLUMNS)).collect();
    let scales: Vec<u8> = (0..ROWS).flat_map(|row| scale(row, 0).to_le_bytes()).collect();
    let tensors: [(&[usize], &[u8]); 2] = [(&[ROWS, COLUMNS], &weights), (&[ROWS, 1], &scales)];
    compare("fp8_e4m3", &tensors, |row, column| scale(row, 0) * e4m3(bits(row, column)));
}

/// Levels under a scale for 64 of them, and that under one for the matrix.
const UNDER_ONE_SCALE: &str = r#"
name  = "Levels"
doc   = "16 levels, an f32 scale per 64 k under one of the matrix; the high nibble comes first."
index = { group = 64, byte = 2, odd = 1 }
rows  = { row = 1 }

[tensors]
weight = { type = "u8",  axes = [{ row = 1 }, { group = 32, byte = 1 }] }
absmax = { type = "f32", axes = [{ row = 1 }, { group = 1 }] }
global = { type = "f32", axes = [] }

[code]
planes = [{ from = "weight", bit = { at = 4, odd = -4 }, bits = 4 }]
levels = [
  -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453,
  -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0,
  0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
  0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
]

[scale]
from  = "absmax"
super = "global"
"#;

/// One number for the whole matrix is a tensor without axes, and may be a super.
#[test]
fn one_scale_for_the_matrix() {
    let format = read_format("card.toml", UNDER_ONE_SCALE, &common::tables()).unwrap();
    let (absmax, global) = (1.5f32.to_le_bytes().repeat(2), 3f32.to_le_bytes());
    let items = [
        Items { shape: &[2, 32], bytes: &[0x7F; 64] },
        Items { shape: &[2, 1], bytes: &absmax },
        Items { shape: &[], bytes: &global },
    ];
    let decoded = decode_tensors(&format, &items, 2, 64);
    assert_eq!(decoded, [0.0, 4.5].repeat(64));
}
